"""A picture of what each layer of a quantised network has lost."""
from tfold.files import whole

ROW = 0.22  # inches
LONGEST = 60
FIRST = 60  # decibels: more is lost only where exact numbers are rounded for the first time


def draw(layers, path, title="signal ÷ quantisation noise"):
    """Write a PNG: one bar a layer, in the order of the network.

    Args:
        layers: `(name, decibels, decibels lost by the layer itself)` for each.
        path: the file.
        title: of the picture.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    names = [name if len(name) <= LONGEST else f"…{name[1 - LONGEST:]}" for name, _, _ in layers]
    lost = [each if 0 < each < FIRST else 0.0 for _, _, each in layers]
    colours = colormaps["YlOrRd"]([each / (max(lost) or 1.0) for each in lost])
    figure = Figure(figsize=(10, 1.2 + ROW * len(layers)), layout="constrained")
    axes = figure.subplots()
    bars = [decibels for _, decibels, _ in layers]
    axes.barh(range(len(layers)), bars, color=colours, edgecolor="grey", linewidth=0.4)
    axes.set_yticks(range(len(layers)), names, fontsize=7)
    for row, ((_, decibels, _), own) in enumerate(zip(layers, lost, strict=True)):
        text = f" {decibels:.1f}" + (f"  (−{own:.1f} here)" if own >= 0.5 else "")
        axes.text(decibels, row, text, va="center", fontsize=6)
    axes.invert_yaxis()
    axes.margins(x=0.15, y=0.01)
    axes.set(xlabel="dB: lower is worse; the redder, the more was lost in the layer itself", title=title)
    with whole(path) as temporary:
        figure.savefig(temporary, dpi=130)
