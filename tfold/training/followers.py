"""The layers behind a batch norm that take its work into their own sweep, and those in front that spare it one.

    bn ─ ReLU                 relu(normalise(x)) at once
    bn ─ Add ─ ReLU           relu(normalise(x) + r) at once
    Concatenate ─ bn          normalise reads the parts: nobody makes the concatenation

Each stands in for a stock layer. Where nothing is known of its input it is the stock layer.
"""

import keras

from tfold.training.clip import slope_and_limit
from tfold.training.pending import note, note_parts, pending
from tfold.training.stand_in import stands_in_for


def activate(x, limit, slope):
    """slope·x + (1 − slope)·min(max(x, 0), limit), in the sweep that makes x; None if that cannot be had.

    Args:
        x: A tensor.
        limit: Where the activation clips.
        slope: A number or a scalar tensor.
    """
    chain = pending(x)
    if chain is None or not chain.takes_activation():
        return None
    chain = chain.activated(limit, slope)
    return None if chain is None else note(chain.make(), chain)


class _Activation:
    def call(self, inputs):
        found = slope_and_limit(self)  # asked for again: people set `layer.activation`
        outputs = None if found is None else activate(inputs, found[1], found[0])
        return super().call(inputs) if outputs is None else outputs


@stands_in_for(keras.layers.Activation)
class Activation(_Activation, keras.layers.Activation):
    pass


@stands_in_for(keras.layers.ReLU)
class ReLU(_Activation, keras.layers.ReLU):
    pass


@stands_in_for(keras.layers.LeakyReLU)
class LeakyReLU(_Activation, keras.layers.LeakyReLU):
    pass


@stands_in_for(keras.layers.Add)
class Add(keras.layers.Add):
    """Attributes: hands_on: Whether the layer behind it may take the sum into its own sweep."""

    hands_on = False

    def call(self, inputs):
        for x, other in (inputs, inputs[::-1]) if len(inputs) == 2 else ():
            chain = pending(x)
            if chain is not None and chain.takes_residual() and _alike(x, other):
                chain = chain.plus(other)
                y = chain.make()
                return note(y, chain) if self.hands_on else y
        return super().call(inputs)


def _alike(x, other):
    """Whether nothing is broadcast in x + other; of sizes that are unknown nobody can say."""
    return x.dtype == other.dtype and x.shape[1:].is_fully_defined() and x.shape == other.shape


@stands_in_for(keras.layers.Concatenate)
class Concatenate(keras.layers.Concatenate):
    def call(self, inputs):
        outputs = super().call(inputs)
        # Parts of several types are brought to one in the concatenation, which is made then.
        return note_parts(outputs, inputs) if all(part.dtype == outputs.dtype for part in inputs) else outputs


BY_STOCK = {kind._tfold_stock: kind for kind in (Activation, ReLU, LeakyReLU, Add, Concatenate)}
