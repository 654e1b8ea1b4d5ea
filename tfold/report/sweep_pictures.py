"""Pictures of a sweep: accuracy against depth, and against latency.

Each trial is a small point, coloured by its λ_c; the networks that no other beats are joined by a step line: at a given
depth or latency, it tells the accuracy to be had.
"""
from tfold.files import whole

BY = {
    "depth": ("non-linear depth: linear layers with an activation left between them", "accuracy against depth",
              "deeper"),
    "latency": ("median latency of one inference, {}", "accuracy against latency", "slower"),
}
PRUNED, FRONT, BASE, KNEE = "0.6", "0.25", "crimson", "tab:green"
CLOSE, BESIDE = 0.02, 0.16  # trials of one depth whose accuracies differ by less of the range stand beside each other


def draw(document, path, by):
    """Write a PNG.

    Args:
        document: a sweep's, see `tfold.sweeps.results`.
        path: the file.
        by: "depth" or "latency".

    Returns:
        bool: whether there was anything to draw; without, no file is written.
    """
    unit, factor = ("ms", 1.0) if by == "depth" else _unit(document)
    points = _points(document["trials"], by, factor)
    if not points:
        return False
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    strengths = [trial["strength"] for trial in document["trials"]]
    low, high = min(strengths), max(strengths)
    norm = LogNorm(low / 1.01, high * 1.01) if low == high else LogNorm(low, high)
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    base = _base(document, by, factor)
    front = _front(points, base, document["pareto"][by] or ())
    if front:
        _draw_front(axes, front, BY[by][2])
    if by == "depth":
        _draw_pruned(axes, document["trials"])
    else:
        _draw_intervals(axes, document["latency"], points, base, factor)
    drawn = axes.scatter(_beside_each_other(points) if by == "depth" else [x for x, _, _ in points],
                         [y for _, y, _ in points],
                         c=[trial["strength"] for _, _, trial in points], norm=norm, cmap=colormaps["viridis"], s=26,
                         edgecolors="white", linewidths=0.5, zorder=3)
    figure.colorbar(drawn, ax=axes, label="$\\lambda_c$ of the trial")
    if base:
        axes.scatter(*([each] for each in base), marker="*", s=230, color=BASE, edgecolors="white", linewidths=0.7,
                     zorder=2.5, label=f"base network, depth {document['base']['depth']}")
    _draw_knee(axes, document, points, by)
    axes.set(xlabel=BY[by][0].format(unit), ylabel=f"{document['judge']} accuracy, %", title=_title(document, by))
    if by == "depth":
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    axes.margins(0.06)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)  # within, it would hide trials
    with whole(path) as temporary:
        figure.savefig(temporary, dpi=130)
    return True


def _unit(document):
    """Of latency, and what milliseconds are to be multiplied by."""
    latency = document["latency"]
    return ("µs", 1000.0) if latency and latency["base"]["median_ms"] < 0.1 else ("ms", 1.0)


def _points(trials, by, factor):
    """(x, accuracy in percent, trial) of each trial that has both."""
    found = []
    for trial in trials:
        x = trial["depth"] if by == "depth" else trial["latency"] and factor * trial["latency"]["median_ms"]
        if trial["state"] == "complete" and x is not None:
            found.append((x, 100 * trial["score"], trial))
    return found


def _base(document, by, factor):
    """(x, accuracy in percent) of the base network, or None."""
    base = document["base"]
    if not base:
        return None
    x = base["depth"] if by == "depth" else factor * document["latency"]["base"]["median_ms"]
    return x, 100 * base["score"]


def _beside_each_other(points):
    """Where to draw points: at their depth, side by side where one would hide another."""
    heights = [y for _, y, _ in points]
    close = CLOSE * max(max(heights) - min(heights), 1.0)
    places, row = [0.0] * len(points), []
    for i in sorted(range(len(points)), key=lambda i: points[i][:2]):
        if row and (points[i][0] != points[row[0]][0] or points[i][1] - points[row[0]][1] > close):
            row = []
        row.append(i)
        for place, each in enumerate(row):
            places[each] = points[each][0] + BESIDE * (place - (len(row) - 1) / 2)
    return places


def _front(points, base, names):
    """The front's points from the left."""
    found = [(x, y) for x, y, trial in points if trial["name"] in names]
    return sorted(found + [base] * (base is not None and "base" in names))


def _draw_front(axes, front, worse):
    xs, ys = zip(*front, strict=True)
    axes.step(xs, ys, where="post", color=FRONT, linewidth=1.3, zorder=2)
    axes.scatter(xs, ys, s=85, facecolors="none", edgecolors=FRONT, linewidths=1.1, zorder=4,
                 label=f"Pareto front: whatever is more accurate is {worse}")


def _draw_pruned(axes, trials):
    """Where trials were when they were ended: they had yet to be trained to their end, so they are no points."""
    pruned = [trial for trial in trials if trial["state"] == "pruned"]
    there = [trial for trial in pruned if trial["depth"] is not None and trial["reached"] is not None]
    if there:
        axes.scatter([trial["depth"] for trial in there], [100 * trial["reached"] for trial in there], marker="x",
                     s=20, color=PRUNED, zorder=1, label="ended early")


def _draw_intervals(axes, latency, points, base, factor):
    """How far each latency lies from the base's, give or take: an axis that is stretched makes a lot of nothing."""
    there = [(y, trial["latency"]) for _, y, trial in points]
    there += [(base[1], latency["base"]["itself"])] if base else []
    middle = factor * latency["base"]["median_ms"]
    heights, found = zip(*there, strict=True)
    axes.hlines(heights, [middle * each["low"] for each in found], [middle * each["high"] for each in found],
                color=PRUNED, linewidth=1.0, zorder=1.5, label="95 % interval of folded ÷ base, of base ÷ base")


def _draw_knee(axes, document, points, by):
    knee = document["knee"]
    if knee["depth"] is None:
        return
    if by == "depth":
        axes.axvline(knee["depth"], color=KNEE, linestyle="--", linewidth=1.2, zorder=1, label=_knee_label(knee))
        if knee["interval"]:
            low, high = knee["interval"]
            axes.axvspan(low - 0.4, high + 0.4, color=KNEE, alpha=0.1, zorder=0, linewidth=0,
                         label=f"its 95 % interval, {low} to {high}")
        return
    there = [(x, y) for x, y, trial in points if trial["depth"] == knee["depth"]]
    if there:
        x, y = max(there, key=lambda point: point[1])
        axes.scatter([x], [y], marker="s", s=120, facecolors="none", edgecolors=KNEE, linewidths=1.6, zorder=5,
                     label=_knee_label(knee))


def _knee_label(knee):
    return f"knee: effective degree of non-linearity (EDNL) {knee['depth']}"


def _title(document, by):
    done = sum(trial["state"] == "complete" for trial in document["trials"])
    state = "" if document["finished"] else f" of {len(document['trials'])}, not finished"
    words = f"{BY[by][1]}: {done} trials{state}"
    if by == "latency":
        latency = document["latency"]
        some = any(trial["state"] == "complete" and not trial["folded"] for trial in document["trials"])
        return (f"{words[:words.index(':')]}: {latency['runtime']}, {latency['threads']} thread, the best of each depth"
                f"{' in this folder' * some}")
    return words if document["knee"]["depth"] is not None else f"{words}, no knee"
