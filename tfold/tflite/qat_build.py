"""A tf_keras model, call by call, as a quantisation-aware one: layers wrapped, int8 tensors between them.

    image ─▶ conv ─▶ relu6 ─▶ add       ⇒      image ─▶ [●] ─▶ [conv] ─▶ [relu6 ●] ─▶ [add ●]

[ ] is a `QuantizedLayer`, ● the int8 tensor that it makes. A wrapped layer keeps its name. Where a tensor is made by
what cannot be wrapped (an input, a TensorFlow function, a layer that is called twice), a wrapper stands behind it.
"""
from tfold.graph.call import Tensor, filled
from tfold.graph.clone import clone_layer, copy_weights
from tfold.graph.family import family_named, is_operation
from tfold.graph.legacy_calls import read_calls
from tfold.keras2.tfmot import tf_keras
from tfold.tflite.qat_kinds import WEIGHTED, kind, name_of
from tfold.tflite.qat_layers import Int8, QuantizedLayer
from tfold.tflite.qat_places import places

SUFFIX = "_quantize"


def quantized(model):
    """A new tf_keras model with the weights, inputs, outputs and names of `model`, which computes as int8 does."""
    read = read_calls(model)
    return _Builder(read, {layer.name for layer in model.layers}).model(model.name)


class _Builder:
    def __init__(self, read, names):
        self.read, self.names = read, names
        self.places = places(read)
        self.layers = {}
        self.flatten = family_named("tf_keras").flatten

    def model(self, name):
        made, inputs = {}, []
        for call in self.read.calls:
            if call.op is None:
                tensors = [tf_keras.Input(batch_shape=call.out_shapes[0], dtype=call.dtype, name=call.name)]
                inputs += tensors
            else:
                args, kwargs = (filled(part, [made[each] for each in call.reads]) for part in (call.args, call.kwargs))
                if self._wraps(call):
                    kwargs = {}
                tensors = self.flatten(self._layer(call)(*args, **kwargs))
            for i, tensor in enumerate(tensors):
                place = Tensor(call, i)
                made[place] = self._rounded(place, tensor) if place in self.places and not self._wraps(call) else tensor
        outputs = [made[tensor] for tensor in self.read.outputs]
        given, returned = self.read.structure
        return tf_keras.Model(filled(given, inputs), filled(returned, outputs), name=name)

    def _wraps(self, call):
        """Whether the layer of a call makes its int8 tensor itself."""
        if call.op is None or is_operation(call.op) or self.read.is_repeated(call.op):
            return False
        # With training=False the wrapper would not learn either.
        is_plain = len(call.args) == 1 and len(call.out_shapes) == 1 and set(call.kwargs.values()) <= {None}
        return is_plain and kind(call) not in ("float", "moving")

    def _layer(self, call):
        """The layer of a call, anew and with its weights; the same again for a layer that is called again."""
        if id(call.op) not in self.layers:
            self.layers[id(call.op)] = self._new_layer(call)
        return self.layers[id(call.op)]

    def _new_layer(self, call):
        layer = clone_layer(call.op, name=self._name(call))
        weights = WEIGHTED.get(name_of(call.op), {})
        output = self.places.get(Tensor(call)) if self._wraps(call) else None
        wrapped = QuantizedLayer(layer, Int8(weights, output)) if weights or output else layer

        def first(*args, **kwargs):
            result = wrapped(*args, **kwargs)
            if layer.weights:
                copy_weights(call.op.get_weights(), layer)
            self.layers[id(call.op)] = wrapped
            return result

        return first

    def _name(self, call):
        """The layer's own name, unless a wrapper behind it needs that because it makes an output."""
        name = call.op.name
        return self._unused(f"{name}_values") if self._gives_name_away(call) else name

    def _gives_name_away(self, call):
        tensor = Tensor(call)
        return (tensor in self.places and tensor in self.read.outputs and not self._wraps(call)
                and not self.read.is_repeated(call.op) and len(call.out_shapes) == 1)

    def _rounded(self, place, tensor):
        """What a wrapper of its own makes of a tensor."""
        call = place.call
        takes_name = call.op is not None and self._gives_name_away(call)
        name = call.op.name if takes_name else self._unused(call.name + SUFFIX)
        return QuantizedLayer(tf_keras.layers.Activation("linear", name=name), Int8(output=self.places[place]))(tensor)

    def _unused(self, name):
        found, i = name, 0
        while found in self.names:
            i += 1
            found = f"{name}_{i}"
        self.names.add(found)
        return found
