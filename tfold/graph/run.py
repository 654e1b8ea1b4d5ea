"""`Graph` evaluated in NumPy: the reference that passes and Keras models are checked against.

    tensors = run(graph, [images])
    tensors[graph.outputs[0]]

Everything is computed in float64, whatever the layers compute in: the result is what the network means, without the
rounding of its own type of number. A float32 network lies about 1e-6 of a tensor's largest value away from it, more
where large numbers cancel; the same network made in float64 (`build(graph, "float64")`) lies at 1e-15.
"""
from dataclasses import replace

import numpy as np

from tfold.algebra.linear_map import same_padding
from tfold.errors import BadInputError, TfoldError
from tfold.graph import functions, shapes
from tfold.graph.ir import Ref
from tfold.graph.run_windows import convolve_transposed, pool, upsample


def run(graph, inputs, wall=None):
    """Evaluate every node.

    Args:
        graph: a valid `Graph`.
        inputs: an array for each of the graph's inputs, batch first, in their order or in a dict by name.
        wall: what computes the nodes that the IR cannot, `opaque` ones and functions of the user's own: a function
            `(node, arrays) → arrays` of what the node reads and makes. None: a network with such a node is an error.

    Returns:
        A dict from `Ref` to array, of every tensor in the network: float64, but for integers that no arithmetic met.

    Raises:
        BadInputError: an input is missing, unknown or of another shape.
        TfoldError: a node cannot be evaluated; names it.

    Example:

    >>> graph = capture(keras.Sequential([keras.Input((3,)), keras.layers.ReLU()]))
    >>> run(graph, [np.array([[-1.0, 0.0, 2.0]])])[graph.outputs[0]]
    array([[0., 0., 2.]])
    """
    given = _by_name(graph, inputs)
    tensors = {}
    for node in graph:
        arrays = [given[node.name]] if node.op == "input" else [tensors[ref] for ref in node.inputs]
        made = _run_node(node, arrays, wall)
        tensors.update({Ref(node.name, i): array for i, array in enumerate(made)})
    return tensors


def _by_name(graph, inputs):
    if not isinstance(inputs, dict):
        if len(inputs) != len(graph.inputs):
            raise BadInputError(f"A network is run on as many arrays as it has inputs, {len(graph.inputs)}. "
                                f"Received: {len(inputs)}")
        inputs = dict(zip(graph.inputs, inputs, strict=True))
    if set(inputs) != set(graph.inputs):
        raise BadInputError(f"A network's inputs are {', '.join(graph.inputs)}. Received: {', '.join(inputs)}")
    arrays = {name: _as_array(array) for name, array in inputs.items()}
    for name, array in arrays.items():
        shape = graph[name].shape
        if shape is not None and not shapes.agree(shape, array.shape):
            raise BadInputError(f"Input {name} has the shape {shape}. Received: {array.shape}")
    return arrays


def _as_array(array):
    """Floating-point numbers of any type in float64; others as they are: they may be what a wall looks up."""
    array = np.asarray(array)
    return array if array.dtype.kind in "iub" else array.astype(np.float64)


def _run_node(node, arrays, wall):
    custom = node.op in ("activation", "alpha") and not functions.knows(node.attrs["fn"])
    if node.op == "opaque" or custom:
        if wall is None:
            kind = f"a {type(node.layer).__name__}" if node.op == "opaque" else "a function of its own"
            raise TfoldError(f"Only what tfold knows can be run. Received: {node.name}, {kind}. "
                             "Give run() a wall(node, arrays) that computes it.")
        made = [_as_array(array) for array in wall(node, arrays)]
        if len(made) != len(node.shapes):
            raise TfoldError(f"A wall gives back every tensor that its node makes. Received: {len(made)} of "
                             f"{len(node.shapes)} for {node.name}")
        return made
    return [_OPS[node.op](node, *arrays)]


def _input(node, x):
    return x


def _linear(node, x):
    linear = node.map
    if linear.transposed:
        if node.shape is None or None in node.shape[1:-1]:
            raise TfoldError("The output size of a transposed convolution tells where it begins. "
                             f"Received: {node.name}, whose size is open")
        return convolve_transposed(linear, x, node.shape[1:-1])
    if linear.padding is None:
        linear = replace(linear, padding=same_padding(x.shape[1:-1], linear.extent, linear.strides))
    return linear.apply(x)


def _affine(node, x):
    return node.attrs["affine"](x)


def _activation(node, x):
    return functions.compute(node.attrs["fn"], node.attrs["params"], x)


def _alpha(node, x):
    alpha = node.attrs["alpha"]
    return alpha * x + (1 - alpha) * _activation(node, x)


def _add(node, *terms):
    weights = node.attrs.get("weights", (1,) * len(terms))
    return sum(weight * term for weight, term in zip(weights, terms, strict=True))


def _multiply(node, first, *others):
    for other in others:
        first = first * other
    return first


def _concat(node, *parts):
    return np.concatenate(parts, axis=node.attrs["axis"])


def _slice(node, x):
    return x[..., node.attrs["start"] : node.attrs["stop"]]


def _pool(node, x):
    attrs = node.attrs
    if attrs["window"] is None:
        axes = tuple(range(1, x.ndim - 1))
        function = np.max if attrs["kind"] == "max" else np.mean
        return function(x, axis=axes, keepdims=attrs["keepdims"])
    padding = attrs["padding"] or same_padding(x.shape[1:-1], attrs["window"], attrs["strides"])
    return pool(x, attrs["kind"], attrs["window"], attrs["strides"], padding)


def _pad(node, x):
    value = np.asarray(node.attrs["value"])  # padding with zeros, of what differs from it
    return np.pad(x - value, [(0, 0), *node.attrs["padding"], (0, 0)]) + value if value.any() else np.pad(
        x, [(0, 0), *node.attrs["padding"], (0, 0)])


def _crop(node, x):
    spatial = [slice(before, n - after)
               for n, (before, after) in zip(x.shape[1:-1], node.attrs["cropping"], strict=True)]
    return x[(slice(None), *spatial)]


def _upsample(node, x):
    if node.attrs["interpolation"] not in ("nearest", "bilinear"):
        raise TfoldError("Upsampling is run where it is nearest or bilinear. "
                         f"Received: {node.name} with {node.attrs['interpolation']}")
    return upsample(x, node.attrs["factors"], node.attrs["interpolation"])


def _reshape(node, x):
    return x.reshape(len(x), *(-1 if n is None else n for n in node.attrs["shape"]))


def _permute(node, x):
    return x.transpose(node.attrs["axes"])


_OPS = {
    "input": _input, "linear": _linear, "affine": _affine, "activation": _activation, "alpha": _alpha, "add": _add,
    "multiply": _multiply, "concat": _concat, "slice": _slice, "pool": _pool, "pad": _pad, "crop": _crop,
    "upsample": _upsample, "reshape": _reshape, "permute": _permute, "identity": _input,
}
