"""What a layer insists on, in words."""
from typing import NamedTuple

from tfold import reasons


class Demand(NamedTuple):
    """What a layer insists on: a reason of `reasons` if it is that which keeps a batch norm, and words."""

    reason: str
    detail: str


def wall_demand(node):
    """Of a node that reads and makes tensors as they are."""
    if node.op == "input":
        return Demand(reasons.GRAPH_BOUNDARY, f"{node.label} is an input of the network")
    if node.op in ("activation", "alpha"):
        return Demand(reasons.ACTIVATION_BETWEEN, f"{node.label} is not linear")
    if node.op == "opaque":
        return Demand(reasons.UNKNOWN_LAYER, f"{node.label} is kept as it is")
    return Demand(reasons.PIXELS_MOVE, f"{node.label} is kept as it is")
