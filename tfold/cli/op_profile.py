"""The time of every op for `tfold bench --profile`: asked of the runtime or of a phone's tool, told by layer."""
from tfold.cli.op_table import say_changes, say_ops


def profile_host(models, runtimes, threads, as_json):
    """Of each runtime that has measured the models; returns what the JSON document says."""
    from tfold.tflite.op_times import op_times

    found = {}
    for runtime in sorted(runtimes):
        times = [op_times(model, runtime, threads).microseconds for model in models]
        how = f"{runtime}, {threads} thread{'s' * (threads > 1)}, each op cut out and timed by itself"
        found[runtime] = _told(models, times, how, as_json)
    return found


def profile_phones(models, serials, threads, settings, as_json):
    """Of each phone that has measured the models; returns what the JSON document says."""
    from mobile_bench import bench
    from tfold.tflite.attribute import Line, attribute
    from tfold.tflite.contents import read

    found = {}
    for serial, profiles in bench.profile_phones(models, serials, threads, settings=settings).items():
        given = [
            attribute(read(model), [Line(op.kind, op.name, 1000 * op.average_ms) for op in profile.run_order])
            for model, profile in zip(models, profiles, strict=True)
        ]
        how = f"{serial}, {threads} thread{'s' * (threads > 1)}, as the tool tells it, which slows it down"
        found[serial] = _told(models, [each.microseconds for each in given], how, as_json)
        found[serial]["unknown"] = [[[line.kind, line.microseconds] for line in each.unknown] for each in given]
    return found


def _told(models, times, how, as_json):
    """Say it for people, and return it for the document."""
    from tfold.tflite.contents import read
    from tfold.tflite.op_changes import op_changes

    contents = [read(model) for model in models]
    document = {"ops": [
        [{"op": op.index, "kind": op.kind, "name": one.subgraphs[0].name_of(op), "microseconds": found.get(op.index)}
         for op in one.ops] for one, found in zip(contents, times, strict=True)]}
    if len(models) == 2:
        changes = op_changes(*contents, *times)
        say_changes(changes, how, as_json)
        document["changes"] = [change.to_json() for change in changes]
    else:
        for one, found in zip(contents, times, strict=True):
            say_ops(one, found, how, as_json)
    return document
