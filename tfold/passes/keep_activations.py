"""Arithmetic that is a part of an activation function stays there: runtimes have one operation for the whole.

    x ─┬─▶ + 3 ─▶ ReLU6 ─▶ · 1/6 ─▶ × ─▶        HARD_SWISH       with the + 3 in the layer before: MUL, ADD, MUL
       └────────────────────────────┘

Of this form, x·g(x) with a ReLU6 or an error function in g, are hard swish and GELU where they are written out, as in
the MobileNetV3 of Keras 2.
"""
from tfold.reasons import PART_OF_ACTIVATION

WHY = "{} is a product of functions of one tensor"


def keep_activations(graph, report, options):
    """Mark the arithmetic in every such product: `attrs["stays"]`."""
    consumers = graph.consumers()
    for node in graph:
        if node.op != "multiply" or len(node.inputs) != 2:
            continue
        paths = [_path(graph, ref) for ref in node.inputs]
        common = next((ref for ref in paths[0] if ref in paths[1]), None)
        if common is None:
            continue
        first, second = ([graph[ref] for ref in path[: path.index(common)]] for path in paths)
        inside = first + second
        if all(map(_is_arithmetic, first)) == all(map(_is_arithmetic, second)) or not any(map(_bends, inside)):
            continue
        readers = consumers[node.ref]
        if len(readers) == 1 and readers[0] is not None and _is_arithmetic(readers[0]) and not (
                readers[0].attrs["affine"].shift.any()):
            inside.append(readers[0])
        for each in inside:
            if _is_arithmetic(each):
                each.attrs["stays"] = PART_OF_ACTIVATION, WHY.format(node.label)


def _bends(node):
    return node.op == "opaque" or (node.op == "activation" and node.attrs["params"].get("max_value") == 6)


def _path(graph, ref):
    """A tensor, and those that it is made of through functions of one tensor alone, the first of them last."""
    path = [ref]
    while _is_arithmetic(graph[ref]) or graph[ref].op in ("activation", "opaque") and len(graph[ref].inputs) == 1:
        if len(graph[ref].shapes) > 1:
            break
        ref = graph[ref].inputs[0]
        path.append(ref)
    return path


def _is_arithmetic(node):
    return node.op == "affine" and node.attrs["kind"] == "arithmetic"
