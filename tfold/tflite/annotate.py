"""Give a converted network the names that people know, and say in it where it comes from.

    as converted                                          here
    …tfold.1/relu_1/Relu6;…tfold.0/stem_1/Conv2D…         stem;relu          what the two layers make
    …tfold.0/stem_1/convolution                           stem/kernel
    (no signature)                                        serving_default: image → digit, as in Keras
                                                          metadata "tfold": {"tfold": "0.1", …}

So people find their layers in Netron, and a tensor has the same name in the float32 and in the int8 file. Nothing that
is computed changes.
"""
import json
from functools import cached_property

import numpy as np

from tfold.tflite.schema import names, schema
from tfold.tflite.write import packed

METADATA = "tfold"
SIGNATURE = "serving_default"
_ROLES = {
    **{kind: {1: "kernel", 2: "bias"} for kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D", "FULLY_CONNECTED")},
    "TRANSPOSE_CONV": {1: "kernel", 3: "bias"},
}


def annotate(content, traced, about, called=None):
    """Rename tensors, write the signature and the metadata.

    Args:
        content: bytes of a .tflite file, converted from `traced.function`.
        traced: the `Trace`.
        about: what the metadata entry "tfold" says: a dict for JSON.
        called: layer name → what the file calls it, where another: {"a-b": "a+b"}.

    Returns:
        bytes of the new file.
    """
    model = schema().ModelT.InitFromPackedBuf(content, 0)
    main = model.subgraphs[0]
    for index, name in _Namer(model, traced, called or {}).names().items():
        main.tensors[index].name = name
    model.signatureDefs = [_signature(main, traced)]
    data = schema().BufferT()
    data.data = np.frombuffer(json.dumps(about).encode(), np.uint8)
    entry = schema().MetadataT()
    entry.name, entry.buffer = METADATA, len(model.buffers)
    model.buffers.append(data)
    model.metadata = [*(model.metadata or []), entry]
    return packed(model)


class _Namer:
    """Chooses names for the tensors of one subgraph."""

    def __init__(self, model, traced, called):
        self.main = model.subgraphs[0]
        self.kinds = _kinds(model)
        self.is_constant = [model.buffers[tensor.buffer].data is not None for tensor in self.main.tensors]
        self.traced, self.called = traced, called
        self.of_tensor = dict(zip(self.main.inputs, traced.inputs, strict=True))
        self.labels = set(traced.inputs)

    def names(self):
        """Tensor index → its new name, each name once."""
        # From the end: a layer's last op makes what the layer makes; the ops before it add what they do.
        read_by = {}
        for op in reversed(self.main.operators):
            kind = self.kinds[op.opcodeIndex]
            label = self._label(op) or next((read_by[i] for i in op.outputs if i in read_by), None) \
                or self.of_tensor.get(op.inputs[0] if len(op.inputs) else None, "network")
            if kind == "DEQUANTIZE" and self.is_constant[op.inputs[0]]:  # of weights in half precision
                self._choose(op.inputs[0], f"{self.of_tensor.get(op.outputs[0], kind)}/float16")
                continue
            for index in op.outputs:
                self._choose(index, f"{label}/{kind}" if label in self.labels else label)
            self.labels.add(label)
            if kind == "DEQUANTIZE":  # what it reads is the same tensor, in integers, and has lost its name
                read_by[op.inputs[0]] = label
            for place, index in enumerate(op.inputs):
                if index >= 0 and self._is_weight(index):
                    self._choose(index, f"{label}/{_ROLES.get(kind, {}).get(place, 'constant')}")
        return _each_once(self.of_tensor)

    def _choose(self, index, name):
        self.of_tensor.setdefault(index, name)

    def _is_weight(self, index):
        maker = self.makers.get(index)
        return self.is_constant[index] or (maker is not None and self.is_constant[maker])

    @cached_property
    def makers(self):
        """Output of a DEQUANTIZE → its input."""
        return {op.outputs[0]: op.inputs[0] for op in self.main.operators
                if self.kinds[op.opcodeIndex] == "DEQUANTIZE"}

    def _label(self, op):
        """The names of the layers whose work an op does: "stem;stem_relu"."""
        layers, outputs = [], list(self.main.outputs)
        for index in op.outputs:
            layers += self.traced.layers_in(self.main.tensors[index].name.decode())
            numbers = [self.traced.output_layers[place] for place, at in enumerate(outputs) if at == index]
            layers += [self.traced.layers[number] for number in numbers if number is not None]
        return ";".join(self.called.get(layer, layer) for layer in dict.fromkeys(layers))


def _each_once(names):
    seen, found = set(), {}
    for index, name in names.items():
        unique, number = name, 1
        while unique in seen:
            unique, number = f"{name}_{number}", number + 1
        seen.add(unique)
        found[index] = unique
    return found


def _kinds(model):
    """For each operator code the name of its op."""
    return [code.customCode.decode() if code.customCode
            else names("BuiltinOperator")[max(code.builtinCode, code.deprecatedBuiltinCode)]
            for code in model.operatorCodes]


def _signature(main, traced):
    def tensor_map(name, index):
        entry = schema().TensorMapT()
        entry.name, entry.tensorIndex = name, int(index)
        return entry

    signature = schema().SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
    signature.inputs = [tensor_map(*each) for each in zip(traced.inputs, main.inputs, strict=True)]
    signature.outputs = [tensor_map(*each) for each in zip(traced.outputs, main.outputs, strict=True)]
    return signature
