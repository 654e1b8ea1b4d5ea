"""Scales for a network's channels that let quantisation to 8 bits lose least; the network computes the same.

    conv ─▶ t ─▶ relu ─▶ conv        ⇒        conv' ─▶ s·t ─▶ relu ─▶ s·relu(t) ─▶ conv'

A tensor is rounded in steps that its widest channel makes, a kernel's output in steps that its widest input makes. With
u = log s for each channel that may be scaled (the gauge's demands, scale alone and positive), the noise that reaches
the layers' outputs, relative to their signals, is

    Σ_tensors  (step of t)² · Σ_c A_c·e^(−2u_c)    +    Σ_kernels  Σ_o (step of output o)² · Σ_c P_c·e^(2u_c)

    step of t          (max_c hi_c·e^u_c + max_c lo_c·e^u_c) / 255      hi, lo: how far the channel goes up and down;
                        over all tensors that an int8 file stores in steps of one size (what a concatenation joins)
    step of output o    max_c |W_co|·e^(−u_c) / 127
    A_c                what the readers of channel c make of noise in it: Σ W_c² ÷ their signal
    P_c                mean square of the channel

which is convex in u: one minimum, where each channel's share of the noise that grows with u is that which falls. A
depthwise kernel has steps of its own for each channel, and its second term is the same for any u.

Source: cross-layer equalisation of Nagel et al. (arXiv 1906.04721), section 4.1, for kernels with a scale per channel,
with the tensors' ranges in the balance, and across additions, concatenations and pooling as well as pairs.
"""
from dataclasses import dataclass

import numpy as np

from tfold.algebra.affine import Affine
from tfold.passes.gauge import Gauge

SMOOTH = 8  # the power of the mean that stands for a maximum
ROUNDS = 400
SETTLED = 1e-3
# A channel that the samples hardly excite may be larger on other input, and is not blown up without limit.
FAINT = 1e-2
# What they make has the steps of what they read, in TFLite's int8 ops: it is rounded already.
PASSING_ON = ("concat", "pad", "reshape", "permute", "crop", "identity", "slice")
LARGEST = np.log(1e3)


@dataclass(frozen=True)
class Range:
    """How large a tensor's channels get: arrays `(channels,)`: furthest up and down (both ≥ 0), and mean square."""

    up: np.ndarray
    down: np.ndarray
    power: np.ndarray


@dataclass(frozen=True)
class Equalization:
    """What was found.

    Args:
        forms: `Ref` → `Affine`: in which form each tensor is stored.
        channels: how many channels, of all that have a scale of their own, could be scaled at all.
        total: how many there are.
        gain: noise before ÷ noise after, by the model above, in decibels.
    """

    forms: dict
    channels: int
    total: int
    gain: float


def equalize(graph, ranges):
    """Find the scales.

    Args:
        graph: a `Graph`, which is not changed: see `regauge`.
        ranges: `Ref` → `Range` of tensors, measured on real inputs; those that are never stored (a convolution's with
            its activation in it) may be missing.

    Returns:
        An `Equalization`.
    """
    gauge = Gauge(graph)
    classes, free = _classes(graph, gauge)
    noise = _Noise(graph, gauge, ranges, classes, free)
    before = noise.at(np.zeros(len(free)))[0]
    u = noise.smallest() if before else np.zeros(len(free))
    gain = 10 * np.log10(before / noise.at(u)[0]) if before else 0.0
    if gain <= 0:
        u, gain = np.zeros(len(free)), 0.0
    scale = np.exp(u[classes])
    forms = {ref: Affine(scale[of], np.zeros(len(of)))
             for ref, of in gauge.log_scale_of.items() if (scale[of] != 1).any()}
    return Equalization(forms, int(free.sum()), len(free), float(gain))


def _classes(graph, gauge):
    """Number of the class of each unknown: those of one class are equal; and which classes are not fixed at zero.

    A batch norm that stays becomes MUL and ADD, whose constants have one step for all channels: it keeps its own.
    """
    unknowns = gauge.scale
    parent = np.arange(unknowns.count)

    def root(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    fixed = [ones for ones, _ in unknowns.fixed]
    equal = [(gauge.log_scale_of[node.inputs[0]], gauge.log_scale_of[node.ref])
             for node in graph if node.op == "affine"]
    for relation in unknowns.relations:
        if len(relation.unknowns) == 2 and relation.coefficients == (1, -1):
            equal.append(relation.unknowns)
        else:  # products: what they multiply keeps its scale
            fixed += relation.unknowns
    for pair in equal:
        for a, b in zip(*pair, strict=True):
            parent[root(a)] = root(b)
    roots, classes = np.unique([root(i) for i in range(unknowns.count)], return_inverse=True)
    free = np.ones(len(roots), bool)
    for ones in fixed:
        free[classes[ones]] = False
    return classes, free


def _with_one_step(graph, class_of):
    """Tensors that an int8 file stores in steps of one size, as `(all of them, those that are rounded to it)`."""
    readers, group = graph.consumers(), {}
    for node in graph:
        if node.ref not in class_of or _is_never_stored(node, readers):
            continue
        group[node.ref] = {node.ref}
        if node.op in PASSING_ON or (node.op == "pool" and node.attrs["window"]):
            for ref in node.inputs:
                joined = group[node.ref] | group.get(ref, set())
                group.update(dict.fromkeys(joined, joined))
    found = {id(members): members for members in group.values()}.values()
    passing = {node.ref for node in graph if node.op in PASSING_ON or (node.op == "pool" and node.attrs["window"])}
    for members in found:
        ordered = [ref for ref in class_of if ref in members]
        rounded = [ref for ref in ordered if ref not in passing]
        if rounded:
            yield ordered, rounded


def _is_never_stored(node, readers):
    """A ReLU or ReLU6 is part of the op before it: what that makes by itself is never rounded."""
    after = readers[node.ref][0] if len(readers[node.ref]) == 1 else None
    return after is not None and after.op == "activation" and after.attrs["fn"] == "relu" and node.op in (
        "linear", "add", "affine", "multiply")


class _Noise:
    """The noise as a function of u, an array with a number for each class."""

    def __init__(self, graph, gauge, ranges, classes, free):
        self.free = free
        self.kernels = []  # (classes of the inputs, |W| as (inputs, outputs), P)
        self.readers = np.zeros(len(free))  # A
        self.tensors = []  # (classes of all channels of one step, hi, lo, classes of those that are rounded there)
        class_of = {ref: classes[unknowns] for ref, unknowns in gauge.log_scale_of.items() if ref in ranges}
        for node in graph:
            if node.op == "linear" and node.inputs[0] in class_of:
                self._add_kernel(node.map, class_of[node.inputs[0]], ranges[node.inputs[0]].power)
        for members, rounded in _with_one_step(graph, class_of):
            of = np.concatenate([class_of[ref] for ref in members])
            sources = np.concatenate([class_of[ref] for ref in rounded])
            if free[of].any():
                self.tensors.append((of, *(np.concatenate([getattr(ranges[ref], side) for ref in members])
                                           for side in ("up", "down")), sources))

    def _add_kernel(self, linear, of, power):
        taps = int(np.prod(linear.window))
        if linear.is_depthwise:
            kernel = linear.kernel.reshape(taps, linear.inputs, -1)  # a channel's outputs lie next to one another
        else:
            kernel = linear.regrouped(1).kernel.reshape(taps, linear.inputs, -1)
        power = np.maximum(power, FAINT**2 * power.mean())
        squares = np.square(kernel, dtype=np.float64).sum((0, 2))
        signal = float((squares * power).sum())
        if not signal:
            return
        np.add.at(self.readers, of, squares / signal)
        if not linear.is_depthwise and self.free[of].any():
            self.kernels.append((of, np.abs(kernel).max(0).astype(np.float64), taps * power / signal))

    def at(self, u):
        """The noise, and for each class the part that falls and the part that grows as u grows."""
        total, falls, grows = 0.0, np.zeros(len(u)), np.zeros(len(u))
        for of, up, down, rounded in self.tensors:
            shares = self.readers[rounded] * np.exp(-2 * u[rounded])
            (top, up_share), (bottom, down_share) = (_maximum(side, u[of]) for side in (up, down))
            step = (top + bottom) / 255
            noise = step**2 * shares.sum()
            total += noise
            np.add.at(falls, rounded, step**2 * shares)
            if noise:
                np.add.at(grows, of, noise * (top * up_share + bottom * down_share) / (top + bottom))
        for of, kernel, power in self.kernels:
            scaled = kernel * np.exp(-u[of])[:, None]
            tops = np.power(np.power(scaled, SMOOTH).sum(0), 1 / SMOOTH)
            louder = power * np.exp(2 * u[of])
            steps = np.square(tops / 127)
            total += steps.sum() * louder.sum()
            np.add.at(grows, of, steps.sum() * louder)
            shares = np.power(np.divide(scaled, tops, out=np.zeros_like(scaled), where=tops > 0), SMOOTH)
            np.add.at(falls, of, (shares @ steps) * louder.sum())
        return total, falls, grows

    def smallest(self):
        """The u where the noise is smallest: each channel's two parts are brought into balance, little by little."""
        u = np.zeros(len(self.free))
        best, best_u = np.inf, u
        for _ in range(ROUNDS):
            total, falls, grows = self.at(u)
            if total < best:
                best, best_u = total, u
            can = self.free & (falls > 0) & (grows > 0)
            step = np.zeros(len(u))
            step[can] = np.log(falls[can] / grows[can]) / (4 + SMOOTH)
            if np.abs(step).max(initial=0) < SETTLED:
                break
            u = np.clip(u + step, -LARGEST, LARGEST)
        return best_u


def _maximum(values, u):
    """A smooth maximum of values·e^u, and each one's share in it."""
    values = np.maximum(values, FAINT * values.max(initial=0))
    scaled = values * np.exp(u)
    top = scaled.max(initial=0)
    if not top:
        return 0.0, np.zeros(len(values))
    powers = np.power(scaled / top, SMOOTH)
    return top * powers.sum() ** (1 / SMOOTH), powers / powers.sum()
