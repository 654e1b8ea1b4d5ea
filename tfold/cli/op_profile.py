"""The time of every op for `tfold bench --profile`: asked of the runtime or of a phone's tool, told by layer."""
import mobile_bench
from tfold.cli.common import say
from tfold.cli.op_table import say_changes, say_ops
from tfold.measure.errors import ProfilerNotAvailableError
from tfold.measure.profile import profile
from tfold.tflite.attribute import Line, attribute
from tfold.tflite.contents import read
from tfold.tflite.op_changes import op_changes
from tfold.tflite.op_times import op_times

BY_PROFILER, BY_TOOL = "as the runtime's profiler tells it", "as the tool tells it, which slows it down"
CUT_OUT = "each op cut out and timed by itself"
LEAST_US = 5  # that an op takes on average: the profiler rounds down to whole microseconds


def profile_host(models, runtimes, threads, as_json):
    """Of each runtime that has measured the models; returns what the JSON document says."""
    contents, found = [read(model) for model in models], {}
    for runtime in sorted(runtimes):
        try:
            told, how = [_by_profiler(one, runtime, threads) for one in contents], BY_PROFILER
        except (ProfilerNotAvailableError, TooCoarse):  # the same for both, or they would not compare
            told, how = [(op_times(model, runtime, threads).microseconds, ()) for model in models], CUT_OUT
        found[runtime] = _said(contents, told, how, f"{runtime}, {threads}", as_json)
    return found


def profile_phones(models, serials, threads, settings, as_json):
    """Of each phone that has measured the models; returns what the JSON document says."""
    contents, found = [read(model) for model in models], {}
    for serial, profiles in mobile_bench.profile_phones(models, serials, threads, settings=settings).items():
        told = [_attributed(one, [Line(op.kind, 1000 * op.run_ms, op.node) for op in profiled.run_order])
                for one, profiled in zip(contents, profiles, strict=True)]
        found[serial] = _said(contents, told, BY_TOOL, f"{serial}, {threads}", as_json)
    return found


class TooCoarse(Exception):
    """The profiler tells whole microseconds, and this model's ops take less."""


def _by_profiler(contents, runtime, threads):
    found = profile(contents.path, runtime, threads)
    if found.total_us < LEAST_US * len(found.ops):
        raise TooCoarse
    return _attributed(contents, [Line(op.kind, op.average_us, op.index) for op in found.ops])


def _attributed(contents, lines):
    """(op's index → microseconds, lines that are none of its ops)"""
    given = attribute(contents, lines)
    return given.microseconds, given.unknown


def _said(contents, told, how, where, as_json):
    """Say it for people, and return it for the document."""
    words = f"{where} thread(s), {how}"
    times = [microseconds for microseconds, _ in told]
    document = {"how": how, "ops": [], "unknown": []}
    for one, (microseconds, unknown) in zip(contents, told, strict=True):
        document["ops"].append([
            {"op": op.index, "kind": op.kind, "name": one.subgraphs[0].name_of(op),
             "microseconds": microseconds.get(op.index)} for op in one.ops])
        document["unknown"].append([{"kind": line.kind, "microseconds": line.microseconds} for line in unknown])
    if not all(times):
        say(f"{words}: the profile fits too few of the model's ops to be told by layer", as_json)
    elif len(contents) == 2:
        changes = op_changes(*contents, *times)
        say_changes(changes, words, as_json)
        document["changes"] = [change.to_json() for change in changes]
    else:
        for one, microseconds in zip(contents, times, strict=True):
            say_ops(one, microseconds, words, as_json)
    return document
