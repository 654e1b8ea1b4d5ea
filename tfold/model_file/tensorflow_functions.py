"""TensorFlow's functions that a Keras 2 model may call: those that compute.

Keras 2 takes functions into a model (`x + 1`, `tf.nn.relu(x)`) and saves their public names, and loading looks such a
name up in all of TensorFlow, where other functions write files or run Python.
"""
import keras

_TF_NAMESPACES = {"math", "nn", "linalg", "signal", "bitwise", "__operators__", "dtypes"}
_TF_IMAGE = {"resize", "resize_with_pad", "resize_with_crop_or_pad", "adjust_brightness", "adjust_contrast",
             "central_crop", "crop_to_bounding_box", "pad_to_bounding_box", "flip_left_right", "flip_up_down",
             "per_image_standardization", "rgb_to_grayscale", "grayscale_to_rgb", "convert_image_dtype",
             "extract_patches", "crop_and_resize", "transpose", "rot90", "resize_bilinear",
             "resize_nearest_neighbor", "non_max_suppression", "combined_non_max_suppression", "total_variation",
             "ssim", "psnr", "sobel_edges", "image_gradients"}
_TF_FUNCTIONS = {
    "abs", "acos", "acosh", "add", "add_n", "argmax", "argmin", "argsort", "asin", "asinh", "atan", "atan2",
    "atanh", "batch_to_space", "batch_to_space_nd", "boolean_mask", "broadcast_dynamic_shape",
    "broadcast_static_shape", "broadcast_to", "cast", "clip_by_global_norm", "clip_by_norm", "clip_by_value",
    "complex", "concat", "constant", "convert_to_tensor", "cos", "cosh", "cumsum", "depth_to_space", "div",
    "divide", "dynamic_partition", "dynamic_stitch", "einsum", "equal", "erf", "exp", "expand_dims", "eye", "fill",
    "floor", "floordiv", "gather", "gather_nd", "greater", "greater_equal", "identity", "less", "less_equal",
    "linspace", "log", "log_sigmoid", "logical_and", "logical_not", "logical_or", "matmul", "maximum", "meshgrid",
    "minimum", "mod", "multiply", "negative", "norm", "not_equal", "one_hot", "ones", "ones_like", "pad", "pow",
    "random.normal", "random.uniform", "range", "rank", "realdiv", "reduce_all", "reduce_any", "reduce_logsumexp",
    "reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum", "repeat", "reshape", "reverse",
    "reverse_sequence", "roll", "round", "rsqrt", "scalar_mul", "searchsorted", "sequence_mask", "shape",
    "sigmoid", "sign", "sin", "sinh", "size", "slice", "sort", "space_to_batch", "space_to_batch_nd",
    "space_to_depth", "split", "sqrt", "square", "squeeze", "stack", "stop_gradient", "strided_slice", "subtract",
    "tan", "tanh", "tensor_scatter_nd_update", "tensordot", "tile", "to_float", "to_int32", "transpose", "truediv",
    "truncatediv", "truncatemod", "unique", "unstack", "where", "zeros", "zeros_like",
}
_KERAS2_BACKEND = {
    "abs", "argmax", "argmin", "batch_dot", "batch_flatten", "bias_add", "cast", "clip", "concatenate", "constant",
    "cumprod", "cumsum", "dot", "elu", "equal", "exp", "expand_dims", "flatten", "gather", "greater", "hard_sigmoid",
    "l2_normalize", "less", "log", "max", "maximum", "mean", "min", "minimum", "permute_dimensions", "pow", "prod",
    "relu", "repeat", "repeat_elements", "reshape", "resize_images", "reverse", "round", "shape", "sigmoid", "sign",
    "softmax", "softplus", "softsign", "spatial_2d_padding", "sqrt", "square", "squeeze", "stack", "std", "sum", "tanh",
    "tile", "transpose", "var", "zeros_like", "ones_like",
}


def only_computes(symbol):
    """Return whether a function of TensorFlow, by its public name without "tf.", computes and does nothing else.

    Example:

    >>> only_computes("math.add"), only_computes("io.write_file")
    (True, False)
    """
    if not isinstance(symbol, str):
        return False
    symbol = symbol.removeprefix("compat.v1.").removeprefix("compat.v2.")
    place, _, name = symbol.rpartition(".")
    if place in ("keras.backend", "keras.activations", "_keras.backend"):
        return name in _KERAS2_BACKEND or hasattr(keras.activations, name)
    return place in _TF_NAMESPACES or symbol in _TF_FUNCTIONS or (place == "image" and name in _TF_IMAGE)
