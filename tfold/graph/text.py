"""The text form of a node: one line for people."""
import numpy as np


def line(node):
    """Name (and label, where another), op, what it does, what it reads, output shape."""
    reads = ", ".join(str(ref) for ref in node.inputs)
    detail = _DETAILS[node.op](node.attrs) if node.op in _DETAILS else ""
    shape = "?" if node.shape is None else _times(node.shape[1:])
    name = node.name if node.label == node.name else f"{node.name} [{node.label}]"
    return f"  {name:<32} {node.op}{detail}({reads}) → {shape}"


def _times(numbers):
    return "×".join("?" if n is None else str(n) for n in numbers)


def _of(value):
    if np.ndim(value):
        return " of one value a channel"
    return f" of {value:g}" if value else ""


def _padding(pairs):
    if pairs is None:
        return " padding same"
    return f" padding {pairs}" if any(side for pair in pairs for side in pair) else ""


def _linear(attrs):
    linear = attrs["map"]
    parts = [f" kernel {_times(linear.kernel.shape)}"]
    parts += [f" strides {linear.strides}"] if any(s > 1 for s in linear.strides) else []
    parts += [f" dilation {linear.dilation}"] if any(d > 1 for d in linear.dilation) else []
    parts += [" transposed" if linear.transposed else _padding(linear.padding)]
    parts += [f" groups {linear.groups}"] if linear.groups > 1 else []
    return "".join(parts) + (" bias map" if linear.has_bias_map else "")


def _pool(attrs):
    if attrs["window"] is None:
        return f" global {attrs['kind']}"
    strides = f" strides {attrs['strides']}" if attrs["strides"] != attrs["window"] else ""
    return f" {attrs['kind']} {_times(attrs['window'])}{strides}{_padding(attrs['padding'])}"


_DETAILS = {
    "linear": _linear,
    "affine": lambda attrs: f" {attrs['kind']}",
    "activation": lambda attrs: f" {attrs['fn']}",
    "alpha": lambda attrs: f" {attrs['fn']} α={attrs['alpha']:.3f}",
    "concat": lambda attrs: f" axis {attrs['axis']}",
    "slice": lambda attrs: f" {attrs['start']}:{attrs['stop']}",
    "pool": _pool,
    "pad": lambda attrs: f" {attrs['padding']}" + _of(attrs["value"]),
    "crop": lambda attrs: f" {attrs['cropping']}",
    "upsample": lambda attrs: f" {attrs['interpolation']} {_times(attrs['factors'])}",
    "permute": lambda attrs: f" {attrs['axes']}",
}
