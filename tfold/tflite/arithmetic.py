"""Arithmetic with a constant that is left between the ops: what a fold could have put into a layer, or had to leave.

    kind                      constant       what it probably is
    MUL ─▶ ADD                per channel    a batch norm that stayed
    MUL or ADD on an input    any            preprocessing
    ADD behind a convolution  map            the border map that makes a merge across zero padding exact
    POW, SQUARED_DIFFERENCE   any            not linear: no layer could take it in

In a float16 file the constant is found behind its DEQUANTIZE.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from tfold.tflite.contents import Contents
from tfold.tflite.parts import Op
from tfold.tflite.tensor import Tensor

LINEAR = ("MUL", "ADD", "SUB", "DIV")
OTHERS = ("POW", "SQUARED_DIFFERENCE", "MINIMUM", "MAXIMUM", "FLOOR_DIV", "FLOOR_MOD")
_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "CONV_3D", "BATCH_MATMUL")
_SAME_NUMBERS = ("QUANTIZE", "DEQUANTIZE", "CAST", "RESHAPE")


@dataclass(frozen=True)
class Leftover:
    """An op that computes with a constant.

    Attributes:
        op, kind, name: which one; the name is its output's.
        constant: the constant tensor's name.
        shape: its shape.
        form: "scalar", "per channel", or "map".
        bytes: that it takes in the file.
        linear: whether it multiplies by numbers or adds them, as a layer can that is beside it.
        meaning: what it probably is, "" where nothing tells.
    """

    op: int
    kind: str
    name: str
    constant: str
    shape: tuple[int, ...]
    form: str
    bytes: int
    linear: bool
    meaning: str = ""

    def to_json(self) -> dict:
        return {**asdict(self), "shape": list(self.shape)}


def leftovers(contents: Contents) -> list[Leftover]:
    """The constant arithmetic of a file's first subgraph, in the file's order.

    Examples:
        for left in leftovers(read("model.tflite")):
            print(left.kind, left.form, left.name, left.meaning)    # MUL per channel bn_1 batch norm
    """
    return _Search(contents).found()


class _Search:
    def __init__(self, contents: Contents):
        self.contents, self.main = contents, contents.subgraphs[0]
        self.producers, self.consumers = self.main.producers(), self.main.consumers()

    def found(self) -> list[Leftover]:
        norms = {op.index for pair in self._batch_norms() for op in pair}
        return [self._described(op, sides, op.index in norms) for op in self.main.ops if (sides := self._sides(op))]

    def _described(self, op: Op, sides: tuple[int, Tensor], is_norm: bool) -> Leftover:
        source, constant = sides
        form, linear = self._form(op, constant), op.kind in LINEAR and not self._divides(op)
        meaning = ""
        if is_norm:
            meaning = "batch norm"
        elif linear and self._is_input(source):
            meaning = "preprocessing"
        elif form == "map" and op.kind in ("ADD", "SUB") and self._made_by(source, _LAYERS):
            meaning = "border map"
        return Leftover(op.index, op.kind, self.main.name_of(op), constant.name, constant.shape, form, constant.bytes,
                        linear, meaning)

    def _sides(self, op: Op) -> tuple[int, Tensor] | None:
        """The computed operand and the constant one, of an op that computes numbers from both."""
        if op.kind not in LINEAR + OTHERS or len(op.inputs) != 2:
            return None
        constants = [self._constant(index) for index in op.inputs]
        if sum(constant is not None for constant in constants) != 1:
            return None
        at = 0 if constants[0] is not None else 1
        return op.inputs[1 - at], constants[at]

    def _constant(self, index: int) -> Tensor | None:
        """The constant behind an operand, if it is one and stands for real numbers: integers count places."""
        tensor = self.main.tensors[index] if index >= 0 else None
        if tensor is not None and not tensor.is_constant and self._made_by(index, ("DEQUANTIZE",)):
            stored = self.producers[index].inputs[:1]
            tensor = self.main.tensors[stored[0]] if stored and stored[0] >= 0 else None
        return tensor if tensor and tensor.is_constant and (tensor.is_float or tensor.is_quantized) else None

    def _form(self, op: Op, constant: Tensor) -> str:
        count = math.prod(constant.shape)
        channels = self.main.tensors[op.outputs[0]].shape[-1:] if op.outputs else ()
        if count == 1:
            return "scalar"
        return "per channel" if constant.shape[-1:] == channels and count == constant.shape[-1] else "map"

    def _divides(self, op: Op) -> bool:
        """Whether the constant is what is divided: c / x is not linear in x."""
        return op.kind == "DIV" and self._constant(op.inputs[0]) is not None

    def _batch_norms(self):
        """Pairs of a multiplication and the addition that alone reads it, both with a number a channel."""
        for op in self.main.ops:
            readers = self.consumers.get(op.outputs[0], []) if op.kind == "MUL" and op.outputs else []
            if len(readers) != 1 or readers[0].kind not in ("ADD", "SUB") or op.outputs[0] in self.main.outputs:
                continue
            sides = [self._sides(each) for each in (op, readers[0])]
            if all(side and self._form(each, side[1]) == "per channel"
                   for each, side in zip((op, readers[0]), sides, strict=True)):
                yield op, readers[0]

    def _made_by(self, tensor: int, kinds: tuple[str, ...]) -> bool:
        return tensor in self.producers and self.producers[tensor].kind in kinds

    def _is_input(self, tensor: int) -> bool:
        """Whether nothing but other arithmetic of this kind stands between a tensor and the network's inputs."""
        for _ in range(len(self.main.ops) + 1):  # a damaged file may run in a circle
            if tensor in self.main.inputs:
                return True
            op = self.producers.get(tensor)
            if op is None or not op.inputs:
                return False
            sides = self._sides(op)
            if op.kind not in _SAME_NUMBERS and not (sides and op.kind in LINEAR):
                return False
            tensor = sides[0] if sides else op.inputs[0]
        return False
