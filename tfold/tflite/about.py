"""What a .tflite file says about where it comes from: the metadata entry "tfold", and the names of merged layers."""
import hashlib
import json

import keras
import numpy as np

from tfold.version import __version__


def about(model, format, report=None, samples=None):
    """What the metadata entry "tfold" says.

    Args:
        model: the Keras model.
        format: the `Format`.
        report: the fold's `Report`, or its JSON, or None.
        samples: the `Samples` the ranges were measured on, or None.

    Returns:
        dict for JSON.
    """
    said = {"tfold": __version__, "keras": keras.__version__, "format": format.name,
            "weights_sha256": digest_of_weights(model)}
    if report is not None:
        report = as_json(report)
        said["fold"] = {"sha256": digest(report)}
        if report.get("before") and report.get("after"):
            said["fold"]["depth"] = [report["before"]["depth"], report["after"]["depth"]]
        said["fold"]["called"] = called(report)
    if format.needs_samples and samples is not None:
        said["calibrated_on"] = samples.count
    return said


def digest(report):
    """SHA-256 of a report's JSON, keys sorted: the same for the same fold, wherever it is written down.

    >>> digest(result.report.to_json())[:8]
    '1f0c2d9a'
    """
    return hashlib.sha256(json.dumps(as_json(report), sort_keys=True).encode()).hexdigest()


def digest_of_weights(model):
    """SHA-256 of a model's weights: whether a file was made of this model, or of one that was trained further."""
    found = hashlib.sha256()
    for weight in model.get_weights():
        found.update(f"{weight.dtype}{weight.shape}".encode())
        found.update(np.ascontiguousarray(weight).tobytes())
    return found.hexdigest()


def as_json(report):
    """A `Report`, or its JSON, as JSON has it: lists for tuples."""
    return json.loads(json.dumps(report if isinstance(report, dict) else report.to_json()))


def called(report):
    """Keras' name of each merged layer → its name in the file, where a "+" may stand: {"a-b": "a+b"}."""
    parts = {}
    for old, home in (as_json(report)["homes"] if report is not None else {}).items():
        parts.setdefault(home, []).append(old)
    merged = {home: label for home, olds in parts.items() if (label := _merged(home, olds)) != home}
    return merged | {f"{home}_border": f"{label}_border" for home, label in merged.items()}  # its border map, if any


def _merged(home, olds):
    """ "a-b" and ["a", "a_bn", "b"] → "a+b" """
    found, rest = [], f"{home}-"
    for old in olds:
        if rest.startswith(f"{old}-"):
            found.append(old)
            rest = rest[len(old) + 1 :]
    return "+".join(found) if not rest else home
