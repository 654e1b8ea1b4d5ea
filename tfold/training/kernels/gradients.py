"""The gradients of tfold's operations, themselves operations. Importing this registers them."""

import tensorflow as tf


@tf.RegisterGradient("TfoldMoments")
def _moments(op, *gradients):
    # TfoldNormalizeGrad holds the whole gradient of batch norm, the way through mean and variance too.
    return None


@tf.RegisterGradient("TfoldNormalize")
def _normalize(op, dy):
    from tfold.training.kernels.load import operations

    parts, residuals = op.get_attr("N"), op.get_attr("M")
    inputs = list(op.inputs)
    vectors = inputs[parts + residuals :]
    mean, rest, variance, gamma, beta, slope = vectors
    gradient = operations().tfold_normalize_grad(
        dy=dy,
        x=inputs[:parts],
        residual=inputs[parts : parts + residuals],
        mean=mean,
        rest=rest,
        variance=variance,
        gamma=gamma,
        beta=beta,
        slope=slope,
        epsilon=op.get_attr("epsilon"),
        activation=op.get_attr("activation"),
        limit=op.get_attr("limit"),
    )
    return [*gradient.dx, *gradient.dresidual, None, None, None, gradient.dgamma, gradient.dbeta, gradient.dslope]


@tf.RegisterGradient("TfoldMix")
def _mix(op, dy):
    from tfold.training.kernels.load import operations

    x, slope = op.inputs
    return list(operations().tfold_mix_grad(dy=dy, x=x, slope=slope, limit=op.get_attr("limit")))


@tf.RegisterGradient("TfoldNormalizeGrad")
def _second_normalize(op, *gradients):
    raise NotImplementedError(_SECOND)


@tf.RegisterGradient("TfoldMixGrad")
def _second_mix(op, dx_upstream, dslope_upstream):
    dy, x, slope = op.inputs
    limit = tf.cast(op.get_attr("limit"), x.dtype)
    clipped = tf.minimum(tf.nn.relu(x), limit)
    outside = tf.cast((x <= 0) | (x >= limit), x.dtype)
    slope, dslope_upstream = tf.cast(slope, x.dtype), tf.cast(dslope_upstream, x.dtype)
    ddy = dx_upstream * (1 - outside * (1 - slope)) + dslope_upstream * (x - clipped)
    return [ddy, dslope_upstream * dy * outside, tf.reduce_sum(tf.cast(dx_upstream * dy * outside, "float32"))]


_SECOND = (
    "tfold's compiled batch norm has first derivatives only. Received: a gradient of a gradient. Train this model with "
    "stock batch norm: tfold.restore_batch_norm(model)."
)
