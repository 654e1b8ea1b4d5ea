"""What calibration gets: some samples of every input of the model, in the model's order, as arrays in memory."""
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np


class Input(NamedTuple):
    """One input of a model: its name, the shape of one sample (without batch), its number type."""

    name: str
    shape: tuple
    dtype: str = "float32"

    @property
    def is_float(self):
        return "float" in self.dtype


@dataclass(frozen=True, eq=False)
class Samples:
    """Representative samples.

    Args:
        inputs: name of each input, in the model's order, → array `(count, …)`; float32 where the model takes floats.
        labels: class numbers `(count,)`, or None.
        source: where they come from, as messages say it.
        warnings: sentences about what looks odd.
        available: how many samples there are where these come from; None where it does not say.

    Example:

    >>> converter.representative_dataset = samples.batches
    """

    inputs: dict
    labels: np.ndarray | None
    source: str
    warnings: tuple = ()
    available: int | None = None

    @property
    def count(self):
        return len(next(iter(self.inputs.values())))

    @property
    def counted(self):
        """How many in words: "200 of 1,797 samples"."""
        of = f" of {self.available:,}" if self.available and self.available > self.count else ""
        return f"{self.count:,}{of} sample{'s' * (self.count != 1)}"

    def __len__(self):
        return self.count

    def batches(self, batch=1):
        """Yield lists of arrays, one for each input in the model's order, `batch` samples at a time.

        What is left at the end makes a smaller batch.
        """
        for start in range(0, self.count, batch):
            yield [values[start : start + batch] for values in self.inputs.values()]

    def __iter__(self):
        return self.batches()

    def as_model_takes_them(self, model):
        """The samples in the structure of a model's input: an array, a list or a dict."""
        from tfold.graph.family import family_of
        from tfold.sampling import model_input

        arrays = iter(self.inputs.values())
        return family_of(model).map_structure(lambda _: next(arrays), model_input(model))

    def full_batches(self, batch=1):
        """As `batches`, without a smaller one at the end: for a network that takes so many at a time and no other."""
        return (each for each in self.batches(batch) if len(each[0]) == batch)

    def take(self, count):
        """The first `count` samples, without copying them; all where there are fewer."""
        return replace(
            self,
            inputs={name: values[:count] for name, values in self.inputs.items()},
            labels=None if self.labels is None else self.labels[:count],
        )
