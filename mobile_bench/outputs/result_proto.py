"""The file that `--result_file_path` writes (LiteRT 2.1 and later): the numbers of a run, in binary.

    BenchmarkResult ─┬─ 1 name
                     ├─ 2 latency   avg, min, max, stddev, median, p5, p95, init, first, warm-up avg     float, ms
                     ├─ 3 memory    init, overall (int64, KiB), peak (float, MiB)
                     └─ 4 misc      model size (float, MB), runs, warm-up runs, throughput (float, MB/s)
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from mobile_bench.outputs.errors import OutputError
from mobile_bench.outputs.numbers import FLOAT32
from mobile_bench.outputs.wire import BYTES, FIXED32, VARINT, fields, float32, int64

_LATENCY = ("avg_ms", "min_ms", "max_ms", "std_ms", "median_ms", "p5_ms", "p95_ms", "init_ms", "first_ms",
            "warmup_avg_ms")
_MEMORY = ("memory_init_kb", "memory_overall_kb", "memory_peak_mb")
_MISC = ("model_size_mb", "runs", "warmup_runs", "throughput_mb_s")
_INTEGERS = ("memory_init_kb", "memory_overall_kb", "runs", "warmup_runs")
_MAY_BE_NEGATIVE = ("memory_init_kb", "memory_overall_kb")  # differences
_PARTS = {2: _LATENCY, 3: _MEMORY, 4: _MISC}


@dataclass(frozen=True)
class ResultProto:
    """The numbers of the file, in its units; None where it does not tell. `name` is that of the benchmark, if any."""

    avg_ms: float
    runs: int
    min_ms: float | None = None
    max_ms: float | None = None
    std_ms: float | None = None
    median_ms: float | None = None
    p5_ms: float | None = None
    p95_ms: float | None = None
    init_ms: float | None = None
    first_ms: float | None = None
    warmup_avg_ms: float | None = None
    memory_init_kb: int | None = None
    memory_overall_kb: int | None = None
    memory_peak_mb: float | None = None
    model_size_mb: float | None = None
    warmup_runs: int | None = None
    throughput_mb_s: float | None = None
    name: str | None = None

    def to_json(self) -> dict:
        """What is told, ready for `json.dumps`."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def parse_result_proto(data: bytes) -> ResultProto:
    """Reads a result file.

    Fields of later versions are skipped. Every number is in the file once, so that a changed bit mostly yields another
    possible number; `cross_check` with the text notices it.

    Raises:
        OutputError: the file is cut or damaged, lacks the average or the number of runs, or its numbers are impossible.

    Examples:
        parse_result_proto(Path("result.pb").read_bytes()).median_ms    # 6.392
    """
    told: dict[str, float | str] = {}
    for number, kind, value in fields(data):
        if number == 1:
            _add(told, "name", _text(kind, value))
        elif number in _PARTS:
            if kind != BYTES:
                raise _damaged(f"field {number} that is no message")
            if f"part {number}" in told:
                raise _damaged(f"field {number} twice")
            told[f"part {number}"] = ""
            _read_part(told, _PARTS[number], value)
    told = {name: value for name, value in told.items() if not name.startswith("part ")}
    missing = [name for name in ("avg_ms", "runs") if name not in told]
    if missing:
        raise _damaged(f"no {' and no '.join(missing)}")
    result = ResultProto(**told)
    _check(result)
    return result


def _read_part(told: dict, names: tuple[str, ...], data: bytes) -> None:
    for number, kind, value in fields(data):
        if number > len(names):
            continue
        name = names[number - 1]
        if kind != (VARINT if name in _INTEGERS else FIXED32):
            raise _damaged(f"{name} with wire type {kind}")
        read = int64(value) if name in _INTEGERS else float32(value)
        if not math.isfinite(read) or (read < 0 and name not in _MAY_BE_NEGATIVE):
            raise _damaged(f"{name}={read}")
        _add(told, name, read)


def _add(told: dict, name: str, value) -> None:
    if name in told:
        raise _damaged(f"{name} twice")
    told[name] = value


def _text(kind: int, value) -> str:
    if kind != BYTES:
        raise _damaged(f"a name with wire type {kind}")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _damaged("a name that is no UTF-8") from None


def _check(result: ResultProto) -> None:
    if result.runs < 1 or result.runs >= 2**31 or result.avg_ms == 0:
        raise _damaged(f"runs={result.runs}, avg_ms={result.avg_ms:g}")
    for ladder in (("min_ms", "p5_ms", "median_ms", "p95_ms", "max_ms"), ("min_ms", "avg_ms", "max_ms")):
        told = [(name, getattr(result, name)) for name in ladder if getattr(result, name) is not None]
        for (lower, small), (upper, large) in zip(told, told[1:], strict=False):
            if small > large * (1 + FLOAT32):
                raise _damaged(f"{lower}={small:g} above {upper}={large:g}")
    if None in (result.std_ms, result.min_ms, result.max_ms):
        return
    if result.std_ms > (result.max_ms - result.min_ms) / 2 + 4 * FLOAT32 * result.max_ms:
        raise _damaged(f"std_ms={result.std_ms:g} above half of max − min")


def _damaged(what: str) -> OutputError:
    return OutputError(f"A result file tells a run's latency and counts, once each. Received: {what}. "
                       "The file is cut, damaged or of another tool: copy it again, or measure again.")
