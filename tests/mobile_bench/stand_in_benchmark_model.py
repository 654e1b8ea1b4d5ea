r"""Plays benchmark_model where there is no phone: the same words, as the real one was captured, and no inference.

    text = f"#!{sys.executable} -IS\nCONFIG = {config!r}\n" + Path("stand_in_benchmark_model.py").read_text()

How long its inferences "take" is told by the model: `latency_us=6000` anywhere in the first or last 4 KiB of the file,
else its size. Models need the mark of a .tflite file (TFL3), or that text. It draws samples with noise and computes
from them all that it prints, so that every number fits the others; but it does not wait.

CONFIG, or the environment's STAND_IN_CONFIG as JSON over it:

    latency_us    of every model          noise        its relative standard deviation, 0.02; 0 is none
    seed          of the noise            add, remove  flags that this build has and lacks: {"use_gpu": "false"}
    variant       "litert": the flags of benchmark_litert_model
    gpu, nnapi, xnnpack    "complete", "partial" or "none": how much it runs if asked for; or how it says that it does
                           not: "unsupported", "silent". The first two add their flags to this build
    percentiles   False: as builds before 2024, without p5= median= p95=
    signal        ends by this signal before it measures       no_result_file     True: forgets to write it
"""
import json
import os
import random
import re
import struct
import sys

CONFIG = {**globals().get("CONFIG", {}), **json.loads(os.environ.get("STAND_IN_CONFIG", "{}"))}

# name → (default, type); in the order in which the real tool lists them.
COMMON = {
    "num_runs": ("50", "int32"), "min_secs": ("1", "float"), "max_secs": ("150", "float"),
    "run_delay": ("-1", "float"), "num_threads": ("-1", "int32"), "use_caching": ("false", "bool"),
    "warmup_runs": ("1", "int32"), "warmup_min_secs": ("0.5", "float"), "verbose": ("false", "bool"),
    "report_peak_memory_footprint": ("false", "bool"), "graph": ("", "string"),
    "signature_to_run_for": ("", "string"), "result_file_path": ("", "string"), "help": ("false", "bool"),
}
TFLITE = {
    "allow_fp16": ("false", "bool"), "enable_op_profiling": ("false", "bool"),
    "op_profiling_output_mode": ("stdout", "string"), "op_profiling_output_file": ("", "string"),
    "max_profiling_buffer_entries": ("1024", "int32"), "profiling_output_csv_file": ("", "string"),
    "use_xnnpack": ("false", "bool"), "xnnpack_force_fp16": ("false", "bool"),
    "external_delegate_path": ("", "string"),
}
LITERT = {
    "use_cpu": ("true", "bool"), "use_gpu": ("false", "bool"), "use_npu": ("false", "bool"),
    "dispatch_library_path": ("", "string"), "compiler_plugin_library_path": ("", "string"),
    "require_full_delegation": ("false", "bool"), "use_profiler": ("false", "bool"), "gpu_backend": ("", "string"),
    "allow_fp16": ("true", "bool"),
}
GPU = {"use_gpu": ("false", "bool"), "gpu_precision_loss_allowed": ("true", "bool")}
NNAPI = {"use_nnapi": ("false", "bool"), "nnapi_accelerator_name": ("", "string"),
         "nnapi_allow_fp16": ("false", "bool"), "disable_nnapi_cpu": ("false", "bool")}

# What it says of the flags that are set, in this order.
LABELS = {
    "num_runs": "Min num runs", "min_secs": "Min runs duration (seconds)", "max_secs": "Max runs duration (seconds)",
    "num_threads": "Num threads", "use_caching": "Use caching", "warmup_runs": "Min warmup runs",
    "warmup_min_secs": "Min warmup runs duration (seconds)", "graph": "Graph",
    "enable_op_profiling": "Enable op profiling", "op_profiling_output_mode": "Op profiling output mode.",
    "op_profiling_output_file": "Op profiling output file.",
    "result_file_path": "File path to save the benchmark result in binary proto format",
    "use_gpu": "Use gpu", "gpu_precision_loss_allowed": "Allow lower precision in gpu",
    "use_nnapi": "Use NNAPI", "use_xnnpack": "Use xnnpack", "xnnpack_force_fp16": "xnnpack_force_fp16",
}

# An op's kind as XNNPACK and as TFLite name it, and its share of the time.
OPS = (("Convolution (NHWC, F32) IGEMM", "CONV_2D", 0.5), ("Convolution (NHWC, F32) DWConv", "DEPTHWISE_CONV_2D", 0.2),
       ("Add (ND)", "ADD", 0.1), ("Fully Connected (NC, F32) GEMM", "FULLY_CONNECTED", 0.2))
INPUT_BYTES = 602112
INIT_KB, OVERALL_KB = 37948, 39484


def main():
    known = known_flags()
    say("INFO: STARTING!")
    given, ignored = parse(sys.argv[1:], known)
    if ignored:
        say("WARN: Unconsumed cmdline flags: " + " ".join(ignored))
    say("INFO: Log parameter values verbosely: [0]")
    for name, label in LABELS.items():
        if name in given:
            say(f"INFO: {label}: [{shown(given[name])}]")
        if name == "graph":
            say("INFO: Signature to run: []")
    if "num_threads" in given:
        say(f"INFO: #threads used for CPU inference: [{given['num_threads']}]")
    value = {name: given.get(name, default) for name, (default, _) in known.items()}
    if not value["graph"]:
        complain("Please specify the name of your TF Lite input file with --graph")
        fail()
    content = load(value["graph"])
    delegation = delegate(value, given)
    say(f"INFO: The input model file size (MB): {len(content) / 1e6:.6g}")
    noise = random.Random(CONFIG.get("seed"))
    latency = latency_of(content) / max(1, int(value["num_threads"]))
    init = max(1, round(latency * 2))
    say(f"INFO: Initialized session in {init / 1000:.6g}ms.")
    if "signal" in CONFIG:
        sys.stdout.flush()
        os.kill(os.getpid(), CONFIG["signal"])
    warmup = series(latency, int(value["warmup_runs"]), float(value["warmup_min_secs"]), 150.0, noise)
    timed = series(latency, int(value["num_runs"]), float(value["min_secs"]), float(value["max_secs"]), noise)
    for samples, runs, least, most in ((warmup, value["warmup_runs"], value["warmup_min_secs"], "150"),
                                       (timed, value["num_runs"], value["min_secs"], value["max_secs"])):
        say(f"INFO: Running benchmark for at least {runs} iterations and at least {float(least):g} seconds but "
            f"terminate if exceeding {float(most):g} seconds.")
        say(f"INFO: {stats(samples)}\n")
    if CONFIG.get("variant") == "litert":
        say_litert(init, warmup, timed)
    else:
        say_tflite(init, warmup, timed)
    if value.get("enable_op_profiling") in ("true", "1"):
        profile(value, timed, init, delegated=delegation)
    if value.get("result_file_path") and not CONFIG.get("no_result_file"):
        say(f"INFO: Saving benchmark result to: {value['result_file_path']}")
        with open(value["result_file_path"], "wb") as file:
            file.write(result(init, warmup, timed, len(content)))
        say(f"INFO: Saved benchmark result to: {value['result_file_path']}")


def say_tflite(init, warmup, timed):
    say(f"INFO: Inference timings in us: Init: {init}, First inference: {warmup[0] if warmup else 0}, "
        f"Warmup (avg): {average(warmup):.6g}, Inference (avg): {average(timed):.6g}")
    say("INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the "
        "actual memory footprint of the model at runtime. Take the information at your discretion.")
    say(f"INFO: Memory footprint delta from the start of the tool (MB): init={INIT_KB / 1024:.6g} "
        f"overall={OVERALL_KB / 1024:.6g}")


def say_litert(init, warmup, timed):
    """The block of benchmark_litert_model, in ms with two decimals."""
    rows = [("Model initialization", init, " ms"), ("Warmup (first)", warmup[0] if warmup else 0, " ms"),
            ("Warmup (avg)", average(warmup), f" ms ({len(warmup)} runs)"),
            ("Inference (avg)", average(timed), f" ms ({len(timed)} runs)"), ("Inference (min)", min(timed), " ms"),
            ("Inference (max)", max(timed), " ms"), ("Inference (std)", deviation(timed), "")]
    prefix = "INFO: [litert/tools/benchmark_litert_model.h:69] "
    say(f"{prefix}\n{'=' * 10} BENCHMARK RESULTS {'=' * 10}")
    for name, us, unit in rows:
        say(f"{prefix}{name + ':':21} {us / 1000:.2f}{unit}")
    say(f"{prefix}{'=' * 38}\n")


def known_flags():
    known = {**COMMON, **(LITERT if CONFIG.get("variant") == "litert" else TFLITE)}
    for config, flags in (("gpu", GPU), ("nnapi", NNAPI)):
        if config in CONFIG and CONFIG.get("variant") != "litert":
            known |= flags
    known |= {name: (default, "string") for name, default in CONFIG.get("add", {}).items()}
    return {name: flag for name, flag in known.items() if name not in CONFIG.get("remove", ())}


def parse(words, known):
    given, ignored, fine = {}, [], True
    patterns = {"int32": r"-?\d+", "float": r"-?\d+(\.\d+)?(e[+-]?\d+)?", "bool": "true|false|0|1", "string": ".*"}
    for word in words:
        name, equals, text = word.removeprefix("--").partition("=")
        if not (word.startswith("--") and equals and name in known and name not in given):
            ignored.append(word)
        elif re.fullmatch(patterns[known[name][1]], text):
            given[name] = text
        else:
            complain(f"Failed to parse flag '{name}' against argv '{word}'")
            fine = False
    if not fine or ignored[:1] == ["--help"] or given.get("help") in ("true", "1"):
        usage(known)
        fail()
    return given, ignored


def usage(known):
    columns = {name: f"--{name}={default}" for name, (default, _) in known.items()}
    width = max(map(len, columns.values()))
    lines = [f"\t{columns[name]:{width}}\t{kind}\toptional\t{name.replace('_', ' ')}"
             for name, (_, kind) in known.items()]
    complain("usage: ./benchmark_model <flags>\nFlags:\n" + "\n".join(lines) + "\n")


def load(path):
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        complain(f"Could not open '{path}'.")
        complain("The model allocation is null/empty")
        complain(f"Failed to load model {path}")
        fail()
    if content[4:8] != b"TFL3" and b"latency_us=" not in content[:4096]:
        complain("The model is not a valid Flatbuffer buffer")
        complain(f"Failed to load model {path}")
        fail()
    say(f"INFO: Loaded model {path}")
    return content


def delegate(value, given):
    """Says which delegate is applied; returns whether XNNPACK runs the model."""
    asked = [(name.upper(), CONFIG.get(name, "complete")) for name in ("gpu", "nnapi", "xnnpack")
             if value.get(f"use_{name}") in ("true", "1")]
    if CONFIG.get("variant") == "litert":
        if value["require_full_delegation"] == "true" and CONFIG.get("gpu", "complete") != "complete":
            complain("Failed to compile model.")
            fail()
        return True
    if given.get("use_xnnpack") not in ("false", "0"):
        say("INFO: Created TensorFlow Lite XNNPACK delegate for CPU.")
    for name, how in asked:
        if how == "silent":
            continue
        if how == "unsupported":
            say(f"WARN: {name} acceleration is unsupported on this platform.")
        elif how == "none":
            say(f"INFO: Though {name} delegate is explicitly applied, the model graph will not be executed by the "
                "delegate.")
        else:
            pieces = " w/ 3 delegate kernels" if how == "partial" else ""
            say(f"INFO: Explicitly applied {name} delegate, and the model graph will be "
                f"{'partially' if pieces else 'completely'} executed by the delegate{pieces}.")
    return given.get("use_xnnpack") not in ("false", "0")


def latency_of(content):
    if "latency_us" in CONFIG:
        return CONFIG["latency_us"]
    told = re.search(rb"latency_us=(\d+)", content[:4096]) or re.search(rb"latency_us=(\d+)", content[-4096:])
    return int(told[1]) if told else 200 + len(content) / 40


def series(latency, runs, least, most, noise):
    """Samples in µs: at least so many and for so long, and no longer than that."""
    spread, samples, total = CONFIG.get("noise", 0.02), [], 0
    while (len(samples) < runs or total < least * 1e6) and total <= most * 1e6:
        slow = 1.5 if spread and noise.random() < 0.02 else 1.0
        samples.append(max(1, round(latency * slow * (1 + spread * noise.gauss(0, 1)))))
        total += samples[-1]
    return samples


def average(samples):
    return sum(samples) / len(samples) if samples else 0.0


def percentile(samples, percent):
    return sorted(samples)[min(len(samples) - 1, len(samples) * percent // 100)]


def deviation(samples):
    """Whole µs: the real tool cuts the fraction off, in the result file too."""
    return int(max(0.0, average([each * each for each in samples]) - average(samples) ** 2) ** 0.5)


def stats(samples, percentiles=True):
    if not samples:
        return "count=0"
    text = f"count={len(samples)} "
    if len(samples) == 1:
        text += f"curr={samples[0]}"
    elif min(samples) == max(samples):
        text += f"curr={samples[-1]}(all same)"
    else:
        text += (f"first={samples[0]} curr={samples[-1]} min={min(samples)} max={max(samples)} "
                 f"avg={average(samples):.6g} std={deviation(samples)}")
    if percentiles and CONFIG.get("percentiles", True):
        text += "".join(f" {name}={percentile(samples, at)}" for name, at in (("p5", 5), ("median", 50), ("p95", 95)))
    return text


def result(init, warmup, timed, size):
    """The BenchmarkResult proto; latencies are floats in ms."""
    ms = [average(timed), min(timed), max(timed), deviation(timed), percentile(timed, 50), percentile(timed, 5),
          percentile(timed, 95), init, warmup[0] if warmup else 0, average(warmup)]
    latency = b"".join(bytes([(index + 1) << 3 | 5]) + struct.pack("<f", us / 1000) for index, us in enumerate(ms))
    memory = b"\x08" + varint(INIT_KB) + b"\x10" + varint(OVERALL_KB)
    throughput = INPUT_BYTES * len(timed) / sum(timed) * 1e6 / 2**20
    misc = (b"\x0d" + struct.pack("<f", size / 1e6) + b"\x10" + varint(len(timed)) + b"\x18" + varint(len(warmup))
            + b"\x25" + struct.pack("<f", throughput))
    return b"".join(tag + varint(len(part)) + part for tag, part in ((b"\x12", latency), (b"\x1a", memory),
                                                                    (b'"', misc)))


def varint(number):
    encoded = b""
    while number >= 128:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])


def profile(value, timed, init, delegated):
    named = [(f"{kind}", f"Delegate/{kind}:{index}") if delegated else (builtin, f"[model/{builtin.lower()}]:{index}")
             for index, (kind, builtin, _) in enumerate(OPS)]
    runs = [[max(1, round(sample * share)) for _, _, share in OPS] for sample in timed]
    means = [average([run[index] for run in runs]) for index in range(len(OPS))]
    nodes = [(kind, name, runs[0][index], means[index], 0.0) for index, (kind, name) in enumerate(named)]
    csv = value.get("op_profiling_output_mode") == "csv"
    path = value["op_profiling_output_file"] if csv else value.get("profiling_output_csv_file", "")
    csv = csv or bool(path)
    sections = (("Profiling Info for Benchmark Initialization:",
                 [("AllocateTensors", "AllocateTensors/0", init, float(init), 7424.0)], [init]),
                ("Operator-wise Profiling Info for Regular Benchmark Runs:", nodes, [sum(run) for run in runs]))
    text = "".join(section(title, nodes, totals, csv) for title, nodes, totals in sections)
    if path:
        with open(path, "w") as file:
            file.write(text.replace("INFO: ", ""))
    else:
        sys.stdout.write(text)


def section(title, nodes, totals, csv):
    order = sorted(nodes, key=lambda node: -node[3])
    return (f"INFO: {title}\n{ruler('Run Order')}{rows(nodes, csv)}\n{ruler('Top by Computation Time')}"
            f"{rows(order[:10], csv)}\nNumber of nodes executed: {len(nodes)}\n{ruler('Summary by node type')}"
            f"{summary(order, csv)}\nTimings (microseconds): {stats(totals, percentiles=False)}\n"
            f"Memory (bytes): count=0\n{len(nodes)} nodes observed\n\n\n\n")


def ruler(title):
    return f"============================== {title} ==============================\n"


def rows(nodes, csv):
    total, so_far = sum(node[3] for node in nodes) or 1, 0.0
    whole = total
    head = ["node type", "first", "avg_ms", "%", "cdf%", "mem KB", "times called", "name"] if csv else \
        ["[node type]", "[first]", "[avg ms]", "[%]", "[cdf%]", "[mem KB]", "[times called]", "[Name]"]
    lines = [row(head, csv)]
    for kind, name, first, mean, kb in nodes:
        share = 100 * mean / whole
        so_far += share
        lines.append(row([kind, *numbers(csv, first / 1000, mean / 1000), *percents(csv, share, so_far),
                          *numbers(csv, kb), "1", name.replace(",", "\t") if csv else name], csv))
    return "".join(lines)


def summary(nodes, csv):
    head = ["node type", "count", "avg_ms", "avg %", "cdf %", "mem KB", "times called"] if csv else \
        ["[Node type]", "[count]", "[avg ms]", "[avg %]", "[cdf %]", "[mem KB]", "[times called]"]
    lines, so_far = [row(head, csv)], 0.0
    whole = sum(int(node[3]) for node in nodes) or 1  # the real one cuts each to whole µs
    for kind, _, _, mean, kb in nodes:
        share = 100 * int(mean) / whole
        so_far += share
        lines.append(row([kind, "1", *numbers(csv, int(mean) / 1000), *percents(csv, share, so_far),
                          *numbers(csv, kb), "1"], csv))
    return "".join(lines)


def numbers(csv, *values):
    return [f"{value:.6g}" if csv else f"{value:.3f}" for value in values]


def percents(csv, *values):
    return [f"{value:.6g}%" if csv else f"{value:.3f}%" for value in values]


def row(cells, csv):
    if csv:
        return ", ".join(cells) + "\n"
    widths = [40] + [9] * (len(cells) - 1)
    *padded, last = [f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)]
    last = cells[-1] if len(cells) == 8 else last
    return "\t" + "\t".join([*padded, last]) + "\n"


def shown(text):
    return {"true": "1", "false": "0"}.get(text, text)


def say(text):
    sys.stdout.write(text + "\n")


def complain(text):
    sys.stdout.flush()
    sys.stderr.write(f"ERROR: {text}\n")


def fail():
    complain("Benchmarking failed.")
    sys.exit(1)


main()
