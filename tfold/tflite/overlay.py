"""Numbers for the ops of a .tflite file, to be seen on its graph in Model Explorer: one JSON file a quantity.

    model-explorer model.tflite --node_data_paths model.time.json,model.noise.json

    {"main": {                           the subgraph's name, "main" if it has none
       "name": "time, µs",
       "results": {"0": {"value": 29.3}, "1": {"value": 26.1}},      keys: Model Explorer numbers ops as the file does
       "gradient": [{"stop": 0, "bgColor": "#ffffff"}, …]}}          from the least of the values to the greatest

Checked with ai-edge-model-explorer 0.1.34, which takes it for node data of the nodes that its TFLite adapter makes.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tfold.errors import BadInputError
from tfold.files import check_output, whole
from tfold.tflite.contents import Contents, read

_COLOURS = ("#ffffff", "#ffd166", "#d62828")  # from good to bad
_DIGITS = 4  # significant ones: more would not fit on a node


@dataclass(frozen=True)
class Quantity:
    """What the numbers are.

    Args:
        name: with the unit, as Model Explorer shows it.
        bad: "high" or "low": which numbers deserve attention, and the red.
        adds_up: whether the sum over a group of ops means something.
    """

    name: str
    bad: str = "high"
    adds_up: bool = True


TIME = Quantity("time, µs")
ERROR = Quantity("error, dB", adds_up=False)  # of the signal's power: −40 is better than −20
SIGNAL_TO_NOISE = Quantity("signal to noise, dB", bad="low", adds_up=False)


def write(
    path: str | os.PathLike,
    file: str | os.PathLike | Contents,
    values: Mapping[int, float],
    quantity: Quantity = SIGNAL_TO_NOISE,
    force: bool = False,
) -> Path:
    """Writes an overlay file for Model Explorer, which shows one quantity a file and takes any number of files.

    Args:
        path: where the `.json` file appears, whole or not at all.
        file: the .tflite file that the numbers are about, or what was read from it.
        values: op's index in the first subgraph → number. JSON has no infinity and no NaN: ops with such a number get
            none, as those that are not named.
        quantity: `SIGNAL_TO_NOISE`, `ERROR`, `TIME`, or another one.
        force: replace an existing file.

    Returns:
        path: of the file.

    Raises:
        BadInputError: an op that the file does not have, no number at all, or a path that cannot be written.

    Examples:
        times = op_times("model.tflite")
        write("model.time.json", "model.tflite", times.microseconds, TIME)
    """
    contents = file if isinstance(file, Contents) else read(file)
    check_output(path, ".json", force, source=contents.path)
    document = json.dumps(node_data(contents, values, quantity), indent=2, ensure_ascii=False, allow_nan=False)
    with whole(path) as temporary:
        temporary.write_text(document + "\n", encoding="utf-8")
    return Path(path)


def node_data(contents: Contents, values: Mapping[int, float], quantity: Quantity) -> dict:
    """What `write` writes."""
    unknown = sorted(set(values) - {op.index for op in contents.ops})
    if unknown:
        raise BadInputError(f"Numbers belong to ops of the file. Received: op {unknown[0]}, {contents.path} has "
                            f"{len(contents.ops)}. Use the indices of `Contents.ops`.")
    if quantity.bad not in ("high", "low"):
        raise BadInputError(f'Bad numbers are "high" or "low". Received: bad={quantity.bad!r}. Use one of these.')
    results = {str(op): {"value": float(f"{value:.{_DIGITS}g}")} for op, value in sorted(values.items())
               if math.isfinite(value)}
    if not results:
        raise BadInputError(f"An overlay shows numbers. Received: {len(values)} values, none of them finite. Measure "
                            "again.")
    colours = _COLOURS if quantity.bad == "high" else _COLOURS[::-1]
    graph = {
        "name": quantity.name,
        "results": results,
        "gradient": [{"stop": place / (len(colours) - 1), "bgColor": colour} for place, colour in enumerate(colours)],
    }
    if not quantity.adds_up:
        graph["hideAggregatedStats"] = ["sum"]
    return {contents.subgraphs[0].name or "main": graph}
