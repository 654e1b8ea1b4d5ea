"""What each layer demands if every tensor t is stored as s·(t + e), with a scale s and a shift e for each channel.

    linear                            nothing: kernel and bias take in both. Zero padding, transposed: e = 0 before it
    affine that stays                 nothing
    affine y = γ·x + β that goes      s_y·γ = s_x,  β + e_y = γ·e_x
    add                               one s for all;  e_y = Σ e
    concat                            the parts' own, stacked
    average pool, crop, upsample      the same on both sides;  flatten, reshape: repeated
    max pool                          the same, s > 0
    zero padding                      the same, e = 0
    ReLU, LeakyReLU, PReLU            the same, s > 0, e = 0
    multiply                          s multiply, e = 0
    all else, inputs and outputs      s = 1, e = 0

A layer that is called twice takes and makes one form in all its calls. With log |s|, the sign of s and e as unknowns,
all of these are linear, in three systems that know nothing of each other: a set of affine nodes can go together iff its
equations hold together with the others.

Source: the condition of Yvinec et al. (arXiv 2203.14646), section 3, carried over to any graph, signs and padding.
"""
import numpy as np

from tfold import reasons
from tfold.graph.ir import Ref
from tfold.passes.demand import Demand, wall_demand
from tfold.passes.precision import LARGEST_SHIFT
from tfold.passes.unknowns import PIXELS, Relation, Unknowns, repeats

COMMUTING = ("nearest", "bilinear")  # interpolations that leave a constant image as it is


class Gauge:
    """The unknowns of a graph and what its layers demand.

    Args:
        graph: it is not changed.
        tied: ids of layers whose calls are affine nodes that stay: one layer, so all calls take and make one form.

    Attributes:
        scale, shift: `Unknowns`; `log_scale_of` and `shift_of` give those of a tensor.
        positive: `(unknowns, Demand)`: scales that must be positive.
        movable: affine nodes that may go: name → its relations `(scale, sign, shift)`.
        padded: name of a node that pads with zeros → `(unknowns, Demand)`: shifts that must be zero before it.
        walls: affine nodes that cannot go whatever the others do: name → Demand.
    """

    def __init__(self, graph, tied=()):
        self.graph, self.tied, self.first_calls = graph, frozenset(tied), {}
        self.scale, self.shift = Unknowns(), Unknowns()
        self.log_scale_of, self.shift_of = {}, {}
        self.positive, self.movable, self.padded, self.walls = [], {}, {}, {}
        self.consumers = graph.consumers()
        for node in graph:
            self._node(node)
        for ref in graph.outputs:
            self._hold(ref, Demand(reasons.GRAPH_BOUNDARY, f"{graph[ref].label} is an output of the network"))

    def no_shift_before(self, name):
        """The `Relation` that a node which pads with zeros demands."""
        unknowns, demand = self.padded[name]
        return Relation((unknowns,), (1,), 0, {demand})

    def _node(self, node):
        for ref in node.inputs:
            if self.graph[ref].dtype != node.dtype:
                before = self.graph[ref]
                self._hold(ref, Demand(
                    reasons.DIFFERENT_TYPES,
                    f"{before.label} computes in {before.dtype}, {node.label} in {node.dtype}"))
        rule = getattr(self, f"_{node.op}", None)
        known = all(ref in self.log_scale_of for ref in node.inputs) and _channels(node.shape)
        if rule is None or not known or rule(node, *node.inputs[:1]) is False:
            self._wall(node, wall_demand(node))

    # What the rules below are made of.

    def _wall(self, node, demand):
        """It reads and makes tensors as they are."""
        for ref in node.inputs:
            self._hold(ref, demand)
        for i, shape in enumerate(node.shapes):
            ref = Ref(node.name, i)
            if _channels(shape) and ref not in self.log_scale_of:
                self._fresh(ref, shape[-1])
            self._hold(ref, demand)

    def _hold(self, ref, demand):
        if ref in self.log_scale_of:
            self.scale.fix(self.log_scale_of[ref], demand)
            self.shift.fix(self.shift_of[ref], demand)

    def _fresh(self, ref, channels):
        self.log_scale_of[ref], self.shift_of[ref] = self.scale.fresh(channels), self.shift.fresh(channels)

    def _same(self, node, x):
        self.log_scale_of[node.ref], self.shift_of[node.ref] = self.log_scale_of[x], self.shift_of[x]

    def _no_shift(self, ref, demand):
        self.shift.fix(self.shift_of[ref], demand)

    def _mapped(self, node, x, function):
        self.log_scale_of[node.ref], self.shift_of[node.ref] = map(function, (self.log_scale_of[x], self.shift_of[x]))

    def _tie(self, node, x):
        """All calls of a layer read tensors of one form, and make such."""
        first_x, first = self.first_calls.setdefault((id(node.layer), node.step), (x, node.ref))
        demand = Demand(reasons.SHARED_WEIGHTS, f"{node.label} is called more than once")
        for ref, other in ((x, first_x), (node.ref, first)):
            self.scale.equate(self.log_scale_of[ref], self.log_scale_of[other], demand)
            self.shift.equate(self.shift_of[ref], self.shift_of[other], demand)

    # One rule an op; False: a wall after all.

    def _linear(self, node, x):
        linear = node.map
        if linear.transposed:
            self._no_shift(x, Demand(
                reasons.TRANSPOSED, f"{node.label} would need a bias that differs by pixel"))
        elif linear.is_padded:
            self.padded[node.name] = self.shift_of[x], Demand(
                reasons.BORDER_NOT_EXACT, f"its shift would meet the zero padding of {node.label}")
        self._fresh(node.ref, linear.outputs)
        if node.shared:
            self._tie(node, x)

    def _affine(self, node, x):
        affine = node.attrs["affine"]
        if not affine.is_finite:
            self.walls[node.name] = Demand(reasons.NOT_FINITE, "its variance is not positive")
            return False
        if "stays" in node.attrs:
            self.walls[node.name] = Demand(*node.attrs["stays"])
            return False
        self._fresh(node.ref, node.shape[-1])
        if id(node.layer) in self.tied:
            self._tie(node, x)
        zeros = np.flatnonzero(affine.scale == 0)
        if len(zeros):
            self.walls[node.name] = Demand(
                reasons.NOT_INVERTIBLE,
                f"its scale is 0 {_in_channels(zeros)}, where no other form of what it reads gives what it makes")
            return None
        offset = float(np.sqrt(np.mean(np.square(node.attrs.get("offset", 0)))))
        if offset > LARGEST_SHIFT[node.dtype] and self._is_read_elsewhere(x):
            self.walls[node.name] = Demand(
                reasons.IMPRECISE, f"its β is {offset:.0e} times its γ, and what it reads is also read elsewhere")
            return None
        pixels = repeats(self.shift_of[x])
        if pixels > PIXELS:
            self.walls[node.name] = Demand(
                reasons.PIXELS_MOVE, f"it reads {pixels} pixels of each channel in one row, all of one form")
            return None
        s_x, s_y = self.log_scale_of[x], self.log_scale_of[node.ref]
        e_x, e_y = self.shift_of[x], self.shift_of[node.ref]
        sources = {node.name}
        if pixels > 1:
            sources |= {Demand(reasons.PIXELS_MOVE, f"{node.label} reads {pixels} pixels of each channel in one row")}
        self.movable[node.name] = (
            Relation((s_x, s_y), (1, -1), np.log(np.abs(affine.scale)), sources),
            Relation((s_x, s_y), (1, 1), affine.scale < 0, sources),
            Relation((e_x, e_y), (affine.scale, -1), affine.shift, sources))

    def _is_read_elsewhere(self, ref):
        """Whether anyone else reads a tensor, or what it was made of without a layer between."""
        node = self.graph[ref]
        passes_on = node.op in ("pool", "pad", "crop", "upsample", "reshape", "permute", "add", "concat", "slice")
        return len(self.consumers[ref]) > 1 or (passes_on and any(map(self._is_read_elsewhere, node.inputs)))

    def _add(self, node, x):
        demand = Demand(reasons.COMPETES, f"{node.label} adds tensors of one scale")
        for ref in node.inputs[1:]:
            self.scale.equate(self.log_scale_of[ref], self.log_scale_of[x], demand)
        self.log_scale_of[node.ref] = self.log_scale_of[x]
        self.shift_of[node.ref] = self.shift.fresh(node.shape[-1])
        weights = node.attrs.get("weights", (1.0,) * len(node.inputs))
        terms = [(-weight, self.shift_of[ref]) for weight, ref in zip(weights, node.inputs, strict=True)]
        self.shift.relate((1, self.shift_of[node.ref]), *terms, source=demand)

    def _concat(self, node, x):
        if node.attrs["axis"] == len(node.shape) - 1:
            for of in (self.log_scale_of, self.shift_of):
                of[node.ref] = np.concatenate([of[ref] for ref in node.inputs])
            return
        demand = Demand(reasons.COMPETES, f"{node.label} joins tensors along another axis than the last")
        for ref in node.inputs[1:]:
            self.scale.equate(self.log_scale_of[ref], self.log_scale_of[x], demand)
            self.shift.equate(self.shift_of[ref], self.shift_of[x], demand)
        self._same(node, x)

    def _multiply(self, node, x):
        channels = node.shape[-1]
        demand = Demand(reasons.ACTIVATION_BETWEEN, f"{node.label} multiplies")
        factors = []
        for ref in node.inputs:
            self._no_shift(ref, demand)
            if self.graph.shape(ref)[-1] == channels:
                factors.append(self.log_scale_of[ref])
            else:  # one number for all channels
                self._hold(ref, demand)
        self._fresh(node.ref, channels)
        self._no_shift(node.ref, demand)
        self.scale.relate((1, self.log_scale_of[node.ref]), *((-1, each) for each in factors), source=demand)

    def _slice(self, node, x):
        self._mapped(node, x, lambda unknowns: unknowns[node.attrs["start"] : node.attrs["stop"]])

    def _pool(self, node, x):
        self._same(node, x)
        if node.attrs["kind"] == "max" and max(node.attrs["window"] or (2,)) > 1:  # of one pixel: no maximum
            self._positive(x, node, "takes the maximum")

    def _positive(self, ref, node, does):
        self.positive.append((self.log_scale_of[ref], Demand(
            reasons.NEGATIVE_SCALE, f"{node.label} {does}, which a negative scale turns round")))

    def _pad(self, node, x):
        if np.any(node.attrs["value"]):
            return False
        self.padded[node.name] = self.shift_of[x], Demand(
            reasons.BORDER_NOT_EXACT, f"its shift would meet the zeros of {node.label}")
        self._same(node, x)

    def _crop(self, node, x):
        self._same(node, x)

    _identity = _crop

    def _upsample(self, node, x):
        if node.attrs["interpolation"] not in COMMUTING:
            self._no_shift(x, Demand(
                reasons.PIXELS_MOVE, f"{node.label} interpolates as {node.attrs['interpolation']} does"))
        self._same(node, x)

    def _permute(self, node, x):
        if node.attrs["axes"][-1] != len(node.attrs["axes"]) - 1:
            return False
        self._same(node, x)

    def _reshape(self, node, x):
        """Pixels in front of channels, and both in one row: channel c of n becomes channels c, c + n, c + 2n, …"""
        before, after = self.graph.shape(x)[-1], node.shape[-1]
        if after % before == 0:
            self._mapped(node, x, lambda unknowns: np.tile(unknowns, after // before))
        elif before % after == 0:
            demand = Demand(reasons.PIXELS_MOVE, f"{node.label} makes pixels of channels")
            for unknowns, of in ((self.scale, self.log_scale_of[x]), (self.shift, self.shift_of[x])):
                unknowns.equate(np.tile(of[:after], before // after - 1), of[after:], demand)
            self._mapped(node, x, lambda unknowns: unknowns[:after])
        else:
            return False

    def _activation(self, node, x):
        if not _is_homogeneous(node):
            return False
        self._scales_alone(node, x)

    def _opaque(self, node, x=None):
        if not node.attrs.get("homogeneous") or len(node.inputs) != 1 or len(node.shapes) != 1:
            return False
        self._scales_alone(node, x)

    def _scales_alone(self, node, x):
        self._no_shift(x, Demand(reasons.ACTIVATION_BETWEEN, f"{node.label} lets no shift pass"))
        self._positive(x, node, "does something else with negative numbers")
        self._same(node, x)


def _is_homogeneous(node):
    """f(s·x) = s·f(x) for every s > 0."""
    params = node.attrs["params"]
    return node.attrs["fn"] == "relu" and params["max_value"] is None and not params["threshold"]


def _channels(shape):
    return None if shape is None or len(shape) < 2 else shape[-1]


def _in_channels(numbers):
    return f"in channel {numbers[0]}" + (f" and {len(numbers) - 1} more" if len(numbers) > 1 else "")
