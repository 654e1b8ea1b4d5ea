"""A picture of the α over the epochs: a line each, or, where lines would hide one another, a row of colour each."""
import numpy as np

from tfold.files import whole

MOST_LINES = 8


def draw(history, path, title, threshold=0.9):
    """Write a PNG with one line or row an α.

    Args:
        history: `AlphaLogger.history`.
        path: the file.
        title: what is said above.
        threshold: τ, drawn as a dashed line; with rows of colour a cross marks what lies above it at the end.
    """
    from matplotlib.figure import Figure

    names = list(history[0]["alphas"])
    epochs = [entry["epoch"] + 1 for entry in history]
    values = np.array([[entry["alphas"][name] for name in names] for entry in history])
    few = len(names) <= MOST_LINES
    figure = Figure(figsize=(9, 5 if few else 1.5 + 0.22 * len(names)), layout="constrained")
    (_lines if few else _rows)(figure.subplots(), names, epochs, values, threshold)
    figure.axes[0].set(xlabel="epoch", title=title)
    figure.axes[0].xaxis.get_major_locator().set_params(integer=True)
    with whole(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _lines(axes, names, epochs, values, threshold):
    import matplotlib

    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(names)))
    for name, colour, line in zip(names, colours, values.T, strict=True):
        axes.plot(epochs, line, color=colour, marker=".", label=name)
    axes.axhline(threshold, color="grey", linestyle="--", linewidth=1)
    axes.text(epochs[-1], threshold, f"τ = {threshold:g}: removed above ", ha="right", va="top", color="grey",
              fontsize=8)
    axes.set(ylabel="α   (0: the activation, 1: linear)", ylim=(-0.03, 1.05), xlim=(epochs[0], epochs[-1]))
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)


def _rows(axes, names, epochs, values, threshold):
    image = axes.imshow(values.T, aspect="auto", cmap="viridis", vmin=0, vmax=1, interpolation="nearest",
                        extent=(epochs[0] - 0.5, epochs[-1] + 0.5, len(names) - 0.5, -0.5))
    gone = values[-1] > threshold
    marked = [f"{name}  {'✗' if out else '  '}" for name, out in zip(names, gone, strict=True)]
    axes.set_yticks(range(len(names)), marked, fontsize=8)
    axes.figure.colorbar(
        image, ax=axes, label=f"α   (0: the activation, 1: linear; ✗: above τ = {threshold:g}, removed)")
