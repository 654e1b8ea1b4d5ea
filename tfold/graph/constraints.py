"""Constraints and regularizers of layers whose weights a fold changed.

    Conv2D(kernel_constraint=UnitNorm()) ─▶ bn        ⇒        Conv2D

A constraint forces weights back to what was trained, at the next step of a training: a kernel of norm one, into which a
batch norm was folded, would lose the batch norm. So it stays only where the weight is what it was. A regularizer adds
to the loss and changes no weight by itself; it stays, and pulls at the weights that there are now.
"""
from dataclasses import dataclass

import numpy as np

from tfold.graph.family import is_layer, is_operation
from tfold.graph.step import numpy

WEIGHTS = "kernel", "depthwise", "pointwise", "bias", "gamma", "beta"


@dataclass(frozen=True)
class DroppedConstraint:
    """A constraint that the folded network does not have any more.

    Args:
        layer: the original layer.
        home: the layer of the folded network that computes it now.
        weight: "kernel", "depthwise", "pointwise", "bias", "gamma" or "beta".
        constraint: its class.
    """

    layer: str
    home: str
    weight: str
    constraint: str

    def __str__(self):
        where = "" if self.home == self.layer else f", now in {self.home}"
        return f"{self.layer}{where}: {self.constraint} of its {self.weight}, which is another one now"


def dropped_constraints(original, folded, homes):
    """A `DroppedConstraint` for each that went.

    Args:
        original, folded: the `Graph` before and after the passes.
        homes: original layer → layer of the folded model.
    """
    found, seen = [], set()
    for node in original:
        layer, title = node.layer, next((name for name in node.covers if name in homes), None)
        if not is_layer(layer) or title is None or id(layer) in seen:
            continue
        seen.add(id(layer))
        now = [each for each in folded if each.layer is layer]
        if node.op not in ("linear", "affine") or any(each.intact for each in now) or (node.op == "affine" and not now):
            continue  # of a batch norm that is gone, the constraint is gone with it
        kept = {name for each in now if each.op == "linear" for name in _kept(each)}
        found += [DroppedConstraint(title, homes[title], name, type(constraint).__name__)
                  for name, constraint in _constraints(layer).items() if name not in kept]
    return tuple(found)


def settings_for(node, template):
    """What a new layer gets of the settings of the one that a linear node came from.

    Args:
        node: a linear node.
        template: the configuration of its layer.

    Returns:
        dict: kernel_ and bias_, _regularizer and _constraint.
    """
    if is_operation(node.layer):
        return {}
    kernel, kept = kernel_name(node), _kept(node) if _constraints(node.layer) else ()
    found = {}
    for name, old in (("kernel", kernel), ("bias", "bias")):
        if name == "kernel" and (old == "depthwise") != node.map.is_depthwise:
            continue  # one was merged into the other: its numbers mean something else there
        found[f"{name}_regularizer"] = template.get(f"{old}_regularizer")
        found[f"{name}_constraint"] = template.get(f"{old}_constraint") if old in kept else None
    return found


def kernel_name(node):
    """What the layer that a linear node came from calls the kernel that the node is made of."""
    if hasattr(node.layer, "pointwise_kernel"):
        return "pointwise" if node.step else "depthwise"
    return "depthwise" if hasattr(node.layer, "depthwise_constraint") else "kernel"


def _constraints(layer):
    found = {name: getattr(layer, f"{name}_constraint", None) for name in WEIGHTS}
    return {name: constraint for name, constraint in found.items() if constraint is not None}


def _kept(node):
    """Names of the weights that are what they were: the kernel, the bias."""
    layer, linear, name = node.layer, node.map, kernel_name(node)
    kernel = getattr(layer, "kernel" if name == "kernel" else f"{name}_kernel", None)
    kernel = numpy(layer.kernel if kernel is None else kernel)  # Keras 3 calls a depthwise kernel so
    if name == "depthwise":
        kernel = kernel.reshape(*kernel.shape[:-2], 1, -1)
    elif linear.transposed:
        kernel = np.swapaxes(kernel, -1, -2)
    bias = getattr(layer, "bias", None)
    same = {name: np.array_equal(kernel, linear.kernel),
            "bias": bias is not None and linear.bias is not None and np.array_equal(numpy(bias), linear.bias)}
    return {name for name, is_same in same.items() if is_same}
