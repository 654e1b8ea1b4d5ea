"""A tensor of a .tflite file, and how its bytes become numbers.

    real = scale · (stored − zero point)            one scale a tensor, or one for each slice along `quantized_axis`
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tfold.errors import BadInputError

# Types that NumPy has too. Others are widened to one that it has.
_TYPES = {name: np.dtype(name).newbyteorder("<") for name in (
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
    "complex64", "complex128")}
_PACKED = {"int4": (4, np.int8), "uint4": (4, np.uint8), "int2": (2, np.int8)}


@dataclass(frozen=True)
class Tensor:
    """One tensor.

    Attributes:
        index: its number in its subgraph.
        name: as the file has it; converters put the names of layers in it.
        shape: with 1 for sizes that are open; `signature` has -1 there.
        dtype: the number type in the schema's words, lower case: "float32", "int8", "int4", "bfloat16", "string", …
        bytes: of its constant, 0 for what is computed.
        buffer: which buffer holds the constant; several tensors may share one.
        is_variable: state that lasts from one inference to the next.
        is_sparse: the constant is stored without its zeros.
        scales, zero_points: of the quantisation; empty without, several for one along `quantized_axis`.
        block_size: numbers that share a scale, where the scales lie in a tensor of their own (blockwise); else 0.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    dtype: str
    bytes: int
    buffer: int
    is_variable: bool = False
    is_sparse: bool = False
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    quantized_axis: int = 0
    block_size: int = 0

    @property
    def is_constant(self) -> bool:
        return self.bytes > 0

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith(("float", "bfloat"))

    @property
    def is_quantized(self) -> bool:
        """Whether its stored numbers stand for others."""
        return bool(self.scales or self.block_size) and not self.is_float

    @property
    def is_per_channel(self) -> bool:
        return len(self.scales) > 1

    def real(self, stored: np.ndarray) -> np.ndarray:
        """What numbers of this tensor stand for, as float64; floats stand for themselves.

        Args:
            stored: the tensor's numbers as the file or a runtime has them.

        Raises:
            BadInputError: quantised in blocks, or with scales that do not fit the array.
        """
        stored = np.asarray(stored)
        if not self.is_quantized:
            return stored.astype(np.float64)
        if self.block_size:
            raise BadInputError(f"Numbers with one scale, or one a channel, can be dequantised. Received: tensor "
                                f"{self.name!r}, in blocks of {self.block_size}. Compare its outputs instead.")
        scales, zeros = np.array(self.scales, np.float64), np.array(self.zero_points or (0,), np.float64)
        if not self.is_per_channel and zeros.size != 1:
            raise BadInputError(f"A zero point for each scale. Received: tensor {self.name!r} with 1 scale and "
                                f"{zeros.size} zero points. Export the file again.")
        if self.is_per_channel:
            sizes = [1] * stored.ndim
            if self.quantized_axis not in range(stored.ndim) or stored.shape[self.quantized_axis] != scales.size \
                    or zeros.size not in (1, scales.size):
                raise BadInputError(f"A scale for each channel. Received: tensor {self.name!r} of shape {stored.shape} "
                                    f"with {scales.size} scales, {zeros.size} zero points along axis "
                                    f"{self.quantized_axis}. Export the file again.")
            sizes[self.quantized_axis] = -1
            scales, zeros = scales.reshape(sizes), zeros.reshape(sizes if zeros.size > 1 else [1] * stored.ndim)
        return (stored.astype(np.float64) - zeros) * scales


def decoded(tensor: Tensor, content: np.ndarray, path) -> np.ndarray:
    """The numbers of a constant tensor from the bytes of its buffer; see `Contents.array`."""
    if tensor.dtype in _TYPES:
        width, decode = _TYPES[tensor.dtype].itemsize * 8, lambda: content.view(_TYPES[tensor.dtype])
    elif tensor.dtype in _PACKED:
        width, decode = _PACKED[tensor.dtype][0], lambda: _unpacked(content, *_PACKED[tensor.dtype])
    elif tensor.dtype == "bfloat16":
        width, decode = 16, lambda: (content.view("<u2").astype("<u4") << 16).view("<f4")
    else:
        width, decode = 0, None
    count = math.prod(tensor.shape)
    if decode is None or not tensor.is_constant or tensor.is_sparse or content.size != -(-count * width // 8):
        kind = "sparse" if tensor.is_sparse else f"{content.size} bytes"
        raise BadInputError(
            f"A constant holds as many numbers as its shape says. Received: tensor {tensor.index}, {tensor.name!r}, of "
            f"{path}: {tensor.dtype} {tensor.shape}, {kind}. Ask for a constant of numbers, or export the file again."
        )
    array = decode()[:count].reshape(tensor.shape)
    array.flags.writeable = False
    return array


def _unpacked(content: np.ndarray, bits: int, dtype) -> np.ndarray:
    """Numbers of 2 or 4 bits, the lowest bits first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = ((content[:, None] >> shifts) & (2**bits - 1)).ravel()
    if dtype is np.uint8:
        return codes
    return ((codes ^ (1 << (bits - 1))).astype(np.int16) - (1 << (bits - 1))).astype(np.int8)
