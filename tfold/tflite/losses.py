"""Where a quantised file loses its accuracy: each tensor beside the same tensor of the float file.

    float32.tflite   stem;relu ──▶ block_1 ──▶ …        signal:  mean x²
    int8.tflite      stem;relu ──▶ block_1 ──▶ …        noise:   mean (x̂ − x)², with all that came before

    decibels = 10·log10(signal ÷ noise); what a layer itself lost is the step down from the worst of what it reads.

The tensors are the runtime's own (`experimental_preserve_all_tensors`); a tensor has the same name in both files.
"""
import re
from dataclasses import asdict, dataclass
from itertools import zip_longest

import numpy as np

from tfold import documents
from tfold.errors import BadInputError
from tfold.files import scratch
from tfold.measure import run_tensors
from tfold.tflite.about import digest_of_weights
from tfold.tflite.annotate import METADATA
from tfold.tflite.contents import read
from tfold.tflite.convert import export
from tfold.tflite.model_samples import compared_inputs, representative_samples
from tfold.tflite.parity import batch_of, check_ends, fed
from tfold.tflite.summary import quantization
from tfold.tflite.trace import input_names

INAUDIBLE = 140.0  # decibels: float32 itself has no more


@dataclass(frozen=True)
class Loss:
    """What one op's output has lost.

    Args:
        name: of the tensor: the layers that make it.
        kind: of the op, "CONV_2D".
        op: its index in the quantised file.
        decibels: signal ÷ noise.
        lost: by how much that is below the worst tensor that the op reads; negative where noise averages out.
        lowest, highest: of the float tensor.
        step: of the quantised tensor, 0 where it is floats.
    """

    name: str
    kind: str
    op: int
    decibels: float
    lost: float
    lowest: float
    highest: float
    step: float


@dataclass(frozen=True)
class Losses:
    """Every layer's loss: `layers` in the order of the network, `worst` first; on `samples` samples of `data`, which
    has `available`."""

    layers: tuple
    samples: int
    data: str
    warnings: tuple = ()
    available: int | None = None

    @property
    def counted(self):
        """On how many samples, in words: "200 of the 1,797 samples of test.npz"."""
        of = f" of the {self.available:,}" if self.available and self.available > self.samples else ""
        return f"{self.samples:,}{of} sample{'s' * (self.samples != 1)} of {self.data}"

    @property
    def worst(self):
        return tuple(sorted(self.layers, key=lambda each: each.decibels))

    def to_json(self):
        return {"samples": self.samples, "available": self.available, "data": self.data,
                "warnings": list(self.warnings), "layers": [asdict(each) for each in self.worst]}

    def table(self, rows=None):
        """Text for people, worst first."""
        shown = self.worst[:rows]
        width = max([len(each.name) for each in shown] + [5])
        lines = [f"{'layer':<{width}}  {'op':<18} {'signal÷noise':>12} {'lost here':>10} {'range':>22} {'step':>9}"]
        for each in shown:
            extent = f"{each.lowest:.3g} … {each.highest:.3g}"
            lines.append(f"{each.name:<{width}}  {each.kind:<18} {each.decibels:>9.1f} dB {each.lost:>7.1f} dB "
                         f"{extent:>22} {each.step:>9.2g}")
        if len(shown) < len(self.layers):
            lines.append(f"… and {len(self.layers) - len(shown)} more that lost less")
        return "\n".join(lines)

    def __str__(self):
        return self.table()


def layer_losses(model, path, data=None, samples=None, scale=None, resize="stretch", report=None):
    """Compare every tensor of a quantised file with the float network's.

    Args:
        model: the Keras model that the file was exported from, by `tfold.export`.
        path: the file.
        data: inputs; random numbers if None. See `tfold.representative_samples`.
        samples, scale, resize: how to read them.
        report: the fold's report, see `tfold.representative_samples`.

    Returns:
        `Losses`.

    Raises:
        BadInputError: the file is float, damaged, or was not exported from this model by tfold.

    Example:

    >>> print(tfold.layer_losses(folded, "int8.tflite", "test.npz").table(10))
    """
    contents = read(path)
    found = quantization(contents)
    if found.format in ("float32", "float16"):
        raise BadInputError(
            f"What quantisation costs is seen in a quantised file. Received: {path}, a {found.format} file. "
            "Export one: quantize='int8' (--quantize int8)."
        )
    check_ends(contents)
    said = _said(contents)
    _check_same_weights(model, contents, said)
    data = None if data is None else representative_samples(
        model, data, samples, scale, resize, calibrates=False, report=report)
    batch = batch_of(contents.tensors[contents.inputs[0]])
    inputs, source = compared_inputs(model, None, data, batch, most=None if data is None else data.count)
    with scratch() as folder:
        reference = export(model, folder / "float32.tflite", batch=batch, tolerance=float("inf")).path
        layers = _compared(
            read(reference), contents, dict(zip(input_names(model), inputs, strict=True)), _renaming(said))
    available = data.available if data else None
    return Losses(layers, len(inputs[0]), source, data.warnings if data else (), available)


def _said(contents):
    """What `tfold.export` wrote into the file about itself; {} where it did not."""
    try:
        said = documents.parse(contents.metadata.get(METADATA, b"{}"))
    except ValueError:  # another program's, or damaged
        said = {}
    return said if isinstance(said, dict) else {}


def _renaming(said):
    """Function from a tensor's name in an export without the fold's report to its name in this file: "a-b" → "a+b"."""
    fold = said.get("fold")
    called = fold.get("called") if isinstance(fold, dict) else None
    if not called or not isinstance(called, dict):
        return lambda name: name
    longest_first = sorted(map(re.escape, called), key=len, reverse=True)
    whole_names = re.compile(rf"(?:(?<=^)|(?<=;))({'|'.join(longest_first)})(?=$|;|/)")
    return lambda name: whole_names.sub(lambda found: called[found[1]], name)


def _check_same_weights(model, contents, said):
    weights = said.get("weights_sha256")
    if weights != digest_of_weights(model):
        which = "does not say what it was made of" if weights is None else "was made of other weights"
        raise BadInputError(
            f"Layers are compared with the model that the file was exported from, by tfold. Received: {contents.path}, "
            f"which {which} (model: {model.name!r}). Export the model again, and compare that file: after equalising "
            "or training it is another model."
        )


def _compared(exact, rounded, inputs, renamed):
    """The losses of the ops whose outputs both files have."""
    pairs = _pairs(exact, rounded, renamed)
    sums = {index: _Sums() for index in pairs}
    runs = (_runs(file, inputs, indices) for file, indices in (
        (exact, [tensor.index for tensor in pairs.values()]), (rounded, list(pairs))))
    for of_exact, of_rounded in zip_longest(*runs):
        if of_exact is None or of_rounded is None:
            raise BadInputError(
                f"A file takes as many samples at a time as it says. Received: {rounded.path}, whose inputs contradict "
                "each other. It may be damaged: export the model again.")
        for index, tensor in pairs.items():
            found = rounded.tensors[index].real(of_rounded[index])
            sums[index].add(tensor.name, tensor.real(of_exact[tensor.index]), found)
    decibels = {index: each.decibels for index, each in sums.items()}
    layers = []
    for op in rounded.ops:
        read_ones = [decibels[each] for each in op.inputs if each in decibels]
        for index in op.outputs:
            if index not in pairs or (op.kind == "DEQUANTIZE" and read_ones):  # the same numbers once more
                continue
            tensor = rounded.tensors[index]
            layers.append(Loss(
                tensor.name, op.kind, op.index, decibels[index], min(read_ones, default=INAUDIBLE) - decibels[index],
                sums[index].lowest, sums[index].highest, tensor.scales[0] if tensor.is_quantized else 0.0))
    return tuple(layers)


def _pairs(exact, rounded, renamed):
    """Index of each tensor of the quantised file that the float file has as well → the float file's tensor."""
    names = {renamed(tensor.name): tensor for tensor in exact.tensors if not tensor.is_constant}
    pairs = {tensor.index: names[tensor.name] for tensor in rounded.tensors
             if tensor.name in names and not tensor.is_constant and tensor.shape == names[tensor.name].shape}
    for op in rounded.ops:  # what is converted at the ends has names of its own
        if op.kind not in ("QUANTIZE", "DEQUANTIZE") or not op.inputs or not op.outputs \
                or rounded.tensors[op.inputs[0]].is_constant:
            continue
        if op.inputs[0] in pairs:
            pairs.setdefault(op.outputs[0], pairs[op.inputs[0]])
        elif op.outputs[0] in pairs:
            pairs.setdefault(op.inputs[0], pairs[op.outputs[0]])
    return pairs


def _runs(contents, inputs, tensors):
    """Yields the tensors of each run of a file."""
    parts = list(fed(contents, inputs))
    if len(next(iter(parts[0].values()))) == 1:  # one process for all of them
        parts = [{name: np.concatenate([part[name] for part in parts]) for name in parts[0]}]
    for part in parts:
        yield from run_tensors(contents.path, part, tensors=tensors)


class _Sums:
    """Signal and noise of one tensor, added up over samples."""

    def __init__(self):
        self.signal = self.noise = 0.0
        self.lowest, self.highest = np.inf, -np.inf

    def add(self, name, exact, rounded):
        if exact.shape != rounded.shape:
            raise BadInputError(
                f"A tensor has one shape in the float and in the quantised file. Received: {name!r}, {exact.shape} and "
                f"{rounded.shape}. The file may be damaged: export the model again.")
        self.signal += float(np.square(exact).sum())
        self.noise += float(np.square(rounded - exact).sum())
        self.lowest = min(self.lowest, float(exact.min(initial=np.inf)))
        self.highest = max(self.highest, float(exact.max(initial=-np.inf)))

    @property
    def decibels(self):
        if not self.noise:
            return INAUDIBLE
        return min(INAUDIBLE, 10 * float(np.log10(max(self.signal, 1e-300) / self.noise)))
