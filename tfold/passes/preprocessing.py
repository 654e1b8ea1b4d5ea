"""A network that is to be trained further keeps its preprocessing.

    x ─▶ rescale ─▶ conv             x ─▶ conv'                    exact, but a step that suited the one is 127.5² times
    0…255   ±1     kernel      ⇒    0…255  kernel / 127.5         too long for the other: its gradients are that much
                                                                   larger beside its weights

Folded at the end, behind the training, it costs nothing. So `fold(preprocessing="keep")` makes walls of it first.
"""
import numpy as np

from tfold import reasons

# A first layer that takes in a factor makes steps that are its square too long. What standardises seldom exceeds this.
HARMLESS = 4
TINY = 1e-30
MOVING = ("slice", "concat", "pad", "crop", "upsample", "reshape", "permute", "pool", "identity")


def keep_preprocessing(graph, report, options):
    """Make walls of the arithmetic and batch norms that stand between an input and the first layer behind it."""
    if options.preprocessing == "fold":
        return
    for node in standing_first(graph):
        node.attrs = {"is_linear": False, "batch_norms": int(node.attrs["kind"] == "batch_norm"),
                      "why": "the network is to be trained further", "reason": reasons.PREPROCESSING,
                      "homogeneous": False}
        node.op = "opaque"


def standing_first(graph):
    """The affine nodes in front of which no layer has done anything but move pixels."""
    raw, found = set(), []
    for node in graph:
        before = all(ref.node in raw for ref in node.inputs)
        if before and node.op == "affine":
            found.append(node)
        if before and (node.op in ("input", "affine", *MOVING) or _learns_nothing(node)):
            raw.add(node.name)
    return found


def adapted_to(graph):
    """What the first layers say of the numbers that the network is made for: their statistics, at its inputs.

    Args:
        graph: as captured.

    Returns:
        Input name → `(mean, deviation)`, arrays of one number a channel, NaN where no layer tells.
    """
    found = {}
    for node in standing_first(graph):
        if "statistics" in node.attrs:
            _carry_back(graph, node.inputs[0], np.array(node.attrs["statistics"]), found)
    return found


def _carry_back(graph, ref, statistics, found):
    """Write down what statistics of a tensor, 2 × channels, say of the inputs that it comes from."""
    node, shape = graph[ref], graph.shape(ref)
    if shape is None or shape[-1] != statistics.shape[1]:
        return
    if node.op == "input":
        known = found.setdefault(node.name, np.full(statistics.shape, np.nan))
        known[:] = np.where(np.isnan(known), statistics, known)
    elif node.op == "affine" and node.attrs["affine"].is_finite and node.attrs["affine"].scale.all():
        affine = node.attrs["affine"]
        _carry_back(graph, node.inputs[0], np.array([
            affine.inverse()(statistics[0]), statistics[1] / np.abs(affine.scale)]), found)
    elif node.op == "slice":
        channels = graph.shape(node.inputs[0])[-1] or node.attrs["stop"]
        whole = np.full((2, channels), np.nan)
        whole[:, node.attrs["start"] : node.attrs["stop"]] = statistics
        _carry_back(graph, node.inputs[0], whole, found)
    elif node.op == "concat" and node.attrs["axis"] == len(shape) - 1:
        ends = np.cumsum([graph.shape(part)[-1] for part in node.inputs])
        for part, of_part in zip(node.inputs, np.split(statistics, ends[:-1], axis=1), strict=True):
            _carry_back(graph, part, of_part, found)
    elif node.op in ("pad", "crop", "upsample", "pool", "identity", "opaque") and len(node.inputs) == 1:
        _carry_back(graph, node.inputs[0], statistics, found)


def folded_numbers(before, after):
    """Labels of the preprocessing that a fold has taken in, where its numbers are large enough to spoil a training.

    Args:
        before, after: the `Graph` before and after the passes.
    """
    return tuple(node.label for node in scaling_first(before)
                 if not (node.name in after.nodes and after[node.name].intact))


def scaling_first(graph):
    """The nodes among `standing_first` with a large factor: a network that has one takes pixels, not small numbers."""
    return [node for node in standing_first(graph)
            if np.abs(np.log(np.abs(node.attrs["affine"].scale) + TINY)).max() > np.log(HARMLESS)]


def _learns_nothing(node):
    """Layers that resize or augment images, for instance."""
    return node.op == "opaque" and not getattr(node.layer, "weights", ())
