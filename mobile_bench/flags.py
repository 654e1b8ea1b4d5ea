"""What is to be measured, and the flags that make a benchmark binary measure just that.

    Options(threads=4, runs=50)                 --num_threads=4 --num_runs=50 --min_secs=0 …
    Options(xnnpack=False)                      --use_xnnpack=false: TFLite's builtin kernels
    Options(gpu=True, fp16=True)                --use_gpu=true --gpu_precision_loss_allowed=true

A flag that the binary lacks is an error here, before anything runs: the binary itself would only warn, and measure
something else. With the GPU and NNAPI, float16 is said explicitly, as builds differ in it; XNNPACK alone is left to the
build unless it is asked for or refused: most apply it by themselves, and the result says whether this one has.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from mobile_bench.capabilities import Capabilities
from mobile_bench.cores import check_affinity
from mobile_bench.tool_errors import MissingFlagError
from tfold.errors import BadInputError


@dataclass(frozen=True)
class Options:
    """What to measure.

    Args:
        threads: on the CPU.
        runs: timed inferences; just as many where `min_secs` is 0.
        min_secs: the timed part lasts at least so long; the tool then makes more runs.
        max_secs: it is cut off after so long.
        warmup_runs, warmup_secs: the same of the inferences before, which do not count.
        xnnpack: True applies XNNPACK, False switches it off for TFLite's builtin kernels; None: as the build does.
        gpu: run on the GPU.
        nnapi: run on NNAPI: True, or the name of one of its accelerators.
        fp16: let float32 models compute in float16: on the GPU, on NNAPI, or else in XNNPACK.
        affinity: "big" holds the tool on the fastest cores, "none" nowhere; or a mask like "f0". See `choose_cores`.
        allow_partial: accept that the GPU or NNAPI runs only a part of the model, and the CPU the rest.
        extra: further flags of the tool, like "--use_caching=true".
    """

    threads: int = 1
    runs: int = 50
    min_secs: float = 0.0
    max_secs: float = 150.0
    warmup_runs: int = 1
    warmup_secs: float = 0.5
    xnnpack: bool | None = None
    gpu: bool = False
    nnapi: bool | str = False
    fp16: bool = False
    affinity: str = "big"
    allow_partial: bool = False
    extra: tuple[str, ...] = ()

    def described(self) -> list[str]:
        """What is not as usual about how the models run, in words: ["GPU", "float16"]."""
        words = ["GPU"] if self.gpu else []
        if self.nnapi:
            words.append("NNAPI" if self.nnapi is True else f"NNAPI {self.nnapi}")
        words += [] if self.xnnpack is None else ["XNNPACK"] if self.xnnpack else ["no XNNPACK"]
        return words + (["float16"] if self.fp16 else []) + [*self.extra]

    def check(self) -> None:
        """Raises: BadInputError for values that are no measurement."""
        for name, least in (("threads", 1), ("runs", 1), ("warmup_runs", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
                raise _bad(f"{name} is a whole number from {least}", name, value)
        for name in ("min_secs", "max_secs", "warmup_secs"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise _bad(f"{name} is a time in seconds", name, value)
        if self.max_secs <= self.min_secs:
            raise _bad("max_secs is longer than min_secs", "max_secs", self.max_secs)
        if self.gpu and self.nnapi:
            raise BadInputError("A model runs on the GPU or on NNAPI. Received: both. Leave one out.")
        if isinstance(self.nnapi, str) and not re.fullmatch(r"[\w.,:+-]+", self.nnapi):
            raise _bad("nnapi is True or the name of an accelerator, without blanks", "nnapi", self.nnapi)
        if self.fp16 and self.xnnpack is False and not (self.gpu or self.nnapi):
            raise BadInputError("float16 on the CPU needs XNNPACK. Received: fp16=True, xnnpack=False. Leave one out.")
        for word in self.extra:
            if not re.fullmatch(r"--\w+=.*", word):
                raise _bad("A further flag is --name=value", "extra", word)
        check_affinity(self.affinity)

    @property
    def delegate(self) -> str | None:
        """The delegate that must run the model, as the tool names it, or None where the CPU may do it anyhow."""
        return "GPU" if self.gpu else "NNAPI" if self.nnapi else "XNNPACK" if self.xnnpack or self.fp16 else None


def flags_for(capabilities: Capabilities, options: Options, graph: str, **further: object) -> list[str]:
    """The words behind the name of the tool.

    Args:
        capabilities: what the binary can do.
        options: what to measure.
        graph: where the model lies on the phone.
        further: flags that a caller needs for itself: `result_file_path="/data/local/tmp/r.pb"`.

    Raises:
        BadInputError: options that are no measurement.
        MissingFlagError: the binary lacks a flag that they need.

    Examples:
        flags_for(capabilities, Options(threads=4), "/data/local/tmp/model.tflite")
        # ["--graph=/data/local/tmp/model.tflite", "--num_threads=4", "--num_runs=50", "--min_secs=0", …]
    """
    options.check()
    wanted: dict[str, object] = {
        "graph": graph,
        "num_threads": options.threads,
        "num_runs": options.runs,
        "min_secs": options.min_secs,
        "max_secs": options.max_secs,
        "warmup_runs": options.warmup_runs,
        "warmup_min_secs": options.warmup_secs,
        **(_litert(options) if capabilities.variant == "litert" else _tflite(capabilities, options)),
        **further,
    }
    for word in options.extra:
        name, _, value = word[2:].partition("=")
        if name in wanted:
            raise BadInputError(f"A flag is given once. Received: {word}, and --{name}={_text(wanted[name])} from the "
                                "other options. Leave it out, or change that option.")
        wanted[name] = value
    lacking = [f"--{name}={_text(value)}" for name, value in wanted.items() if name not in capabilities.flags]
    if lacking:
        raise MissingFlagError(
            f"A benchmark binary has the flags that a measurement needs. Received: {', '.join(lacking)} on a build "
            f"without {_things(lacking)}. Leave these options out, or use another build of the tool."
        )
    return [f"--{name}={_text(value)}" for name, value in wanted.items()]


def _tflite(capabilities: Capabilities, options: Options) -> dict[str, object]:
    wanted: dict[str, object] = {}
    accelerated = options.gpu or options.nnapi
    if options.xnnpack is not None or (options.fp16 and not accelerated):
        wanted["use_xnnpack"] = options.xnnpack is not False  # float16 is only forced where it is applied explicitly
    if options.fp16 and not accelerated:
        wanted["xnnpack_force_fp16"] = True
    if options.gpu:
        wanted |= {"use_gpu": True, "gpu_precision_loss_allowed": options.fp16}
    if options.nnapi:
        wanted["use_nnapi"] = True
        if options.fp16 or "nnapi_allow_fp16" in capabilities.flags:
            wanted["nnapi_allow_fp16"] = options.fp16
        if isinstance(options.nnapi, str):
            wanted["nnapi_accelerator_name"] = options.nnapi
        elif "disable_nnapi_cpu" in capabilities.flags:  # NNAPI's own CPU code would be a fallback that nobody sees
            wanted["disable_nnapi_cpu"] = True
    return wanted


def _litert(options: Options) -> dict[str, object]:
    """benchmark_litert_model does not say how much the GPU runs, but it can be made to fail unless that is all."""
    wanted: dict[str, object] = {}
    if options.gpu:
        wanted |= {"use_gpu": True, "allow_fp16": options.fp16}
        if not options.allow_partial:
            wanted |= {"use_cpu": False, "require_full_delegation": True}
    elif options.fp16 and not options.nnapi:
        wanted["xnnpack_force_fp16"] = True  # its allow_fp16 is for the GPU alone
    if options.nnapi:  # no build known has it: then that is the error
        wanted |= {"use_nnapi": True, "require_full_delegation": True}
    if options.xnnpack is not None:
        wanted["use_xnnpack"] = options.xnnpack
    return wanted


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _things(lacking: list[str]) -> str:
    joined = " ".join(lacking)
    known = (("gpu", "GPU"), ("nnapi", "NNAPI"), ("fp16", "float16"), ("xnnpack", "a switch for XNNPACK"))
    return next((thing for word, thing in known if word in joined), "them")


def _bad(rule: str, name: str, value: object) -> BadInputError:
    return BadInputError(f"{rule[0].upper()}{rule[1:]}. Received: {name}={value!r}. Use the default, or another value.")
