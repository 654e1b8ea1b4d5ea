"""What the benchmark app has written to Android's log, picked out of what all others have.

    brief        I/tflite  (24897): Inference timings in us: Init: 1007529, First inference: 4098, …
    threadtime   01-13 15:00:04.407 24897 24897 I tflite  : Inference timings in us: Init: 1007529, …
    time         01-13 15:00:04.407 I/tflite  (24897): Inference timings in us: Init: 1007529, …
                                                 └ the process: one run is one process

Other apps use TensorFlow Lite too and write under the same tag; a process whose lines tell no run does not count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mobile_bench.outputs import failure
from mobile_bench.outputs.errors import OutputError, shorten
from mobile_bench.outputs.lines import Line, severity_of, split_lines, strip_prefix
from mobile_bench.outputs.litert_results import FIRST
from mobile_bench.outputs.run import run_from_lines
from mobile_bench.outputs.run_output import RunOutput
from mobile_bench.outputs.summary import STARTS

TAGS = ("tflite", "litert")

_DATE = r"(?:[0-9]{4}-)?[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3,9}(?: [+-][0-9]{4})?"
_BRIEF = re.compile(rf"(?:{_DATE} )?(?P<letter>[VDIWEFA])/(?P<tag>[^(]*?) *\( *(?P<pid>[0-9]{{1,9}})\): ?(?P<text>.*)")
_THREADTIME = re.compile(
    rf"{_DATE} +(?:\S+ +)??(?P<pid>[0-9]{{1,9}}) +[0-9]+ (?P<letter>[VDIWEFA]) (?P<tag>[^:]*?) *: ?(?P<text>.*)"
)
_RUN = ("STARTING!", "count=", "Running benchmark for ", FIRST, failure.FAILED, *STARTS)


@dataclass(frozen=True)
class Entry:
    """A line of the log, and the process that wrote it."""

    pid: int
    tag: str
    line: Line


def parse_logcat(text: str, pid: int | None = None) -> RunOutput:
    """Reads the one run of the benchmark app that a log tells.

    Some apps log everything, others no more than the last line; then `inference.count` and all but the average are
    None, and so are the checks weaker that `parse_run` lists.

    Args:
        text: `adb logcat -d` in the format brief, threadtime (the default) or time, unstripped.
        pid: the process to read; None, the only one that tells a run.

    Returns:
        RunOutput: as `parse_run`.

    Raises:
        BenchmarkFailedError: the app logged errors and no numbers.
        OutputError: no run, several and `pid` is None, or whatever `parse_run` refuses.

    Examples:
        parse_logcat(log, pid=24897).block().statistic      # "mean", where the app logs one line
    """
    entries = [entry for entry in read_entries(text) if entry.tag in TAGS]
    runs = list(dict.fromkeys(entry.pid for entry in entries if entry.line.text.startswith(_RUN)))
    if pid is None and len(runs) > 1:
        raise OutputError(f"A log must tell one run, or it must be said which. Received: runs of the processes "
                          f"{', '.join(map(str, runs))}. Name one with pid=, or clear the log before a run: "
                          "adb logcat -c.")
    if pid is not None and all(entry.pid != pid for entry in entries):
        raise OutputError(f"The process must have logged something. Received: pid={pid}, and runs of "
                          f"{', '.join(map(str, runs)) or 'no process'}. Name the process of the benchmark app.")
    if pid is None and not runs:
        raise _no_run(entries)
    process = runs[0] if pid is None else pid
    return run_from_lines([entry.line for entry in entries if entry.pid == process], summary_suffices=True)


def read_entries(text: str) -> list[Entry]:
    """Every line of the log that has one of the three formats, in order; others, such as `--------- beginning of
    main`, tell nothing.
    """
    entries = []
    for body, whole in split_lines(text):
        found = _THREADTIME.fullmatch(body) or _BRIEF.fullmatch(body)
        if found:
            line = strip_prefix(found["text"], whole, severity_of(found["letter"]))
            entries.append(Entry(int(found["pid"]), found["tag"].strip(), line))
    return entries


def _no_run(entries: list[Entry]) -> Exception:
    errors = [entry.line for entry in entries if entry.line.severity in failure.ERRORS]
    if errors and len({entry.pid for entry in entries}) == 1:
        return failure.failure(errors, 0)
    said = f"; its last one: {shorten(entries[-1].line.text)!r}" if entries else ""
    return OutputError(f"A log must tell a run. Received: {len(entries)} lines with the tag tflite or litert, none of "
                       f"a run{said}. Wait until the app is done, and use the format threadtime: adb logcat -d.")
