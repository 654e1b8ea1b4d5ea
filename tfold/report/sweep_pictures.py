"""Pictures of a sweep: accuracy against depth, and against latency.

Each trial is a small point, coloured by its λ_c; the networks that no other beats are joined by a step line: at a given
depth or latency, it tells the accuracy to be had.
"""
from tfold.files import whole

BY = {
    "depth": ("non-linear depth: linear layers with an activation left between them", "accuracy against depth",
              "shallower"),
    "latency": ("median latency of one inference, ms", "accuracy against latency", "faster"),
}
PRUNED, FRONT, BASE, KNEE = "0.6", "0.25", "crimson", "tab:green"


def draw(document, path, by):
    """Write a PNG.

    Args:
        document: a sweep's, see `tfold.sweeps.results`.
        path: the file.
        by: "depth" or "latency".

    Returns:
        bool: whether there was anything to draw; without, no file is written.
    """
    points = _points(document["trials"], by)
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
    front = _front(points, document["pareto"][by] or ())
    if front:
        _draw_front(axes, front, BY[by][2])
    if by == "depth":
        _draw_pruned(axes, document["trials"])
    drawn = axes.scatter([x for x, _, _ in points], [y for _, y, _ in points],
                         c=[trial["strength"] for _, _, trial in points], norm=norm, cmap=colormaps["viridis"], s=26,
                         edgecolors="white", linewidths=0.5, zorder=3)
    figure.colorbar(drawn, ax=axes, label="$\\lambda_c$ of the trial")
    _draw_base(axes, document, by)
    _draw_knee(axes, document, points, by)
    axes.set(xlabel=BY[by][0], ylabel=f"{document['judge']} accuracy, %", title=_title(document, by))
    if by == "depth":
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    axes.margins(0.06)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)  # within, it would hide trials
    with whole(path) as temporary:
        figure.savefig(temporary, dpi=130)
    return True


def _points(trials, by):
    """(x, accuracy in percent, trial) of each trial that has both."""
    found = []
    for trial in trials:
        x = trial["depth"] if by == "depth" else (trial["latency"] or {}).get("median_ms")
        if trial["state"] == "complete" and x is not None:
            found.append((x, 100 * trial["score"], trial))
    return found


def _front(points, names):
    """The front's points from the left."""
    return sorted((x, y) for x, y, trial in points if trial["name"] in names)


def _draw_front(axes, front, better):
    xs, ys = zip(*front, strict=True)
    axes.step(xs, ys, where="post", color=FRONT, linewidth=1.3, zorder=2)
    axes.scatter(xs, ys, s=85, facecolors="none", edgecolors=FRONT, linewidths=1.1, zorder=4,
                 label=f"Pareto front: nothing {better} is as accurate")


def _draw_pruned(axes, trials):
    """Where trials were when they were ended: they had yet to be trained to their end, so they are no points."""
    pruned = [trial for trial in trials if trial["state"] == "pruned"]
    there = [trial for trial in pruned if trial["depth"] is not None and trial["reached"] is not None]
    if there:
        axes.scatter([trial["depth"] for trial in there], [100 * trial["reached"] for trial in there], marker="x",
                     s=20, color=PRUNED, zorder=1, label="ended early")


def _draw_base(axes, document, by):
    base = document["base"]
    if not base:
        return
    x = base["depth"] if by == "depth" else document["latency"]["base"]["median_ms"]
    axes.scatter([x], [100 * base["score"]], marker="*", s=190, color=BASE, edgecolors="white",
                 linewidths=0.7, zorder=5, label=f"base network, depth {base['depth']}")


def _draw_knee(axes, document, points, by):
    knee = document["knee"]
    if knee["depth"] is None:
        return
    if by == "depth":
        if knee["interval"]:
            axes.axvspan(*knee["interval"], color=KNEE, alpha=0.08, zorder=0, linewidth=0)
        span = " [{}, {}]".format(*knee["interval"]) if knee["interval"] else ""
        axes.axvline(knee["depth"], color=KNEE, linestyle="--", linewidth=1.2, zorder=1,
                     label=f"knee: EDNL {knee['depth']}{span}")
        return
    there = [(x, y) for x, y, trial in points if trial["depth"] == knee["depth"]]
    if there:
        x, y = max(there, key=lambda point: point[1])
        axes.scatter([x], [y], marker="s", s=120, facecolors="none", edgecolors=KNEE, linewidths=1.6, zorder=5,
                     label=f"knee: EDNL {knee['depth']}")


def _title(document, by):
    done = sum(trial["state"] == "complete" for trial in document["trials"])
    state = "" if document["finished"] else f" of {len(document['trials'])}, not finished"
    words = f"{BY[by][1]}: {done} trials{state}"
    if by == "latency":
        latency = document["latency"]
        return f"{words[:words.index(':')]}: {latency['runtime']}, {latency['threads']} thread, the best of each depth"
    return words if document["knee"]["depth"] is not None else f"{words}, no knee"
