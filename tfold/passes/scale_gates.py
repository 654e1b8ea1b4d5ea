"""A factor on a gate goes through the product into the layers behind it.

    x ───────────────▶ × ─▶ conv        ⇒    x ─────────▶ × ─▶ conv'
    gate ─▶ · 1/6 ─▶ ──┘                     gate ─▶ ─────┘

MobileNetV3 writes its hard sigmoid as relu6(x + 3) · 1/6: the 3 goes into the convolution before, the 1/6 here.
"""
import numpy as np

from tfold.algebra.affine import Affine

RULE = "fold_arithmetic"


def scale_gates(graph, report, options):
    """Move every such factor that all readers of the product can absorb."""
    for node in graph:
        if node.op != "affine" or node.attrs["affine"].shift.any() or not node.attrs["affine"].is_finite:
            continue
        consumers = graph.consumers()
        product = consumers[node.ref][0] if len(consumers[node.ref]) == 1 else None
        if product is None or product.op != "multiply" or product.shape is None or product.dtype != node.dtype:
            continue
        readers = consumers[product.ref]
        if not readers or not all(_absorbs(reader, node) for reader in readers):
            continue
        scale = np.broadcast_to(node.attrs["affine"].scale, product.shape[-1:])
        for reader in readers:
            reader.attrs["map"] = reader.map.fed_by(Affine(scale, np.zeros(scale.shape)))
            reader.intact = False
        readers[0].covers = node.covers + readers[0].covers
        product.inputs = tuple(node.inputs[0] if ref == node.ref else ref for ref in product.inputs)
        graph.rename(product, f"{product.name}_unscaled")  # it makes other numbers from now on
        graph.remove(node)
        report.did(RULE, [node.label, *(reader.label for reader in readers)], f"folded into {readers[0].label}")


def _absorbs(reader, node):
    return reader is not None and reader.op == "linear" and not reader.shared and reader.dtype == node.dtype
