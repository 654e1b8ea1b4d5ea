"""Which shape an op of the IR makes of the shapes it reads: what a pass must not contradict.

Shapes are tuples, batch first, None for an axis that is open.
"""


def spatial_rank(shape):
    """Number of axes between the batch and the channels."""
    return max(len(shape) - 2, 0)


def infer(op, attrs, shapes):
    """The shape of what a node makes.

    Args:
        op, attrs: of the node.
        shapes: for each tensor that it reads its shape, none of them None.

    Returns:
        A tuple; None where the op does not say (`input`, `opaque`).

    Raises:
        ValueError: the shapes do not go together; the text says which.

    Example:

    >>> infer("slice", {"start": 1, "stop": 3}, [(None, 8, 8, 4)])
    (None, 8, 8, 2)
    """
    return _INFER[op](attrs, *shapes) if op in _INFER else None


def agree(a, b):
    """Whether two shapes can be one tensor's: equal but for axes that one of them leaves open."""
    return len(a) == len(b) and all(n == m or n is None or m is None for n, m in zip(a, b, strict=True))


def _same(attrs, shape):
    return shape


def _linear(attrs, shape):
    linear = attrs["map"]
    if not linear.rank:
        return (*shape[:-1], linear.outputs)
    return (shape[0], *linear.output_size(shape[1:-1]), linear.outputs)


def _add(attrs, first, *others):
    for other in others:
        if not agree(first, other):
            raise ValueError(f"tensors of one shape are added, not {first} and {other}")
        first = tuple(m if n is None else n for n, m in zip(first, other, strict=True))
    return first


def _multiply(attrs, *shapes):
    if len({len(shape) for shape in shapes}) > 1:
        raise ValueError(f"tensors of equally many axes are multiplied, not {shapes}")
    return tuple(_broadcast(axis, shapes) for axis in zip(*shapes, strict=True))


def _broadcast(axis, shapes):
    sizes = {n for n in axis if n not in (1, None)}
    if len(sizes) > 1:
        raise ValueError(f"an axis is the same in all factors, or 1, not {shapes}")
    return sizes.pop() if sizes else None if None in axis else 1


def _concat(attrs, *shapes):
    axis = attrs["axis"]
    whole = _add({}, *(shape[:axis] + shape[axis + 1 :] for shape in shapes))
    sizes = [shape[axis] for shape in shapes]
    return (*whole[:axis], None if None in sizes else sum(sizes), *whole[axis:])


def _slice(attrs, shape):
    return (*shape[:-1], attrs["stop"] - attrs["start"])


def _pool(attrs, shape):
    if attrs["window"] is None:
        return (shape[0], *(1,) * (spatial_rank(shape) * attrs["keepdims"]), shape[-1])
    padding = attrs["padding"] or (None,) * len(attrs["window"])
    return (shape[0], *map(_windows, shape[1:-1], attrs["window"], attrs["strides"], padding), shape[-1])


def _windows(size, window, stride, pair):
    if size is None:
        return None
    return -(-size // stride) if pair is None else (size + sum(pair) - window) // stride + 1


def _sized(attr, function):
    def infer_size(attrs, shape):
        sizes = zip(shape[1:-1], attrs[attr], strict=True)
        return (shape[0], *(None if n is None else function(n, by) for n, by in sizes), shape[-1])

    return infer_size


def _reshape(attrs, shape):
    return (shape[0], *attrs["shape"])


def _permute(attrs, shape):
    return tuple(shape[axis] for axis in attrs["axes"])


_INFER = {
    "linear": _linear, "affine": _same, "activation": _same, "alpha": _same, "identity": _same,
    "add": _add, "multiply": _multiply, "concat": _concat, "slice": _slice, "pool": _pool,
    "pad": _sized("padding", lambda n, pair: n + sum(pair)),
    "crop": _sized("cropping", lambda n, pair: n - sum(pair)),
    "upsample": _sized("factors", lambda n, factor: n * factor),
    "reshape": _reshape, "permute": _permute,
}
