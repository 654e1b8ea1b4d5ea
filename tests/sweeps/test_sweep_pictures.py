"""What a sweep's pictures show, read from the figure before it is written."""
import copy
import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
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
    assert {f"knee: EDNL {made['knee']['depth']} [{low}, {high}]", "base network, depth 20", "ended early",
            "Pareto front: nothing shallower is as accurate"} == labels(figure)
    axes, bar = figure.axes
    assert axes.get_title() == "accuracy against depth: 26 trials" and "validation" in axes.get_ylabel()
    assert bar.get_yscale() == "log"
    sizes = sorted(len(each.get_offsets()) for each in axes.collections if len(each.get_offsets()) > 0)
    assert sizes[-1] == 26 and sizes[:2] == [1, 1]  # all trials; the base, and the one that was ended early


def test_accuracy_against_latency(made, drawn):
    figure = drawn(made, "latency")
    assert {"knee: EDNL 10", "base network, depth 20", "Pareto front: nothing faster is as accurate"} == labels(figure)
    assert "litert, 1 thread" in figure.axes[0].get_title()


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
