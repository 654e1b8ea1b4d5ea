"""What a benchmark binary can do, asked of the binary itself: builds differ, and an unknown flag only makes it warn.

    $ benchmark_model --help                                          exit code 1 is normal
    ERROR: usage: ./benchmark_model <flags>
    Flags:
        --num_runs=50      int32   optional   expected number of runs …
        --use_xnnpack=false bool   optional   explicitly apply the XNNPACK delegate …

Builds that know no --help print the same, as they print it for any mistake. `benchmark_litert_model` is another tool
with the same core: it is told by its flags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mobile_bench.tool_errors import WrongBinaryError

_FLAG = re.compile(r"^[ \t]*--(\w+)=(.*?)[ \t]+(?:int32|int64|float|bool|string)\s", re.MULTILINE)

# What shells and loaders say of a file that cannot run, and what that means.
_CANNOT_RUN = (
    (r"CANNOT LINK EXECUTABLE", "a library that it needs is not on this phone, or the phone is too old for it"),
    (r"not executable: \d+-bit ELF|[Ee]xec format error|[Ss]yntax error|Bad ELF magic",
     "it is made for another processor, or for Linux rather than Android"),
    (r"[Pp]ermission denied", "it may not be run there: its folder is mounted noexec, or it was not made executable"),
    (r"[Nn]o such file|not found|inaccessible",
     "it is not there, or its loader is not: then it is made for Linux rather than Android"),
    (r"only position independent executables|has unexpected e_type", "it is too old for this phone: not PIE"),
)


@dataclass(frozen=True)
class Capabilities:
    """What a benchmark binary on a phone can do.

    Attributes:
        flags: every flag that it has, and its default as text: {"num_runs": "50", "graph": "", …}.
        has_taskset: whether the phone has the command that holds a program on some cores.
    """

    flags: Mapping[str, str]
    has_taskset: bool = True

    @property
    def variant(self) -> str:
        """Which tool it is: "tflite" (benchmark_model) or "litert" (benchmark_litert_model)."""
        return "litert" if "use_npu" in self.flags or "dispatch_library_path" in self.flags else "tflite"

    def to_json(self) -> dict:
        """What it can do, ready for `json.dumps`."""
        can = {name: getattr(self, f"has_{name}") for name in ("gpu", "nnapi", "xnnpack", "profile", "result_file")}
        return {"variant": self.variant, **can, "taskset": self.has_taskset}

    @property
    def has_gpu(self) -> bool:
        """Whether it can be asked for the GPU. Whether it then uses it is in the output of a run."""
        return "use_gpu" in self.flags

    @property
    def has_nnapi(self) -> bool:
        """Whether it can be asked for NNAPI."""
        return "use_nnapi" in self.flags

    @property
    def has_xnnpack(self) -> bool:
        """Whether XNNPACK can be switched on and off."""
        return "use_xnnpack" in self.flags

    @property
    def has_profile(self) -> bool:
        """Whether it can tell the time of every op."""
        return "enable_op_profiling" in self.flags

    @property
    def has_result_file(self) -> bool:
        """Whether it can write its result into a file too, without rounding it for people."""
        return "result_file_path" in self.flags


def read_capabilities(device, binary: str, timeout: float = 60.0) -> Capabilities:
    """Runs the binary with --help, by one call.

    Args:
        device: the phone.
        binary: where it lies there.
        timeout: in seconds.

    Raises:
        WrongBinaryError: it does not run there, or is another program.
        PhoneError: the phone does not answer.

    Examples:
        read_capabilities(device, "/data/local/tmp/benchmark_model").has_gpu
    """
    script = '"$1" --help; code=$?; command -v taskset >/dev/null 2>&1 && echo @taskset; exit $code'
    ended = device.script(script, binary, timeout=timeout, check=False)
    said = f"{ended.out}\n{ended.err}"
    flags = parse_help(said)
    if "graph" in flags:
        return Capabilities(flags, has_taskset="@taskset" in ended.out.split())
    why = explain_cannot_run(said) or f"it prints no flags, and ends with exit code {ended.code}"
    raise WrongBinaryError(
        f"A benchmark binary runs on the phone and tells its flags with --help. Received: {binary} on {device.serial}: "
        f"{why}.{last_words(said.replace('@taskset', ''))} Use TFLite's benchmark_model for this phone."
    )


def parse_help(text: str) -> dict[str, str]:
    """The flags that a usage text lists, with their defaults; of one that it lists twice, the first.

    Examples:
        parse_help("\\t--num_runs=50 \\tint32\\toptional\\texpected number of runs")       # {"num_runs": "50"}
    """
    flags: dict[str, str] = {}
    for name, default in _FLAG.findall(text):
        flags.setdefault(name, default)
    return flags


def explain_cannot_run(text: str) -> str | None:
    """Why a program did not start, from what the shell or the loader said of it, or None where they said nothing."""
    return next((meaning for pattern, meaning in _CANNOT_RUN if re.search(pattern, text)), None)


def last_words(text: str, lines: int = 3) -> str:
    """The last lines of an output as a sentence that fits into an error, or nothing."""
    last = [line.strip() for line in text.splitlines() if line.strip()][-lines:]
    return f" It says: {' / '.join(last)[-400:].rstrip('.')}." if last else ""
