"""What a sweep's pictures show, read from the figure before it is written."""
import copy
import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from tfold.report.sweep_pictures import draw


@pytest.fixture(scope="module")
def made():
    """The made-up document of make_document.py."""
    spec = importlib.util.spec_from_file_location("make_document", Path(__file__).with_name("make_document.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.document()


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws, and gives the figure: drawn(document, "depth"); None where nothing was drawn."""
    figures = []
    save = Figure.savefig

    def savefig(self, *args, **kwargs):
        figures.append(self)
        return save(self, *args, **kwargs)

    def call(document, by):
        path = tmp_path / f"{by}.png"
        if not draw(document, path, by):
            assert not path.exists()
            return None
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000
        return figures[-1]

    monkeypatch.setattr(Figure, "savefig", savefig)
    return call


def labels(figure):
    return {text.get_text() for legend in figure.legends for text in legend.get_texts()}


def test_accuracy_against_depth(made, drawn):
    figure = drawn(made, "depth")
    low, high = made["knee"]["interval"]
    assert {f"knee: effective degree of non-linearity (EDNL) {made['knee']['depth']}", "base network, depth 20",
            f"its 95 % interval, {low} to {high}", "ended early",
            "Pareto front: whatever is more accurate is deeper"} == labels(figure)
    axes, bar = figure.axes
    assert axes.get_title() == "accuracy against depth: 26 trials" and "validation" in axes.get_ylabel()
    assert bar.get_yscale() == "log"
    sizes = sorted(len(each.get_offsets()) for each in axes.collections if len(each.get_offsets()) > 0)
    assert sizes[-1] == 26 and sizes[:2] == [1, 1]  # all trials; the base, and the one that was ended early


def test_accuracy_against_latency(made, drawn):
    figure = drawn(made, "latency")
    assert {"knee: effective degree of non-linearity (EDNL) 10", "base network, depth 20",
            "Pareto front: whatever is more accurate is slower",
            "95 % interval of folded ÷ base, of base ÷ base"} == labels(figure)
    [lines] = [each for each in figure.axes[0].collections if isinstance(each, LineCollection)]
    ends = {tuple(line[:, 0]) for line in lines.get_segments()}
    assert ends == {(2.2 * each["low"], 2.2 * each["high"]) for each in (
        made["latency"]["base"]["itself"], *made["latency"]["trials"].values())}
    assert figure.axes[0].get_xlabel() == "median latency of one inference, ms"
    assert "litert, 1 thread" in figure.axes[0].get_title()


def test_small_latencies_are_in_microseconds(made, drawn):
    document = copy.deepcopy(made)
    for each in (document["latency"]["base"], *(trial["latency"] for trial in document["trials"] if trial["latency"])):
        each["median_ms"] /= 100
    axes = drawn(document, "latency").axes[0]
    assert axes.get_xlabel() == "median latency of one inference, µs" and 10 < axes.get_xlim()[1] < 30


def test_trials_at_one_place_stand_side_by_side(made, drawn):
    document = copy.deepcopy(made)
    for trial in document["trials"]:
        if trial["state"] == "complete":
            trial["depth"], trial["score"] = 10, 0.9 if trial["seed"] else 0.5
    axes = drawn(document, "depth").axes[0]
    [drawn_there] = [each.get_offsets() for each in axes.collections if len(each.get_offsets()) == 26]
    assert len({(round(x, 6), round(y, 6)) for x, y in drawn_there}) == 26
    assert abs(drawn_there[:, 0].mean() - 10) < 1e-6


def test_the_base_is_a_candidate_of_the_front(made, drawn):
    document = copy.deepcopy(made)
    document["pareto"]["depth"] = ["base"]
    axes = drawn(document, "depth").axes[0]
    rings = [each.get_offsets().tolist() for each in axes.collections if each.get_facecolors().size == 0]
    assert [[20, 91.5]] in rings


def test_what_is_not_known_is_not_drawn(made, drawn):
    document = copy.deepcopy(made)
    document["knee"] |= {"depth": None, "interval": None}
    document["base"], document["finished"] = None, False
    figure = drawn(document, "depth")
    assert not any("knee" in label or "base" in label for label in labels(figure))
    assert figure.axes[0].get_title() == "accuracy against depth: 26 trials of 27, not finished, no knee"
    for trial in document["trials"]:
        trial["latency"] = None
    assert drawn(document, "latency") is None
    document["trials"] = [trial for trial in document["trials"] if trial["strength"] == 0.173]  # one colour alone
    assert drawn(document, "depth") is not None
