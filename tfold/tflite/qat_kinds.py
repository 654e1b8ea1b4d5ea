"""What TFLite makes of each tf_keras layer in int8: which of them compute, which only move numbers, which it cannot.

The names are those of layers, and of TensorFlow's functions for what `x + y` and `tf.nn.relu(x)` become in a model.
"""
from tfold.graph.family import family_of, is_operation
from tfold.graph.legacy_functions import arguments

# Layer → which of its weights are int8, and how: `WEIGHTS` in qat_quantizers.
WEIGHTED = {
    "Conv2D": {"kernel": "per_channel"}, "DepthwiseConv2D": {"depthwise_kernel": "per_depthwise_channel"},
    "Dense": {"kernel": "per_tensor"}, "Conv1D": {"kernel": "per_tensor"},
    "DepthwiseConv1D": {"depthwise_kernel": "per_tensor"}, "Conv1DTranspose": {"kernel": "per_tensor"},
    "Conv2DTranspose": {"kernel": "per_tensor"}, "WithConstant": {"constant": "constant"},
}
# What makes new int8 numbers, of a range of its own.
COMPUTING = {
    *WEIGHTED, "BatchNormalization", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "HardSwish", "LeakyReLU", "PReLU",
    "Dot", "math.add", "__operators__.add", "math.subtract", "math.multiply", "math.divide", "math.truediv",
    "math.maximum", "math.minimum", "math.reduce_mean", "math.reduce_sum", "linalg.matmul", "math.abs", "math.sqrt",
    "math.rsqrt", "math.exp", "concat", "stack", "nn.relu", "nn.relu6", "nn.leaky_relu", "nn.silu", "nn.gelu",
}
# What makes int8 numbers of a range that is known beforehand: `RANGES` in qat_quantizers.
FIXED = {"Softmax": "sigmoid", "nn.softmax": "sigmoid", "math.sigmoid": "sigmoid", "math.tanh": "tanh",
         "nn.log_softmax": "log_softmax", "UnitNormalization": "tanh"}
# What keeps the numbers it reads, or makes others between them, in the same scale.
MOVING = {
    "Flatten", "Reshape", "Permute", "RepeatVector", "Cropping1D", "Cropping2D", "Cropping3D", "CenterCrop",
    "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "MaxPooling1D", "MaxPooling2D", "AveragePooling1D",
    "AveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "UpSampling1D",
    "UpSampling2D", "Resizing", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout",
    "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Identity", "__operators__.getitem", "reshape",
    "math.reduce_max", "math.reduce_min", "transpose", "compat.v1.transpose", "expand_dims", "squeeze", "split",
    "identity",
}
# Whose ReLU behind it is part of the same op.
FUSING = {
    "Conv2D", "DepthwiseConv2D", "Conv1D", "DepthwiseConv1D", "Dense", "BatchNormalization", "WithConstant", "Add",
    "Subtract", "Multiply", "math.add", "__operators__.add", "math.subtract", "math.multiply",
}
_CONCATENATING = {"Concatenate", "concat", "stack"}
_PADDING = {"pad", "compat.v1.pad"}
_FUNCTIONS = {"relu", "relu6", "silu", "gelu", "exponential"}
_FIXED_FUNCTIONS = {"softmax": "sigmoid", "sigmoid": "sigmoid", "tanh": "tanh", "log_softmax": "log_softmax"}


def name_of(layer):
    """The name of a layer's class, or of the function it calls; "" for a class of the user's own."""
    if is_operation(layer):
        return layer.symbol
    known = family_of(layer).made(layer) or type(layer).__module__ == "tfold.tflite.qat_layers"
    return type(layer).__name__ if known else ""


def title(layer):
    """What a layer is, in words."""
    name = name_of(layer)
    if name == "Activation":
        return f"the activation {getattr(layer.activation, '__name__', 'of your own')}"
    return name or "code of your own"


def takes_range(call):
    """Whether an op makes the numbers it reads one tensor, so that they have that tensor's range."""
    return name_of(call.op) in _CONCATENATING or (name_of(call.op) in _PADDING and kind(call) == "computing")


def kind(call):
    """What TFLite makes of a call.

    Args:
        call: a `Call` of a tf_keras layer.

    Returns:
        "input"; "computing"; "moving"; the name of a fixed range; or "float": TFLite computes it in floats, or tfold
        does not know what it does.
    """
    if call.op is None:
        return "input"
    name = name_of(call.op)
    if name == "Activation":
        function = family_of(call.op).fn(call.op.activation)
        if function == "linear":
            return "moving"
        return "computing" if function in _FUNCTIONS else _FIXED_FUNCTIONS.get(function, "float")
    if name == "ReLU":
        return "computing" if _relu(call.op) else "float"
    if name in _PADDING:
        given = arguments(call.op, call.args, call.kwargs) or {}
        return "moving" if given.get("constant_values", 1) == 0 else "computing"
    if name in MOVING:
        return "moving"
    return "computing" if name in COMPUTING else FIXED.get(name, "float")


def is_relu(call):
    """Whether a call is a ReLU or ReLU6, which TFLite makes part of the op before it."""
    name = name_of(call.op)
    if name == "ReLU":
        return _relu(call.op) == "plain"
    if name == "Activation":
        return family_of(call.op).fn(call.op.activation) in ("relu", "relu6")
    return name in ("nn.relu", "nn.relu6")


def _relu(layer):
    """ "plain" for a ReLU or ReLU6, "leaky" for one with a slope, None for what TFLite has no op for."""
    most, slope, threshold = layer.max_value, float(layer.negative_slope or 0), float(layer.threshold or 0)
    if threshold or (slope and most is not None) or most not in (None, 6):
        return None
    return "leaky" if slope else "plain"
