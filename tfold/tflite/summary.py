"""What a .tflite file is, in a few numbers: ops by kind, bytes by number type, and how it is quantised.

    format        kernels         between the ops
    float32       float32         float32
    float16       float16         float32             each kernel goes through a DEQUANTIZE
    weight-only   int8, int4      float32             the same
    dynamic       int8, int4      float32             inputs of the layers are rounded while it runs
    int8          int8            int8
    int16         int8            int16
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tfold.tflite.contents import Contents
from tfold.tflite.parts import Op, Subgraph
from tfold.tflite.tensor import Tensor

_KERNEL_AT = dict.fromkeys(  # which input it is
    ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "CONV_3D", "BATCH_MATMUL",
     "EMBEDDING_LOOKUP"), 1)
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
_MOVES = ("RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "SQUEEZE", "EXPAND_DIMS")


@dataclass(frozen=True)
class Quantization:
    """How a file is quantised.

    Attributes:
        format: "float32", "float16", "dynamic", "int8", "int16", …: see above.
        kernels: number type → how many constant kernels have it.
        per_channel: how many kernels have a scale for each channel.
        activations: number type → how many tensors between the ops have it, conversions of constants apart.
        float_kernels, float_ops: names, as (op, name), of what computes with floats in a file that is quantised: ops
            whose kernels are floats, and, where the activations are integers, ops whose outputs are floats.
    """

    format: str
    kernels: dict[str, int]
    per_channel: int
    activations: dict[str, int]
    float_kernels: tuple[tuple[Op, str], ...]
    float_ops: tuple[tuple[Op, str], ...]

    def to_json(self) -> dict:
        names = {key: [{"op": op.index, "kind": op.kind, "name": name} for op, name in getattr(self, key)]
                 for key in ("float_kernels", "float_ops")}
        return {"format": self.format, "kernels": self.kernels, "per_channel": self.per_channel,
                "activations": self.activations, **names}


def ops_by_kind(contents: Contents) -> dict[str, int]:
    """Kind → how many, in all subgraphs, the most frequent first."""
    return dict(Counter(op.kind for subgraph in contents.subgraphs for op in subgraph.ops).most_common())


def custom_ops(contents: Contents) -> list[str]:
    """Names of ops that are not TFLite's own: Flex ops need TensorFlow in the app, others code of yours."""
    return sorted({op.kind for subgraph in contents.subgraphs for op in subgraph.ops if op.is_custom})


def bytes_by_type(contents: Contents) -> dict[str, int]:
    """Number type → bytes of the constants that have it, the most first; a buffer that several share counts once."""
    buffers = {tensor.buffer: tensor for subgraph in contents.subgraphs for tensor in subgraph.tensors
               if tensor.is_constant}
    total: Counter[str] = Counter()
    for tensor in buffers.values():
        total[tensor.dtype] += tensor.bytes
    return dict(total.most_common())


def quantization(contents: Contents) -> Quantization:
    """How the first subgraph is quantised.

    Examples:
        found = quantization(read("model.tflite"))
        found.format, found.per_channel     # "int8", 27
    """
    main = contents.subgraphs[0]
    producers = main.producers()
    kernels = [(op, kernel) for op in main.ops if (kernel := _kernel(main, op, producers))]
    between = [(op, tensor) for op in main.ops for tensor in _computed(main, op)]
    types = Counter(tensor.dtype for _, tensor in between if tensor.is_float or tensor.is_quantized)
    integers = Counter(tensor.dtype for _, tensor in between if tensor.is_quantized)
    quantized = any(kernel.is_quantized for _, kernel in kernels)
    if integers:
        form = integers.most_common(1)[0][0]
    elif quantized:
        direct = any(kernel.is_quantized and kernel.index in op.inputs for op, kernel in kernels)
        form = "dynamic" if direct else "weight-only"
    else:
        halves = any(tensor.dtype == "float16" for tensor in main.tensors if tensor.is_constant)
        form = "float16" if halves else "float32"
    float_kernels = [op for op, kernel in kernels if not kernel.is_quantized] if quantized else []
    float_ops = [op for op, tensor in between if tensor.is_float and op.kind not in _CONVERSIONS
                 and not _casts_input(main, op, producers)] if integers else []
    return Quantization(
        format=form,
        kernels=dict(Counter(kernel.dtype for _, kernel in kernels).most_common()),
        per_channel=sum(kernel.is_per_channel for _, kernel in kernels),
        activations=dict(types.most_common()),
        float_kernels=tuple((op, main.name_of(op)) for op in float_kernels),
        float_ops=tuple((op, main.name_of(op)) for op in dict.fromkeys(float_ops)),
    )


def _casts_input(subgraph: Subgraph, op: Op, producers: dict[int, Op]) -> bool:
    """Whether an op makes floats of an input of whole numbers, as a QUANTIZE behind it makes steps of them."""
    while op is not None and op.kind in ("CAST", *_MOVES) and op.inputs:
        if op.inputs[0] in subgraph.inputs:
            return not subgraph.tensors[op.inputs[0]].is_float
        op = producers.get(op.inputs[0])
        if op is not None and op.kind not in _MOVES:
            return False
    return False


def _kernel(subgraph: Subgraph, op: Op, producers: dict[int, Op]) -> Tensor | None:
    """The constant kernel of a layer, behind a DEQUANTIZE too; None where an op has none."""
    at = _KERNEL_AT.get(op.kind)
    if at is None or at >= len(op.inputs) or op.inputs[at] < 0:
        return None
    tensor = subgraph.tensors[op.inputs[at]]
    maker = producers.get(tensor.index)
    if maker is not None and maker.kind == "DEQUANTIZE" and maker.inputs and maker.inputs[0] >= 0:
        tensor = subgraph.tensors[maker.inputs[0]]
    return tensor if tensor.is_constant else None


def _computed(subgraph: Subgraph, op: Op) -> list[Tensor]:
    """What an op computes while the network runs: constants in another type are none of it."""
    if op.kind in _CONVERSIONS and all(subgraph.tensors[index].is_constant for index in op.inputs if index >= 0):
        return []
    return [subgraph.tensors[index] for index in op.outputs if index >= 0]
