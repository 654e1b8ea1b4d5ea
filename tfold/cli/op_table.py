"""Where an inference's time goes, op by op: of one model, or of two beside each other."""
from tfold.cli import common

LONGEST = 10  # ops of one model; the JSON document has all
WIDEST_NAME = 60


def say_ops(contents, microseconds, how, as_json):
    """The ops that take longest, of one model."""
    whole = sum(microseconds.values()) or 1.0
    common.say(f"{contents.path.name}: the longest of {len(contents.ops)} ops, {how}", as_json)
    for index, time in sorted(microseconds.items(), key=lambda pair: -pair[1])[:LONGEST]:
        op = contents.ops[index]
        name = short(contents.subgraphs[0].name_of(op))
        common.say(f"  {time:>9.1f} µs {time / whole:>6.1%}  {op.kind:<20} {name}", as_json)


def say_changes(changes, how, as_json):
    """What became of the first model's ops in the second one: all that are not the same, and the rest in a line."""
    different = [change for change in changes if change.what != "same"]
    same = [change for change in changes if change.what == "same"]
    common.say(f"ops by layer, {how}", as_json)
    common.say(f"  {'before':>12} {'after':>12} {'saved':>12}", as_json)
    for change in different:
        names = [short(name) for *_, name, _ in (*change.before, *change.after)]
        common.say(f"  {_times(change.microseconds)}  {change.what}: {_kinds(change.before)} → {_kinds(change.after)}  "
                   f"({names[0]})", as_json)
    if same:
        together = tuple(sum(side) for side in zip(*(change.microseconds for change in same), strict=True))
        common.say(f"  {_times(together)}  the same: {sum(len(change.after) for change in same)} ops", as_json)
    whole = tuple(sum(side) for side in zip(*(change.microseconds for change in changes), strict=True))
    common.say(f"  {_times(whole)}  all", as_json)


def short(name):
    """The first of the layers that one op does the work of, and of a long name its end."""
    first = name.split(";")[0]
    return first if len(first) <= WIDEST_NAME else f"…{first[1 - WIDEST_NAME:]}"


def _times(microseconds):
    before, after = microseconds
    return f"{before:>9.1f} µs {after:>9.1f} µs {before - after:>+9.1f} µs"


def _kinds(ops):
    return " + ".join(kind for _, kind, *_ in ops) or "nothing"
