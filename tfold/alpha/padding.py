"""Padding moved forward: in a chain of convolutions that may become one, the first pads for all.

    x ─ conv 3×3, same ─ bn ─ σ_α ─ conv 3×3, same ─ y
    x ─ pad 2 ─ conv 3×3, valid ─ bn ─ σ_α ─ conv 3×3, valid ─ y

Once σ_α is gone, the two of the first line are no convolution, because the second puts zeros around a tensor that a
merged layer never sees. The two of the second line are exactly one, of 5×5 with padding 2.

Each side of the first gets p₁ + s₁·p₂ + s₁·s₂·p₃ + … zeros, for paddings p and strides s. In front of a convolution of
stride s this adds s·r zeros, so that it makes the pixels it made and r more: those that the next ones no longer add.
Every pixel stays where it was, and the last size is what it was, whatever the size of the input.

What changes is the function near the border, where the first now reaches and there were zeros between two convolutions:
so this is done to a network that is still to be trained.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras

from tfold.alpha.selection import select_sites
from tfold.alpha.sharing import one_layer_a_place
from tfold.alpha.topology import Topology
from tfold.graph import walls
from tfold.graph.read_layer import read_layer


@dataclass(frozen=True)
class Segment:
    """A chain of convolutions whose padding moves to the first.

    Attributes:
        convolutions: Their paths, in order.
        padding: (before, after) for each spatial axis: the zeros in front of the first.
    """

    convolutions: tuple
    padding: tuple
    links: tuple = field(repr=False)


class _Part(NamedTuple):
    """What a call is in a chain: "convolution", "padding", "transparent" or "wall"."""

    kind: str
    padding: tuple = ()
    map: Any = None
    is_open: bool = True  # no activation that stays ends it


class _Link(NamedTuple):
    """A convolution of a chain, the padding layers right in front of it, and the zeros of all of them."""

    call: Any
    map: Any
    pads: tuple
    padding: tuple


def segments(model, only=None, skip=None):
    """Returns the `Segment`s in which `prefold(model, only=only, skip=skip, padding="forward")` moves padding.

    A segment is a maximal chain of convolutions (depthwise and separable ones too) between which stand only activations
    with an α, batch norms, dropout and zero padding. It ends at an activation without α, where a tensor is read more
    than once or is an output, at additions, pooling and every other layer, at the border of a nested model, and at a
    convolution that is called more than once or whose padding depends on an input size that is unknown. And it ends
    before the zeros that move are more than half the size of what the first reads: behind strides they add up.

    Example:

    >>> segments(model)
    [Segment(convolutions=('conv_1', 'conv_2'), padding=((2, 2), (2, 2)))]
    """
    model, originals = one_layer_a_place(model)
    topology = Topology(model)
    sites, _ = select_sites(topology, only, skip, originals)
    return find_segments(topology, sites)


def find_segments(topology, sites):
    """Returns the `Segment`s of a network in which the given `Site`s get an α."""
    chosen = {id(site.op): site for site in sites}
    # A layer may also stand inside a model that is one call here, where replacing it would be felt too.
    hidden = {id(part) for call in topology.calls for part in walls.parts(call.op) if part is not call.op}
    parts = {call: _part(call, chosen.get(id(call.op)), topology, hidden) for call in topology.calls}
    found, seen = [], set()
    for call in topology.calls:
        if parts[call].kind == "convolution" and call not in seen:
            links = _chain(call, topology, parts)
            seen.update(link.call for link in links)
            if any(side for link in links[1:] for pair in link.padding for side in pair):
                found.append(Segment(tuple(link.call.path for link in links), _moved_forward(links), tuple(links)))
    return found


def _part(call, site, topology, hidden):
    if call.op is None:
        return _Part("wall")
    # What fold cannot read it cannot merge either, so its reader is asked.
    steps = read_layer(call)
    kind = steps[0].op
    is_replaceable = len(topology.calls_of(call.op)) == 1 and id(call.op) not in hidden
    if kind == "linear" and is_replaceable:
        linear = steps[0].attrs["map"]  # of a separable convolution the depthwise one: the other is 1×1
        if linear.rank and linear.padding is not None:  # None: it depends on an unknown size, or is transposed
            return _Part("convolution", linear.padding, linear, steps[-1].op == "linear" or site is not None)
    if kind == "pad" and is_replaceable and isinstance(call.op, keras.layers.Layer):
        return _Part("padding", steps[0].attrs["padding"])
    has_alpha = kind == "alpha" or (site is not None and not site.fused)
    is_elementwise = kind in ("affine", "identity") and getattr(call.op, "noise_shape", None) is None
    return _Part("transparent" if has_alpha or is_elementwise else "wall")


def _chain(call, topology, parts):
    """The links of the chain that begins with this convolution."""
    links, pads = [_link(call, parts, _pads_before(call, topology, parts))], []
    while parts[call].is_open and (call := _only_reader(call, topology)) and parts[call].kind != "wall":
        if parts[call].kind == "padding":
            pads.append(call)
        elif parts[call].kind == "convolution":
            link, pads = _link(call, parts, pads), []
            if _outgrows([*links, link]):
                break
            links.append(link)
    return links


def _link(call, parts, pads):
    axes = zip(*(parts[each].padding for each in (*pads, call)), strict=True)
    padding = tuple((sum(before for before, _ in axis), sum(after for _, after in axis)) for axis in axes)
    return _Link(call, parts[call].map, tuple(pads), padding)


def _pads_before(call, topology, parts):
    pads = []
    while parts[source := call.reads[0].call].kind == "padding" and _only_reader(source, topology) is call:
        pads.insert(0, source)
        call = source
    return pads


def _only_reader(call, topology):
    """The one call that reads what this one makes, if there is one and it is in the same model; or None."""
    readers = topology.consumers[call]
    if len(readers) != 1 or call in topology.outputs:
        return None
    # A nested model was built for inputs of one size.
    here, there = (each.path.rpartition("/")[0] for each in (call, readers[0]))
    return readers[0] if here == there else None


def _moved_forward(links):
    """p₁ + s₁·p₂ + s₁·s₂·p₃ + …, each side by itself."""
    total = ((0, 0),) * links[0].map.rank
    for link in reversed(links):
        axes = zip(link.padding, link.map.strides, total, strict=True)
        total = tuple((p[0] + s * t[0], p[1] + s * t[1]) for p, s, t in axes)
    return total


def _outgrows(links):
    """Whether more zeros would move than half the pixels around which they go: all of it would be border."""
    sizes = zip(size_around(links[0]), links[0].padding, _moved_forward(links), strict=True)
    return any(n is not None and 2 * (sum(after) - sum(before)) > n for n, before, after in sizes)


def size_around(link):
    """Spatial size of what the zeros of a link go around, None for unknown axes."""
    shape = (*link.pads, link.call)[0].in_shapes[0]
    return (None,) * link.map.rank if shape is None else shape[1:-1]
