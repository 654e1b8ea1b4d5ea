"""One run of the benchmark tool on a phone: its flags, its fate, its output, and whether it did what it was asked.

    taskset f0 benchmark_model --graph=… --num_threads=4 … --result_file_path=…
        killed, crashed, not started    an error that says so
        a flag that it ignored          an error: it has measured something else
        GPU asked for, CPU used         an error: the tool itself only mentions it, and ends with exit code 0
        else                            what it printed, checked against the result file where it writes one
"""

from __future__ import annotations

import re
import uuid
from dataclasses import replace

from mobile_bench.capabilities import Capabilities, explain_cannot_run, last_words
from mobile_bench.errors import CommandTimeoutError
from mobile_bench.flags import Options, flags_for
from mobile_bench.outputs import (
    OpProfile,
    OutputError,
    RunOutput,
    cross_check,
    parse_profile,
    parse_profile_csv,
    parse_result_proto,
    parse_run,
)
from mobile_bench.run_with_file import run_with_file
from mobile_bench.tool_errors import (
    AffinityError,
    MissingFlagError,
    PartialDelegationError,
    SilentFallbackError,
    ToolCrashError,
    UnconsumedFlagError,
    WrongBinaryError,
)

FOLDER = "/data/local/tmp"
START_UP_S = 60.0  # to load a model and its delegate: a GPU compiles its programs then
PROFILE_ENTRIES = 16384  # ops and delegates of one inference; the tool's own 1024 is little for large models

# What the shell adds to 128 where a signal has ended a program.
_SIGNALS = {
    4: "it has an instruction that this processor lacks (SIGILL): use a build for an older one",
    6: "it gave up by itself (SIGABRT)",
    7: "it crashed (SIGBUS)",
    8: "it crashed (SIGFPE)",
    9: "it was killed (SIGKILL): most often as the phone's memory was full; close apps, or use a smaller model",
    11: "it crashed (SIGSEGV)",
    15: "it was ended from outside (SIGTERM)",
    31: "the phone forbids what it does (SIGSYS)",
}


def run_once(
    device,
    binary: str,
    graph: str,
    capabilities: Capabilities,
    options: Options,
    mask: str | None = None,
    folder: str = FOLDER,
    timeout: float | None = None,
) -> RunOutput:
    """Runs the tool once, in a process of its own, and returns what it says.

    Args:
        device: the phone.
        binary, graph: where the tool and the model lie on it.
        capabilities: what `read_capabilities` has found of this binary.
        options: what to measure.
        mask: of the cores to run on: `CoreChoice.mask`.
        folder: on the phone, for the result file.
        timeout: in seconds; None is as long as these options may take.

    Raises:
        MissingFlagError: the binary lacks a flag that the options need. Nothing has run.
        AffinityError: it cannot be held on the cores that were asked for.
        WrongBinaryError, ToolCrashError: it did not start, or did not end by itself.
        UnconsumedFlagError: it ignored a flag.
        SilentFallbackError, PartialDelegationError: it ran on the CPU, all or a part.
        BenchmarkFailedError, OutputError: it says that it failed, or cannot be understood.
        PhoneError: the phone does not answer.

    Examples:
        run_once(device, binary, "/data/local/tmp/model.tflite", capabilities, Options(threads=4), mask="f0").block()
    """
    result = f"{folder}/tfold-{uuid.uuid4().hex}.pb" if capabilities.has_result_file else None
    words = [binary, *flags_for(capabilities, options, graph, **({"result_file_path": result} if result else {}))]
    ended, run, written = _ended(device, words, result, capabilities, options, mask, timeout)
    _check_echo(ended, run, graph, options)
    run = check_delegation(run, options, capabilities)
    if mask and not capabilities.has_taskset:
        run = _with_note(run, "the phone has no taskset, so that the tool ran on whichever cores the phone liked")
    if written:
        return cross_check(run, parse_result_proto(written))
    if result is None:
        return run
    if written is None:
        raise OutputError("A tool that can write its result into a file does. Received: no file from "
                          f"{binary}, so that its output cannot be checked. Use another build of the tool.")
    return _with_note(run, "the phone has no base64 to bring the result file, so that the output is not checked by it")


def profile_once(
    device,
    binary: str,
    graph: str,
    capabilities: Capabilities,
    options: Options,
    mask: str | None = None,
    folder: str = FOLDER,
    timeout: float | None = None,
) -> OpProfile:
    """Runs the tool once with op profiling, and returns the time of every op.

    Profiling slows a run down: it says which ops take long, and never how long the model takes. So that is not
    returned. Arguments and errors are those of `run_once`; MissingFlagError also where the build has no profiling.

    Examples:
        profile_once(device, binary, "/data/local/tmp/model.tflite", capabilities, Options(runs=20))
    """
    if not capabilities.has_profile:
        raise MissingFlagError("The time of every op needs a build with op profiling. Received: one without the flag "
                               "--enable_op_profiling. Use TFLite's benchmark_model.")
    table = f"{folder}/tfold-{uuid.uuid4().hex}.csv"
    further: dict[str, object] = {"enable_op_profiling": True}
    if "max_profiling_buffer_entries" in capabilities.flags:
        further["max_profiling_buffer_entries"] = PROFILE_ENTRIES
    if {"op_profiling_output_mode", "op_profiling_output_file"} <= capabilities.flags.keys():
        further |= {"op_profiling_output_mode": "csv", "op_profiling_output_file": table}
    elif "profiling_output_csv_file" in capabilities.flags:  # builds before 2024
        further["profiling_output_csv_file"] = table
    words = [binary, *flags_for(capabilities, options, graph, **further)]
    file = table if table in further.values() else None
    ended, run, written = _ended(device, words, file, capabilities, options, mask, timeout)
    check_delegation(run, options, capabilities)
    return parse_profile_csv(written.decode("utf-8", "replace")) if written else parse_profile(ended.out)


def check_delegation(run: RunOutput, options: Options, capabilities: Capabilities) -> RunOutput:
    """The run itself, if the processor that was asked for has run the model.

    Raises:
        SilentFallbackError: it has not.
        PartialDelegationError: it has run a part, and `options.allow_partial` is not set. XNNPACK may: the rest of
            the model then runs on the same cores.
    """
    wanted = options.delegate
    if wanted is None:
        return run
    if capabilities.variant == "litert":  # it fails by itself unless the GPU runs all; see `flags`
        return _with_note(run, f"the tool does not tell how much {wanted} has run") if options.allow_partial else run
    told = {name.upper(): (how, kernels) for name, how, kernels in run.delegation}
    how, kernels = told.get(wanted, ("none", 0))
    if how == "none":
        raise SilentFallbackError(
            f"What is measured for {wanted} is run by it. Received: a run on the CPU alone: {_why_not(run, wanted)}. "
            "Leave that option out, or change the model's ops."
        )
    if how == "partial" and wanted != "XNNPACK" and not options.allow_partial:
        raise PartialDelegationError(
            f"What is measured for {wanted} is run by it. Received: a run with only a part there"
            f"{f', in {kernels} pieces' if kernels else ''}, and the rest on the CPU. Change the ops that it lacks, or "
            "accept that: --allow-partial."
        )
    return run


def _why_not(run: RunOutput, wanted: str) -> str:
    if wanted in run.unsupported:
        return f"this build or this phone has no {wanted}"
    return f"{wanted} can run none of its ops" if run.delegation else f"the tool does not say that it applied {wanted}"


def _ended(device, words, file, capabilities, options, mask, timeout):
    """What the tool printed, raw and read, and what it wrote into a file, once it has ended as it should."""
    if mask and not capabilities.has_taskset and options.affinity not in ("big", "none"):
        raise AffinityError(f"A mask of cores needs the command taskset. Received: mask {mask}, and {device.serial} "
                            "without it. Leave affinity at big, or set it to none.")
    held = ["taskset", mask] if mask and capabilities.has_taskset else []
    patience = 2 * options.max_secs + START_UP_S if timeout is None else timeout  # warm-up and timed part
    try:
        if file is None:
            ended, written = device.shell(*held, *words, timeout=patience, check=False), None
        else:
            ended, written = run_with_file(device, file, *held, *words, timeout=patience)
    except CommandTimeoutError:
        raise ToolCrashError(f"The tool ends by itself. Received: {words[0]}, which has not ended within "
                             f"{patience:.0f} s. Try it by hand, another build, or a smaller model.") from None
    _check_fate(ended, words[0], mask)
    run = parse_run(ended.out, ended.err, ended.code)
    if run.unconsumed_flags:
        raise UnconsumedFlagError(
            f"The tool takes every flag that it is given. Received: {', '.join(run.unconsumed_flags)}, which it has "
            "ignored, so that it has measured something else. Leave these options out, or use another build."
        )
    return ended, run, written


def _check_fate(ended, binary: str, mask: str | None) -> None:
    said = f"{ended.out}\n{ended.err}"
    if ended.code and "taskset: " in ended.err and "Running benchmark" not in said:
        raise AffinityError(f"The tool is held on cores that the phone lets it use. Received: mask {mask}."
                            f"{last_words(ended.err)} Choose other cores, or affinity none.")
    if ended.code in (126, 127):
        why = explain_cannot_run(said) or f"exit code {ended.code}"
        raise WrongBinaryError(f"A benchmark binary runs on the phone. Received: {binary}: {why}.{last_words(said)} "
                               "Use TFLite's benchmark_model for this phone.")
    if ended.code > 128:
        signal = ended.code - 128
        how = _SIGNALS.get(signal, f"signal {signal} has ended it")
        raise ToolCrashError(f"The tool ends by itself. Received: {binary} with exit code {ended.code}: {how}."
                             f"{last_words(said)} Try other options, or another build of the tool.")


def _check_echo(ended, run: RunOutput, graph: str, options: Options) -> None:
    """What the tool says that it was asked for is what it was asked for; else its output is another run's."""
    wanted = [int(count) for count in re.findall(r"Running benchmark for (?:at least )?(\d+) iterations", ended.out)]
    told = [("model", run.graph, graph), ("number of threads", run.threads, options.threads)]
    told += zip(("least number of warm-up runs", "least number of runs"), wanted, (options.warmup_runs, options.runs),
                strict=False)
    for what, echoed, asked in told:
        if echoed is not None and echoed != asked:
            raise OutputError(f"A tool measures what it is asked to. Received: the {what} {echoed} for {asked}. This "
                              "is the output of another run, or of another tool.")


def _with_note(run: RunOutput, note: str) -> RunOutput:
    return replace(run, warnings=(*run.warnings, note))
