"""The channels of a network evened out for quantisation, exactly: ranges are measured, scales chosen, and the result is
compared with the original.

    capture ─▶ run on samples ─▶ passes.equalize ─▶ regauge ─▶ build ─▶ verify
"""
from dataclasses import dataclass

import numpy as np

from tfold.checks import check_settled
from tfold.comparison import to_numpy
from tfold.errors import BadInputError, one_line
from tfold.graph.build import build_with_tensors
from tfold.graph.capture import capture
from tfold.graph.execute import captured_calls, execute
from tfold.graph.family import family_of
from tfold.graph.ir import Ref
from tfold.passes.absorb_border_map import absorb_border_map
from tfold.passes.equalize import Range, equalize
from tfold.passes.regauge import regauge
from tfold.sampling import input_tensors
from tfold.verification import verify

CHUNK = 16


@dataclass
class EqualizeResult:
    """What `equalize_channels` returns.

    Args:
        model: the new model.
        channels, total: how many channels could be scaled, of how many.
        gain: by how many decibels the noise of 8-bit quantisation falls, as the scales were chosen by.
        verification: the comparison with the original.
    """

    model: object
    channels: int
    total: int
    gain: float
    verification: object

    def to_json(self):
        return {"channels": self.channels, "total": self.total, "gain": self.gain,
                "verification": self.verification.to_json()}

    def __str__(self):
        return (f"equalised {self.channels:,} of {self.total:,} channels; the noise of 8-bit quantisation falls by an "
                f"estimated {self.gain:.1f} dB\n{self.verification}")


def equalize_channels(model, sample):
    """Scale a network's channels so that 8-bit quantisation loses least; its outputs stay as they are.

    Channels that a ReLU6, a sigmoid or another activation with a fixed point follows keep their scale; ReLU, LeakyReLU,
    additions, pooling and linear layers let it pass.

    Args:
        model: a Functional or Sequential model without α-activations; it is not changed.
        sample: real inputs that ranges are measured on, as the model takes them, some dozens.

    Returns:
        An `EqualizeResult`.

    Raises:
        BadInputError: the model does not run on the sample.
        ParityError: the new model computes something else.

    Example:

    >>> even = tfold.equalize_channels(folded, images[:100])
    >>> tfold.export(even.model, "int8.tflite", "int8", images)

    Source: Nagel et al., Data-Free Quantization (arXiv 1906.04721), section 4.1; see `passes.equalize`.
    """
    graph = capture(model)
    check_settled(graph, "What is evened out is")
    original = graph.copy()
    ranges = _ranges(model, graph, sample)
    absorb_border_map(graph)
    found = equalize(graph, ranges)
    regauge(graph, found.forms, ())
    graph.validate()
    built = build_with_tensors(graph)
    one = family_of(model).map_structure(lambda array: array[:1], sample)
    verification = verify(model, False, original, graph, built, one)
    return EqualizeResult(built.model, found.channels, found.total, found.gain, verification)


def _ranges(model, graph, sample):
    """`Ref` → `Range` of each tensor that the model's layers make."""
    calls, family = captured_calls(graph), family_of(model)
    try:
        inputs = [to_numpy(tensor) for tensor in input_tensors(model, sample)]
    except Exception as error:  # another structure, other types
        raise BadInputError(
            f"Ranges are measured on inputs as the model takes them. Received: a sample that {model.name!r} does not "
            f"take: {one_line(error)}"
        ) from error
    chunk = family.flatten(model.inputs)[0].shape[0] or CHUNK
    found, count = {}, 0
    for start in range(0, len(inputs[0]), chunk):
        parts = [family.tensor(array[start : start + chunk], str(array.dtype)) for array in inputs]
        values = execute(calls, dict(zip(map(Ref, graph.inputs), parts, strict=True)), family=family)
        weight = len(parts[0])
        count += weight
        for ref, tensor in values.items():
            shape = graph.shape(ref)
            if shape is not None and len(shape) > 1 and "float" in str(tensor.dtype):
                array = to_numpy(tensor).reshape(-1, shape[-1]).astype(np.float64)
                one = array.max(0), -array.min(0), np.square(array).mean(0) * weight
                found[ref] = one if ref not in found else (
                    np.maximum(found[ref][0], one[0]), np.maximum(found[ref][1], one[1]), found[ref][2] + one[2])
    for ref, (_, _, power) in found.items():
        if not np.isfinite(power).all():
            raise BadInputError(
                f"Channels are evened out by how large they are. Received: {model.name!r}, which gives NaN or infinity "
                f"at {graph[ref].label} on the sample. Pass inputs it is made for."
            )
    return {ref: Range(np.maximum(up, 0), np.maximum(down, 0), power / count)
            for ref, (up, down, power) in found.items()}
