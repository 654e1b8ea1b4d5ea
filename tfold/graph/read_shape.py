"""What has no weights and is no function: sums, products, pools, and what moves pixels and channels about."""
from tfold.graph import shapes
from tfold.graph.family import KERAS, family_of
from tfold.graph.keras_config import is_plain_call
from tfold.graph.read_linear import read_padding
from tfold.graph.step import Step, keeps_floats


def merge(op):
    def read(layer, call):
        known = len(call.in_shapes) > 1 and None not in call.in_shapes and keeps_floats(call)
        # An addition that broadcasts is none of ours: a bias map, or a shift by sample.
        if not known or (op == "add" and len(set(call.in_shapes)) > 1):
            return None
        try:
            shapes.infer(op, {}, call.in_shapes)
        except ValueError:
            return None  # of different ranks, which layers and operators line up differently
        return [Step(op, {}, call.out_shapes)]

    return read


def _weighted(weights):
    """An addition with a factor on each tensor: a difference, a mean."""

    def read(layer, call):
        steps = merge("add")(layer, call)
        if steps:
            steps[0].attrs["weights"] = weights(len(call.in_shapes))
        return steps

    return read


_difference = _weighted(lambda n: (1.0, -1.0))


def _scaled_residual(layer, call):
    """InceptionResNetV2's x + scale · y."""
    return _weighted(lambda n: (1.0, float(layer.scale)))(layer, call)


def _concat(layer, call):
    if call.moved:
        rank = len(call.in_shapes[0])
        return concat((0, *range(2, rank), 1).index(layer.axis % rank), call)
    return concat(layer.axis, call)


def concat(axis, call):
    if None in call.in_shapes or len({len(shape) for shape in call.in_shapes}) > 1 or len(call.in_shapes) < 2:
        return None
    axis %= len(call.in_shapes[0])
    fits = keeps_floats(call) or len(set(call.in_dtypes)) == 1
    # Along the batch, samples would no longer be each other's strangers.
    return [Step("concat", {"axis": axis}, call.out_shapes)] if axis and fits else None


def _pool(kind):
    def read(layer, call):
        window, strides = tuple(layer.pool_size), tuple(layer.strides)
        padding = read_padding(layer, window, strides, (1,) * len(window), call.in_shapes[0])
        attrs = {"kind": kind, "window": window, "strides": strides, "padding": padding, "keepdims": False}
        return [Step("pool", attrs, call.out_shapes)] if keeps_floats(call) else None

    return read


def _global_pool(kind):
    def read(layer, call):
        attrs = {"kind": kind, "window": None, "strides": None, "padding": None, "keepdims": bool(layer.keepdims)}
        return [Step("pool", attrs, call.out_shapes)] if keeps_floats(call) else None

    return read


def _pairs(given):
    """What a layer of one axis or several keeps as its padding or cropping, as pairs."""
    return (tuple(given),) if isinstance(given[0], int) else tuple(tuple(pair) for pair in given)


def _zero_padding(layer, call):
    pairs = _pairs(layer.padding)
    if any(side < 0 for pair in pairs for side in pair):
        return None
    return [Step("pad", {"padding": pairs, "value": 0.0}, call.out_shapes)]


def _pad(operation, call):
    value = call.kwargs.get("constant_values", call.args[1] if len(call.args) == 2 else None)
    return pad(operation.pad_width, value, call) if operation.mode == "constant" else None


def pad(width, value, call):
    pairs, shape = tuple(tuple(pair) for pair in width), call.in_shapes[0]
    if shape is None or len(shape) < 3 or len(pairs) != len(shape):
        return None
    is_number = value is None or (isinstance(value, (int, float)) and abs(value) < float("inf"))
    if not is_number or any(len(pair) != 2 or min(pair) < 0 for pair in pairs) or any((*pairs[0], *pairs[-1])):
        return None
    return [Step("pad", {"padding": pairs[1:-1], "value": float(value or 0)}, call.out_shapes)]


def _crop(layer, call):
    return [Step("crop", {"cropping": _pairs(layer.cropping)}, call.out_shapes)]


def _upsample(layer, call):
    factors = (layer.size,) if isinstance(layer.size, int) else tuple(layer.size)
    interpolation = getattr(layer, "interpolation", "nearest")
    if interpolation != "nearest" and not keeps_floats(call):
        return None
    return [Step("upsample", {"factors": factors, "interpolation": interpolation}, call.out_shapes)]


def _reshape(layer, call):
    shape = call.out_shapes[0]
    return None if shape is None else _reshape_to(shape[1:], call)


def _reshape_operation(operation, call):
    return reshape(operation.newshape, call)


def reshape(wanted, call):
    before, after, wanted = call.in_shapes[0], call.out_shapes[0], tuple(wanted)
    if before is None or after is None or not all(isinstance(n, int) for n in wanted):
        return None
    if wanted[:1] == (-1,):
        # Only where all else is known it is sure that -1 stands for the batch.
        keeps_batch = None not in before[1:] and None not in after[1:] and _count(before) == _count(after)
    else:
        keeps_batch = wanted[:1] == before[:1]
    return _reshape_to(after[1:], call) if keeps_batch else None


def _reshape_to(shape, call):
    shape = tuple(shape)
    return [Step("reshape", {"shape": shape}, call.out_shapes)] if shape.count(None) <= 1 else None


def _count(shape):
    count = 1
    for n in shape[1:]:
        count *= n
    return count


def _permute(layer, call):
    return [Step("permute", {"axes": (0, *layer.dims)}, call.out_shapes)]


def _transpose(operation, call):
    return transpose(operation.axes, call)


def transpose(axes, call):
    shape = call.in_shapes[0]
    if axes is None or shape is None or len(axes) != len(shape):
        return None
    axes = tuple(axis % len(shape) for axis in axes)
    return [Step("permute", {"axes": axes}, call.out_shapes)] if axes[0] == 0 else None


def _slice(operation, call):
    return None if call.kwargs or len(call.args) != 2 else channels(call.args[1], call)


def channels(key, call):
    """x[..., a:b] and x[:, :, a:b]: neighbouring channels."""
    shape = call.in_shapes[0]
    if shape is None or len(shape) < 2 or shape[-1] is None:
        return None
    key = list(key) if isinstance(key, (tuple, list)) else [key]
    *others, last = key or [None]
    names_all = Ellipsis in others and len(others) <= len(shape) or len(key) == len(shape)
    if not names_all or not isinstance(last, slice) or not all(map(_is_whole, others)):
        return None
    try:
        start, stop, step = slice(last.start, last.stop, last.step).indices(shape[-1])
    except (TypeError, ValueError):
        return None
    return [Step("slice", {"start": start, "stop": stop}, call.out_shapes)] if step == 1 and start < stop else None


def _is_whole(part):
    return part is Ellipsis or (
        isinstance(part, slice) and part.stop is None and part.start in (None, 0) and part.step in (None, 1))


def _identity(layer, call):
    return [Step("identity", {}, call.out_shapes)]


def _augmentation(layer, call):
    """Layers that only augment images: their calls bear training=True, which a model replaces at inference."""
    others = {name: value for name, value in call.kwargs.items() if name != "training"}
    if family_of(layer) is not KERAS or not is_plain_call(call.args, others, 1):
        return None
    return _identity(layer, call)


# RandomCrop is none of these: at inference it takes the middle.
AUGMENTING = (
    "AugMix", "CutMix", "MixUp", "RandAugment", "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter",
    "RandomContrast", "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale",
    "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation",
    "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom")
READERS = {("layers", f"{kind}Pooling{n}D"): _pool(kind.lower()) for kind in ("Max", "Average") for n in (1, 2, 3)}
READERS |= {
    ("layers", f"Global{kind}Pooling{n}D"): _global_pool(kind.lower()) for kind in ("Max", "Average") for n in (1, 2, 3)
}
READERS |= {("layers", f"{kind}{n}D"): read for n in (1, 2, 3) for kind, read in (
    ("ZeroPadding", _zero_padding), ("Cropping", _crop), ("UpSampling", _upsample))}
IDENTITIES = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout", "GaussianNoise",
              "AlphaDropout", "ActivityRegularization", "Identity")
READERS |= {("layers", name): _identity for name in IDENTITIES}
READERS |= {(home, name): read for home in ("layers", "ops") for name, read in (
    ("Add", merge("add")), ("Multiply", merge("multiply")), ("Concatenate", _concat))}
READERS |= {("layers", "Subtract"): _difference, ("ops", "Subtract"): _difference,
            ("layers", "Average"): _weighted(lambda n: (1 / n,) * n)}
READERS |= {("layers", "Flatten"): _reshape, ("layers", "Reshape"): _reshape, ("ops", "Reshape"): _reshape_operation,
            ("layers", "Permute"): _permute, ("ops", "Transpose"): _transpose}
READERS |= {(f"{family}.src.applications.inception_resnet_v2", "CustomScaleLayer"): _scaled_residual
            for family in ("keras", "tf_keras")}
# These look at the arguments of the call by themselves.
READERS_OF_CALLS = {("ops", "Pad"): _pad, ("ops", "GetItem"): _slice} | {
    ("layers", name): _augmentation for name in AUGMENTING}
