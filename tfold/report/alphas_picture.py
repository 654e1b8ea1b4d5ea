"""A picture of the α over the epochs."""
import numpy as np

from tfold.files import whole


def draw(history, path, title, threshold=0.9):
    """Write a PNG with one line an α.

    Args:
        history: `AlphaLogger.history`.
        path: the file.
        title: what is said above.
        threshold: τ, drawn as a dashed line.
    """
    import matplotlib
    from matplotlib.figure import Figure

    names = list(history[0]["alphas"])
    epochs = [entry["epoch"] + 1 for entry in history]
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(names)))
    for name, colour in zip(names, colours, strict=True):
        axes.plot(epochs, [entry["alphas"][name] for entry in history], color=colour, marker=".", label=name)
    axes.axhline(threshold, color="grey", linestyle="--", linewidth=1)
    axes.text(epochs[-1], threshold, "τ: removed above ", ha="right", va="top", color="grey", fontsize=8)
    axes.set(
        xlabel="epoch", ylabel="α   (0: the activation, 1: linear)", ylim=(-0.03, 1.05), xlim=(epochs[0], epochs[-1]),
        title=title,
    )
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)
    with whole(path) as temporary:
        figure.savefig(temporary, dpi=120)
