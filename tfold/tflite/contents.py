"""What a .tflite file holds, as plain data: ops, tensors, signatures, metadata. Weights stay in the file.

    file ─▶ subgraphs ─▶ ops      CONV_2D  inputs (0, 5, 6) ─▶ outputs (7,)        numbers of tensors
        │           └──▶ tensors  7  "stem;relu"  (1, 112, 112, 16)  int8  scale …, zero point …
        ├─▶ buffers ─▶ bytes of a constant tensor: `Contents.array` looks at them where they lie
        ├─▶ signatures, by which names Keras knows inputs and outputs
        └─▶ metadata: name ─▶ bytes

The runtime starts with the first subgraph; others are branches and loops. Everything a file says about itself is
checked while it is read: numbers of tensors, buffers and ops that do not exist, kinds and types nobody knows.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfold.errors import BadInputError
from tfold.measure.tflite_file import TFLiteFile, check_tflite
from tfold.tflite.parts import Op, Signature, Subgraph
from tfold.tflite.schema import names, schema
from tfold.tflite.tensor import Tensor, decoded


@dataclass(frozen=True)
class Contents:
    """A .tflite file. `ops`, `tensors`, `inputs` and `outputs` are those of the first subgraph."""

    file: TFLiteFile
    description: str
    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[Signature, ...]
    metadata: dict[str, bytes]
    _buffers: _Buffers = field(repr=False, compare=False)

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return self.file.size

    @property
    def ops(self) -> tuple[Op, ...]:
        return self.subgraphs[0].ops

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.subgraphs[0].tensors

    @property
    def inputs(self) -> tuple[int, ...]:
        return self.subgraphs[0].inputs

    @property
    def outputs(self) -> tuple[int, ...]:
        return self.subgraphs[0].outputs

    def array(self, tensor: int | Tensor) -> np.ndarray:
        """A constant's numbers, in its own number type and not copied where the file has them as NumPy does.

        Args:
            tensor: its index in the first subgraph, or a tensor of any.

        Returns:
            array: read-only. int4 and int2 come as int8, uint4 as uint8, bfloat16 as float32.

        Raises:
            BadInputError: the tensor is no constant, holds no numbers, or other bytes than its shape asks for.

        Examples:
            contents.array(contents.ops[0].inputs[1]).shape     # (16, 3, 3, 3), as TFLite has kernels
        """
        tensor = tensor if isinstance(tensor, Tensor) else self.tensors[tensor]
        return decoded(tensor, self._buffers.content(tensor.buffer), self.path)


def read(path: str | os.PathLike) -> Contents:
    """Reads a .tflite file.

    Args:
        path: the file.

    Raises:
        BadInputError: no whole .tflite file, or one that contradicts itself.

    Examples:
        [op.kind for op in read("model.tflite").ops]    # ["CONV_2D", "FULLY_CONNECTED", "SOFTMAX"]
    """
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):  # waiting for it could take ages
        raise BadInputError(f"A .tflite file is a file. Received: {path}, a device or pipe. Save it to a file first.")
    file = check_tflite(path)
    with open(file.path, "rb") as opened:
        data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return _Reader(file, data).contents()
    except _Contradiction as found:
        reason = str(found)
    except (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"  # scalars, which no check has looked at, led out of the file
    raise BadInputError(
        f"A .tflite file must agree with itself. Received: {file.path}: {reason}. Export it again, or install a newer "
        "ai-edge-litert if the file is newer."
    )


class _Contradiction(Exception):
    """What the file says of itself cannot be."""


def _one_of(index: int, count: int, what: str) -> int:
    if not 0 <= index < count:
        raise _Contradiction(f"{what} is number {index} of {count}")
    return index


@dataclass(frozen=True)
class _Buffers:
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


class _Reader:
    """The walk from the root of the file to plain data."""

    def __init__(self, file: TFLiteFile, data: mmap.mmap):
        self.file = file
        self.model = schema().Model.GetRootAs(data, 0)
        self.buffers = _Buffers(self.model, data)
        self.kinds = [self._kind(self.model.OperatorCodes(i)) for i in range(self.model.OperatorCodesLength())]

    def contents(self) -> Contents:
        model = self.model
        subgraphs = tuple(self._subgraph(model.Subgraphs(i)) for i in range(model.SubgraphsLength()))
        count = model.SignatureDefsLength()
        signatures = tuple(self._signature(model.SignatureDefs(i), subgraphs) for i in range(count))
        metadata = {}
        for entry in map(model.Metadata, range(model.MetadataLength())):
            buffer = _one_of(entry.Buffer(), model.BuffersLength(), f"the buffer of metadata {_text(entry.Name())!r}")
            metadata[_text(entry.Name())] = self.buffers.content(buffer).tobytes()
        return Contents(self.file, _text(model.Description()), subgraphs, signatures, metadata, self.buffers)

    def _kind(self, code) -> tuple[str, bool]:
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # the first is missing in files before 2020
        if number not in names("BuiltinOperator"):
            raise _Contradiction(f"op code {number} is none that the schema knows")
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
            raise _Contradiction(f"number type {number} of tensor {index} is none that the schema knows")
        buffer = _one_of(tensor.Buffer(), max(1, self.model.BuffersLength()), f"the buffer of tensor {index}")
        quantization = tensor.Quantization()
        shape = tuple(_numbers(tensor, "Shape"))
        if any(size < 0 for size in shape):
            raise _Contradiction(f"tensor {index} has the shape {shape}")
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

    def _signature(self, signature, subgraphs) -> Signature:
        key = _text(signature.SignatureKey())
        subgraph = _one_of(signature.SubgraphIndex(), len(subgraphs), f"the subgraph of signature {key!r}")
        count = len(subgraphs[subgraph].tensors)
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
