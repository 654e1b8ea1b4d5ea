"""From the bytes of a .tflite file to its parts, through the accessors of the schema, so that no weights are copied.

`check_tflite` has seen to it that every table and vector lies in the file. What is checked here are the numbers in
them, which say where in other lists something is found.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass

import numpy as np

from tfold.tflite.parts import Op, Signature, Subgraph
from tfold.tflite.schema import names, schema
from tfold.tflite.tensor import Tensor


class Contradiction(Exception):
    """What the file says of itself cannot be."""


def _one_of(index: int, count: int, what: str) -> int:
    if not 0 <= index < count:
        raise Contradiction(f"{what} is number {index} of {count}")
    return index


@dataclass(frozen=True)
class Buffers:
    """Where the bytes of constants lie: in the flatbuffer, or behind it (files above 2 GB)."""

    model: object
    data: mmap.mmap

    def place(self, index: int):
        buffer = self.model.Buffers(index)
        return (buffer.Offset(), buffer.Size()) if buffer.Offset() > 1 else (None, buffer.DataLength())

    def content(self, index: int) -> np.ndarray:
        start, size = self.place(index) if index else (None, 0)  # buffer 0 stands for "no constant"
        if start is not None:
            return np.frombuffer(self.data, np.uint8, size, start)
        return self.model.Buffers(index).DataAsNumpy() if size else np.empty(0, np.uint8)


class Reader:
    """The walk from the root of a file to its parts.

    Attributes:
        subgraphs, signatures, metadata, description, buffers: see `Contents`.
    """

    def __init__(self, data: mmap.mmap):
        self.model = model = schema().Model.GetRootAs(data, 0)
        self.buffers = Buffers(model, data)
        self.kinds = [self._kind(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength())]
        self.description = _text(model.Description())
        self.subgraphs = tuple(self._subgraph(model.Subgraphs(i)) for i in range(model.SubgraphsLength()))
        self.signatures = tuple(self._signature(model.SignatureDefs(i)) for i in range(model.SignatureDefsLength()))
        self.metadata = dict(self._metadata(model.Metadata(i)) for i in range(model.MetadataLength()))

    def _metadata(self, entry) -> tuple[str, bytes]:
        name = _text(entry.Name())
        buffer = _one_of(entry.Buffer(), self.model.BuffersLength(), f"the buffer of metadata {name!r}")
        return name, self.buffers.content(buffer).tobytes()

    def _kind(self, code) -> tuple[str, bool]:
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # the first is missing in files before 2020
        if number not in names("BuiltinOperator"):
            raise Contradiction(f"op code {number} is none that the schema knows")
        kind = names("BuiltinOperator")[number]
        return (_text(code.CustomCode()) or "custom op without a name", True) if kind == "CUSTOM" else (kind, False)

    def _subgraph(self, graph) -> Subgraph:
        tensors = tuple(self._tensor(graph.Tensors(i), i) for i in range(graph.TensorsLength()))
        ops = tuple(self._op(graph.Operators(i), i, len(tensors)) for i in range(graph.OperatorsLength()))
        ends = [tuple(_one_of(int(t), len(tensors), f"an {what} of the network")
                      for t in _numbers(graph, side)) for what, side in (("input", "Inputs"), ("output", "Outputs"))]
        return Subgraph(_text(graph.Name()), ops, tensors, *ends)

    def _op(self, op, index: int, tensors: int) -> Op:
        code = _one_of(op.OpcodeIndex(), len(self.kinds), f"the code of op {index}")
        kind, is_custom = self.kinds[code]
        ends = [tuple(int(t) if t == -1 else _one_of(int(t), tensors, f"an {what} of op {index}, {kind},")
                      for t in _numbers(op, side)) for what, side in (("input", "Inputs"), ("output", "Outputs"))]
        return Op(index, kind, *ends, _activation(op), is_custom)

    def _tensor(self, tensor, index: int) -> Tensor:
        number = tensor.Type()
        if number not in names("TensorType"):
            raise Contradiction(f"number type {number} of tensor {index} is none that the schema knows")
        buffer = _one_of(tensor.Buffer(), max(1, self.model.BuffersLength()), f"the buffer of tensor {index}")
        quantization = tensor.Quantization()
        shape = tuple(_numbers(tensor, "Shape"))
        if any(size < 0 for size in shape):
            raise Contradiction(f"tensor {index} has the shape {shape}")
        details = schema().BlockwiseQuantization()
        block = 0
        if quantization and quantization.DetailsType() == schema().QuantizationDetails.BlockwiseQuantization:
            details.Init(quantization.Details().Bytes, quantization.Details().Pos)
            block = details.BlockSize()
        return Tensor(
            index=index,
            name=_text(tensor.Name()),
            shape=shape,
            signature=tuple(_numbers(tensor, "ShapeSignature")) or shape,
            dtype=names("TensorType")[number].lower(),
            bytes=self.buffers.place(buffer)[1] if buffer else 0,
            buffer=buffer,
            is_variable=bool(tensor.IsVariable()),
            is_sparse=tensor.Sparsity() is not None,
            scales=tuple(_numbers(quantization, "Scale")) if quantization else (),
            zero_points=tuple(_numbers(quantization, "ZeroPoint")) if quantization else (),
            quantized_axis=quantization.QuantizedDimension() if quantization else 0,
            block_size=block,
        )

    def _signature(self, signature) -> Signature:
        key = _text(signature.SignatureKey())
        subgraph = _one_of(signature.SubgraphIndex(), len(self.subgraphs), f"the subgraph of signature {key!r}")
        count = len(self.subgraphs[subgraph].tensors)
        inputs, outputs = (
            {_text(entry.Name()): _one_of(entry.TensorIndex(), count, f"a tensor of signature {key!r}")
             for entry in map(getattr(signature, side), range(getattr(signature, f"{side}Length")()))}
            for side in ("Inputs", "Outputs")
        )
        return Signature(key, inputs, outputs, subgraph)


def _activation(op) -> str:
    """The activation fused into an op, as the schema calls it: "RELU6", "" for none."""
    options = getattr(schema(), names("BuiltinOptions").get(op.BuiltinOptionsType(), ""), None)
    if options is None or not hasattr(options, "FusedActivationFunction") or op.BuiltinOptions() is None:
        return ""
    table = options()
    table.Init(op.BuiltinOptions().Bytes, op.BuiltinOptions().Pos)
    return names("ActivationFunctionType").get(table.FusedActivationFunction(), "unknown").replace("NONE", "")


def _numbers(table, name: str) -> list:
    """A vector of scalars as Python numbers."""
    array = getattr(table, f"{name}AsNumpy")()
    return array.tolist() if isinstance(array, np.ndarray) else []


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")
