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

from tfold.checks import check_path
from tfold.errors import BadInputError, one_line
from tfold.measure.tflite_file import TFLiteFile, check_tflite
from tfold.tflite.parts import Op, Signature, Subgraph
from tfold.tflite.reader import Buffers, Contradiction, Reader
from tfold.tflite.tensor import Tensor, decoded


@dataclass(frozen=True)
class Contents:
    """A .tflite file. `ops`, `tensors`, `inputs` and `outputs` are those of the first subgraph."""

    file: TFLiteFile
    description: str
    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[Signature, ...]
    metadata: dict[str, bytes]
    _buffers: Buffers = field(repr=False, compare=False)

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
        return decoded(tensor, self.content(tensor), self.path)

    def content(self, tensor: Tensor) -> np.ndarray:
        """The bytes of a constant, as the file has them; none for what is computed."""
        return self._buffers.content(tensor.buffer)

    @property
    def accessor(self):
        """The `Model` of `tfold.tflite.schema`, for what is not told here."""
        return self._buffers.model


def read(path: str | os.PathLike) -> Contents:
    """Reads a .tflite file.

    Args:
        path: the file.

    Raises:
        BadInputError: no whole .tflite file, or one that contradicts itself.

    Examples:
        [op.kind for op in read("model.tflite").ops]    # ["CONV_2D", "FULLY_CONNECTED", "SOFTMAX"]
    """
    check_path(path)
    file = check_tflite(path)
    with open(file.path, "rb") as opened:
        data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        found = Reader(data)
        return Contents(file, found.description, found.subgraphs, found.signatures, found.metadata, found.buffers)
    except Contradiction as contradiction:
        reason = str(contradiction)
    except (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"  # scalars, which no check has looked at, led out of the file
    raise BadInputError(
        f"A .tflite file must agree with itself. Received: {file.path}: {one_line(reason)} Export it again, or "
        "install a newer ai-edge-litert if the file is newer."
    )
