"""The parts of a .tflite file as plain data: ops, the subgraphs they make, signatures. See `tfold.tflite.contents`."""

from __future__ import annotations

from dataclasses import dataclass

from tfold.tflite.tensor import Tensor


@dataclass(frozen=True)
class Op:
    """One op: `kind` as in the schema ("CONV_2D"), or the name of a custom op; `activation` is the fused one or "".

    `inputs` and `outputs` are indices of tensors, in the op's order; -1 stands for an optional one that is left out.
    """

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: str = ""
    is_custom: bool = False


@dataclass(frozen=True)
class Subgraph:
    """A network, or a branch or loop of one. `inputs` and `outputs` are indices of tensors."""

    name: str
    ops: tuple[Op, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def name_of(self, op: Op) -> str:
        """What people call an op: its first output's name, which says which layers it comes from."""
        return next((self.tensors[tensor].name for tensor in op.outputs if tensor >= 0), "")

    def producers(self) -> dict[int, Op]:
        """Tensor → the op that computes it."""
        return {tensor: op for op in self.ops for tensor in op.outputs}

    def consumers(self) -> dict[int, list[Op]]:
        """Tensor → the ops that read it, in the file's order."""
        found: dict[int, list[Op]] = {}
        for op in self.ops:
            for tensor in dict.fromkeys(op.inputs):
                found.setdefault(tensor, []).append(op)
        return found


@dataclass(frozen=True)
class Signature:
    """Names of inputs and outputs → indices of tensors of a subgraph."""

    key: str
    inputs: dict[str, int]
    outputs: dict[str, int]
    subgraph: int = 0
