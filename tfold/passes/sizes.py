"""How large tensors are likely to be where the model leaves it open: an input of 224 pixels, and what follows from it.

Costs need a number, and one that shrinks behind a stride: nothing else may depend on it.
"""
from tfold.graph import shapes
from tfold.graph.ir import Ref

INPUT_SIZE = 224


def likely_shapes(graph):
    """`Ref` → shape of each tensor with every open axis but the batch filled in; None where nothing is known."""
    found = {}
    for node in graph:
        sources = [found[ref] for ref in node.inputs]
        for i, shape in enumerate(node.shapes):
            open_axes = shape is not None and None in shape[1:]
            found[Ref(node.name, i)] = _filled(node, shape, sources) if open_axes else shape
    return found


def _filled(node, shape, sources):
    guess = (None,) * len(shape)
    if node.op != "input" and None not in sources:
        guess = _inferred(node, sources) or guess
        if None in guess[1:] and len(sources[0]) == len(shape):  # a layer that tfold does not know, say
            guess = tuple(a if a is not None else b for a, b in zip(guess, sources[0], strict=True))
    filled = zip(shape[1:], guess[1:], strict=True)
    return (shape[0], *(known if known is not None else guessed or INPUT_SIZE for known, guessed in filled))


def _inferred(node, sources):
    if node.op == "linear" and node.map.rank and (node.map.padding is None or node.map.transposed):
        size = zip(sources[0][1:-1], node.map.strides, strict=True)
        made = (n * s if node.map.transposed else -(-n // s) for n, s in size)
        return (sources[0][0], *made, node.map.outputs)
    try:
        return shapes.infer(node.op, node.attrs, sources)
    except ValueError:
        return None
