"""One op of a .tflite file as a .tflite file of its own, so that it can be run by itself.

    a ─▶ CONV_2D ─▶ b ─▶ ADD ─▶ d            input b ─▶ ADD ─▶ output d
          ▲               ▲                              ▲
        kernel            c         cut(…, 1)  ⇒       input c

Constants go along, and so does what turns a constant into another type: a float16 kernel behind its DEQUANTIZE is a
constant for a runtime.
"""

from __future__ import annotations

import numpy as np

from tfold.tflite.contents import Contents
from tfold.tflite.parts import Op
from tfold.tflite.schema import schema
from tfold.tflite.write import packed

OF_CONSTANTS = ("DEQUANTIZE", "DENSIFY")


def is_constant(contents: Contents, op: Op) -> bool:
    """Whether a runtime computes an op once, while it loads: a constant in another type."""
    return op.kind in OF_CONSTANTS and all(contents.tensors[index].is_constant for index in op.inputs if index >= 0)


class Cut:
    """An op of the first subgraph, cut out.

    Args:
        contents: the file.
        op: which op.

    Attributes:
        key: equal for ops that take the same time: the same kind, options, shapes and types; weights may differ.
    """

    def __init__(self, contents: Contents, op: Op):
        self.contents, self.makers = contents, contents.subgraphs[0].producers()
        self.source = contents.accessor
        self.model, self.graph, self.places, parts = _empty(), None, {}, []
        self.graph = self.model.subgraphs[0]
        self._add(op, parts)
        self.graph.outputs = [self.places[index] for index in op.outputs if index >= 0]
        self.key = repr(parts)

    def content(self) -> bytes:
        """The bytes of the file."""
        return packed(self.model)

    def _add(self, op: Op, parts: list) -> None:
        made = schema().OperatorT.InitFromObj(self.source.Subgraphs(0).Operators(op.index))
        code = schema().OperatorCodeT.InitFromObj(self.source.OperatorCodes(made.opcodeIndex))
        made.inputs = [self._input(index, parts) for index in op.inputs]
        within = made.intermediates if made.intermediates is not None else []
        made.intermediates = [self._tensor(int(index), parts) for index in within]
        made.outputs = [self._tensor(index, parts) for index in op.outputs]
        made.opcodeIndex = len(self.model.operatorCodes)
        made.debugMetadataIndex = -1
        self.model.operatorCodes.append(code)
        self.graph.operators.append(made)
        parts.append((op.kind, code.version, _plain(made), _quantized_alike(self.contents, op)))

    def _input(self, index: int, parts: list) -> int:
        maker = self.makers.get(index)
        if maker is not None and index not in self.places and is_constant(self.contents, maker):
            self._add(maker, parts)
        elif index >= 0 and index not in self.places:
            tensor = self.contents.tensors[index]
            if not tensor.is_constant and not tensor.is_variable:
                self.graph.inputs.append(len(self.graph.tensors))
        return self._tensor(index, parts)

    def _tensor(self, index: int, parts: list) -> int:
        if index < 0 or index in self.places:
            return self.places.get(index, -1)
        tensor = self.contents.tensors[index]
        made = schema().TensorT.InitFromObj(self.source.Subgraphs(0).Tensors(index))
        made.name, made.buffer, made.shapeSignature = f"tensor_{len(self.graph.tensors)}", 0, None
        numbers = None
        if tensor.is_constant:
            buffer = schema().BufferT()
            buffer.data = self.contents.content(tensor)
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
            # Axes, paddings and permutations decide what is to be done; the values of weights do not.
            numbers = tensor.bytes if tensor.is_float or tensor.is_quantized else buffer.data.tobytes()
        parts.append((tensor.shape, tensor.dtype, numbers, len(tensor.scales), tensor.is_variable, tensor.is_sparse))
        self.places[index] = len(self.graph.tensors)
        self.graph.tensors.append(made)
        return self.places[index]


def of_one_number() -> bytes:
    """A file with the least op there is: what remains of its time is the call."""
    model, code, op = _empty(), schema().OperatorCodeT(), schema().OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema().BuiltinOperator.NEG
    code.version, op.inputs, op.outputs = 1, [0], [1]
    graph, model.operatorCodes = model.subgraphs[0], [code]
    for name in ("x", "y"):
        tensor = schema().TensorT()
        tensor.name, tensor.shape = name, [1]
        graph.tensors.append(tensor)
    graph.operators, graph.inputs, graph.outputs = [op], [0], [1]
    return packed(model)


def _empty():
    model, graph = schema().ModelT(), schema().SubGraphT()
    model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], [], [schema().BufferT()]
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []
    return model


def _quantized_alike(contents: Contents, op: Op) -> list[int]:
    """Which of an op's tensors share a scale and zero point: kernels may ask for it."""
    seen: dict = {}
    ends = [contents.tensors[index] for index in (*op.inputs, *op.outputs) if index >= 0]
    return [seen.setdefault((each.scales, each.zero_points), len(seen)) for each in ends if not each.is_constant]


def _plain(made):
    """An object of the schema as data that prints the same if it is the same."""
    if hasattr(made, "__dict__"):
        return type(made).__name__, {name: _plain(value) for name, value in sorted(vars(made).items())
                                     if name != "opcodeIndex"}
    return np.asarray(made).tolist() if isinstance(made, np.ndarray) else made
