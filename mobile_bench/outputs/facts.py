"""What single lines of the log tell, wherever they stand.

    Initialized session in 12.025ms.                                        session_ms
    The input model file size (MB): 13.926                                  model_size_mb
    Memory footprint delta from the start of the tool (MB): init=… overall=…    memory_init_mb, memory_overall_mb
    #threads used for CPU inference: [1]                                    threads
    Loaded model /data/local/tmp/mobilenet_v2.tflite                        graph

A line may come twice, as some do; then it has to say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mobile_bench.outputs.errors import OutputError, shorten
from mobile_bench.outputs.lines import Line
from mobile_bench.outputs.numbers import signed

_ANY = r"([^\s\]]*)"  # read as a number afterwards, so that a damaged one is an error and not another line


@dataclass(frozen=True)
class _Fact:
    """How a line begins, how it goes on, and what its groups are called."""

    start: str
    rest: str
    names: tuple[str, ...]

    def read(self, text: str) -> dict[str, str] | None:
        if not text.startswith(self.start):
            return None
        found = re.fullmatch(self.rest, text[len(self.start):])
        if not found:
            raise OutputError(
                f"A line that begins with {self.start!r} must go on as benchmark_model prints it. "
                f"Received: {shorten(text)!r}. The output is cut or damaged: measure again."
            )
        return dict(zip(self.names, found.groups(), strict=True))


_MEMORY = ("memory_init_mb", "memory_overall_mb")
_FACTS = (
    _Fact("Initialized session in ", r"([^\s]*)ms\.?", ("session_ms",)),
    _Fact("The input model file size (MB): ", _ANY, ("model_size_mb",)),
    _Fact("Memory footprint delta from the start of the tool (MB): ", f"init={_ANY} overall={_ANY}", _MEMORY),
    _Fact("Peak memory footprint (MB): ", f"init={_ANY} overall={_ANY}", _MEMORY),  # 2020
    _Fact("Overall peak memory footprint (MB) via periodic monitoring: ", _ANY, ("memory_peak_mb",)),
    _Fact("Num threads: ", rf"\[{_ANY}\]", ("threads",)),
    _Fact("#threads used for CPU inference: ", rf"\[{_ANY}\]", ("threads",)),
    _Fact("Inter-run delay (seconds): ", rf"\[{_ANY}\]", ("delay_s",)),
    _Fact("Number of prorated runs per second: ", rf"\[{_ANY}\]", ("runs_per_s",)),
    _Fact("Graph: ", r"\[(.*)\]", ("graph",)),
    _Fact("Loaded model ", r"(.*)", ("graph",)),
)


def read_fact(text: str) -> dict[str, float | str] | None:
    """What a line tells: names and values; None where it is not one of these lines.

    Raises:
        OutputError: the line is cut or damaged.

    Examples:
        read_fact("Num threads: [4]")   # {"threads": 4.0}
    """
    for fact in _FACTS:
        tokens = fact.read(text)
        if tokens is not None:
            return {name: token if name == "graph" else signed(token, name) for name, token in tokens.items()}
    return None


def collect_facts(lines: Iterable[Line]) -> dict[str, float | str]:
    """What all lines tell together. Raises: OutputError where two contradict each other, or one is damaged."""
    known: dict[str, float | str] = {}
    for line in lines:
        for name, value in (read_fact(line.text) or {}).items():
            if known.setdefault(name, value) != value:
                raise OutputError(
                    f"An output tells one {name}. Received: {shorten(str(known[name]))} and {shorten(str(value))}. "
                    "It is damaged, or of several runs: measure again, and read each run by itself."
                )
    for name, least in (("session_ms", 0), ("model_size_mb", 0), ("memory_peak_mb", 0), ("threads", -1)):
        value = known.get(name, least)
        if value < least or (name == "threads" and value != int(value)):
            raise OutputError(f"{name} is a number that a run can have. Received: {value:g}. The output is damaged: "
                              "measure again.")
    return known
