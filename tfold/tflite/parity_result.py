"""What comparing a .tflite file with Keras came to: numbers for each output, and what they say against the file."""
from dataclasses import asdict, dataclass

from tfold.errors import ParityError
from tfold.tflite.lost_channels import LostChannels

CERTAIN = 0.999  # a softmax whose largest number is above it hardly moves, whatever the logits behind it do


@dataclass(frozen=True)
class OutputParity:
    """How far one output lies from Keras'.

    Args:
        name: of the output.
        largest, mean: of |ŷ − y|, in the output's own unit.
        relative: largest ÷ max |y|.
        decibels: 10·log10 of mean y² ÷ mean (ŷ − y)²; None where the two are equal.
        top1: how often both have their largest number in the same place of the last axis, 0…1; None where that axis has
            one place.
        step: what lies between two neighbouring numbers of a quantised output, 0 for floats: no error below it can be
            helped. (The softmax of an int8 file has steps of 1/256, whatever its numbers are.)
        certain: whether it is a softmax that puts all but a thousandth on one class, for every sample.
        lost: `LostChannels` whose numbers are smaller than the tensor's steps, or None.
    """

    name: str
    largest: float
    mean: float
    relative: float
    decibels: float | None
    top1: float | None
    step: float = 0.0
    certain: bool = False
    lost: LostChannels | None = None

    def passes(self, tolerance):
        return self.relative <= tolerance or self.largest <= self.step

    @property
    def warning(self):
        """A sentence where an output's numbers are too small for its steps, or tell little; or ""."""
        if self.lost and self.lost.is_all:
            return (f"Output {self.name} is one number in the file, whatever it is given: {self.lost}. Look for where "
                    "it is joined with larger numbers, or for inputs on another scale: tfold losses.")
        if self.lost:
            return (f"Output {self.name} holds numbers of very different size in one quantized tensor: {self.lost}. "
                    "Give them an output of their own, or scale the large ones down in the network.")
        if self.largest < self.relative * self.step:  # the largest number is below one step
            return (f"Output {self.name} has steps of {self.step:.1e}, and no number as large as that: the file cannot "
                    "tell its numbers apart. Leave the softmax out of the network.")
        if self.certain:
            return (f"Output {self.name} is a softmax that is certain of a class (above {CERTAIN:.1%}) for every "
                    "sample: it would hardly move if the logits behind it were wrong. Compare on inputs from its data.")
        return ""

    def __str__(self):
        parts = [f"output {self.name}: relative difference {self.relative:.1e}",
                 f"largest {self.largest:.1e}", f"mean {self.mean:.1e}"]
        parts += ["equal"] if self.decibels is None else [f"signal ÷ noise {self.decibels:.1f} dB"]
        parts += [] if self.top1 is None else [f"same class {self.top1:.1%}"]
        parts += [] if self.lost is None else [str(self.lost)]
        return ", ".join(parts)


@dataclass(frozen=True)
class Parity:
    """What a comparison came to: `outputs`, on how many `samples` of which `data`, and what was allowed.

    `accuracy` is (Keras', the file's) where the data came with labels, else None.
    """

    outputs: tuple
    samples: int
    data: str
    tolerance: float
    accuracy: tuple | None = None

    @property
    def worst(self):
        return max(self.outputs, key=lambda each: each.relative)

    @property
    def passed(self):
        return all(each.passes(self.tolerance) for each in self.outputs)

    @property
    def warnings(self):
        return tuple(each.warning for each in self.outputs if each.warning)

    def check(self, what="The .tflite file", then=""):
        """Raise `ParityError` where an output lies further from Keras' than allowed; `then` says what follows."""
        failing = [each for each in self.outputs if not each.passes(self.tolerance)]
        if failing:
            raise ParityError(
                f"{what} must compute what Keras computes (tolerance {self.tolerance:g} of the largest output). "
                f"Received: {failing[0]} ({self.samples} × {self.data}). {then}"
                "To allow more: tolerance= (--tolerance)."
            )

    def to_json(self):
        accuracy = self.accuracy and dict(zip(("keras", "tflite"), self.accuracy, strict=True))
        return {"samples": self.samples, "data": self.data, "tolerance": self.tolerance, "passed": self.passed,
                "outputs": [asdict(each) for each in self.outputs], "accuracy": accuracy}

    def __str__(self):
        lines = [f"parity with Keras on {self.samples} sample{'s' * (self.samples != 1)} ({self.data})",
                 *(f"  {each}" for each in self.outputs)]
        if self.accuracy:
            lines.append("  accuracy {:.2%} in Keras, {:.2%} in the file, on {:,} labeled sample{}".format(
                *self.accuracy, self.samples, "s" * (self.samples != 1)))
        return "\n".join(lines)
