"""What becomes of the layers of a segment when its padding moves forward (see `padding`).

    pad a ─ conv 1 ─ σ_α ─ pad b ─ conv 2        conv 1, same ─ σ_α ─ conv 2, same
    pad Σ ─ conv 1 ─ σ_α ─ conv 2                pad Σ ─ conv 1 ─ σ_α ─ conv 2

What stands in the second line keeps its name and weights. Where Σ is "same" for the first convolution, pad Σ is not
needed.
"""

from typing import NamedTuple

import keras

from tfold.algebra.linear_map import same_padding
from tfold.alpha.padding import size_around
from tfold.graph.clone import clone_layer


class Move(NamedTuple):
    """What becomes of a layer: `front` stands before it, `changes` go into its config; None: the layer disappears."""

    changes: dict | None
    front: tuple = ()

    def layers(self, layer, **changes):
        """The layers that stand in its place, given further changes."""
        return [] if self.changes is None else [*self.front, clone_layer(layer, **self.changes, **changes)]


STAYS = Move({})


def moves(found, unique):
    """Returns id of a layer → its `Move`, for every layer of the given segments that changes.

    Args:
        found: `Segment`s.
        unique: Function that turns a name into one that no layer has.
    """
    moved = {}
    for segment in found:
        for link in segment.links:
            moved[id(link.call.op)] = Move({"padding": "valid"})
            moved.update({id(pad.op): Move(None) for pad in link.pads})
        first, rank = segment.links[0], len(segment.padding)
        conv, padding = first.call.op, segment.padding if rank > 1 else segment.padding[0]
        if _is_same(segment):
            moved[id(conv)] = Move({"padding": "same"})
        elif first.pads:
            moved[id(first.pads[-1].op)] = Move({"padding": padding})
        else:
            kind = getattr(keras.layers, f"ZeroPadding{rank}D")
            name = unique(f"{conv.name}_padding")
            pad = kind(padding, data_format="channels_last", name=name, dtype=conv.dtype_policy)
            moved[id(conv)] = Move({"padding": "valid"}, (pad,))
    return moved


def _is_same(segment):
    """Whether the whole padding is what Keras calls "same" for the first convolution."""
    first = segment.links[0]
    return segment.padding == same_padding(size_around(first), first.map.extent, first.map.strides)
