"""Which ops of a .tflite file XNNPACK takes over, asked of the runtime itself.

    conv ─▶ conv ─▶ PADV2 ─▶ conv ─▶ softmax          4 of 5 ops, in 2 partitions; not PADV2
    ╰── XNNPACK ─╯         ╰── XNNPACK ────╯

XNNPACK has the fast kernels; what it does not know runs in the runtime's own, and at each border of a partition tensors
go through memory. On a processor of another kind, or in another version of the runtime, the answer may be another.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from tfold.errors import TfoldError
from tfold.measure.host import TIMEOUT_S, Worker
from tfold.measure.runtimes import available_runtimes
from tfold.tflite.contents import read
from tfold.tflite.parts import Op


@dataclass(frozen=True)
class Coverage:
    """What a runtime does with the ops of a file's first subgraph.

    Attributes:
        runtime, version: which runtime was asked.
        ops: how many ops there are.
        partitions: indices of the ops in each part that XNNPACK runs.
        left: the ops that the runtime runs by itself, with the names of their outputs.
    """

    runtime: str
    version: str
    ops: int
    partitions: tuple[tuple[int, ...], ...]
    left: tuple[tuple[Op, str], ...]

    @property
    def delegated(self) -> frozenset[int]:
        """Indices of the ops that XNNPACK runs."""
        return frozenset(op for partition in self.partitions for op in partition)

    def to_json(self) -> dict:
        return {
            "runtime": self.runtime,
            "runtime_version": self.version,
            "delegate": "XNNPACK",
            "ops": self.ops,
            "delegated": len(self.delegated),
            "partitions": [list(partition) for partition in self.partitions],
            "left": [{"op": op.index, "kind": op.kind, "name": name} for op, name in self.left],
        }

    def __str__(self) -> str:
        count = len(self.partitions)
        if not count:
            return f"none of {self.ops} ops"
        return f"{len(self.delegated)} of {self.ops} ops in {count} partition{'s' * (count != 1)}"


def coverage(path: str | os.PathLike, runtime: str = "litert", timeout: float = TIMEOUT_S) -> Coverage:
    """Loads a file into a runtime with its default delegate, XNNPACK, and asks who got which op.

    Inputs whose sizes are open are taken as the file has them, usually 1. Branches and loops are not looked into.

    Args:
        path: the file.
        runtime: a key of `RUNTIMES`.
        timeout: in seconds.

    Raises:
        BadInputError: no whole .tflite file.
        TfoldError: the runtime is missing, cannot run the model, or died.

    Examples:
        print(coverage("model.tflite"))     # 26 of 27 ops in 2 partitions
    """
    contents = read(path)
    with Worker(runtime, timeout) as worker:
        worker.load(contents.file)
        ops, partitions = worker.delegation()
    if ops != len(contents.ops):
        raise TfoldError(f"A runtime has the ops of the file. Received: {ops} ops of {runtime}, {len(contents.ops)} in "
                         f"{path}. Try another runtime.")
    main = contents.subgraphs[0]
    delegated = {op for partition in partitions for op in partition}
    left = tuple((op, main.name_of(op)) for op in main.ops if op.index not in delegated)
    version = available_runtimes()[runtime].version
    return Coverage(runtime, version, ops, tuple(map(tuple, partitions)), left)
