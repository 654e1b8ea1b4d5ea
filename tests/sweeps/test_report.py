"""What a sweep tells: its warnings, what is kept of earlier measurements, and what stays when measuring fails."""
import pytest

from tfold.errors import TfoldError
from tfold.sweeps import latency, results
from tfold.sweeps.plan import name_of
from tfold.sweeps.progress import Progress
from tfold.sweeps.study import report, run_trials

pytest.importorskip("matplotlib")


def test_what_cannot_be_measured_takes_nothing_of_the_rest(plan, stand_in, tmp_path):
    """The base network of these tests is none: it cannot be exported."""
    folder = tmp_path / "out"
    run_trials(plan(), folder, say=lambda line: None, command=stand_in())
    for name in (name_of(*pair) for pair in plan().trials()):
        (folder / "trials" / name).mkdir()
        (folder / "trials" / name / "folded.keras").write_bytes(name.encode())
    with pytest.raises(TfoldError):
        report(plan(), folder, say=lambda line: None)
    document = results.read(folder)
    assert document["counts"] == {"complete": 3} and document["latency"] is None
    assert (folder / "sweep.csv").exists() and (folder / "accuracy-depth.png").exists()


def test_what_was_measured_is_kept_as_long_as_it_is_of_these_networks(plan, stand_in, tmp_path):
    folder = tmp_path / "out"
    run_trials(plan((0.1,)), folder, say=lambda line: None, command=stand_in())
    (folder / "trials" / "strength-0.1-seed-0").mkdir()
    network = folder / "trials" / "strength-0.1-seed-0" / "folded.keras"
    network.write_bytes(b"folded")
    document = report(plan((0.1,)), folder, runtime="none")
    files = latency.files_of(plan().base, document["trials"])
    row = {"median_ms": 1.0, "ratio": 0.5, "low": 0.4, "high": 0.6}
    measured = {"runtime": "litert", "threads": 1, "blocks": 20, "base": {"median_ms": 2.0}, "files": files,
                "trials": {"strength-0.1-seed-0": row}}
    results.write({**document, "latency": measured}, folder)
    for how in ({"runtime": "none"}, {"runtime": "litert", "blocks": 20}):
        assert report(plan((0.1,)), folder, **how)["trials"][0]["latency"] == row
    for how in ({"blocks": 21}, {"runtime": "tflite-runtime"}):
        with pytest.raises(TfoldError):  # it would have to be measured anew, which these files cannot be
            report(plan((0.1,)), folder, say=lambda line: None, **how)
    network.write_bytes(b"folded anew")
    assert report(plan((0.1,)), folder, runtime="none")["latency"] is None


def test_a_base_at_chance_and_one_that_has_seen_the_images_are_warned_of():
    base = {"accuracy": {"validation": 0.11, "test": 0.10}, "chance": 0.105, "images": 5000, "test_images": 10_000}
    [warning] = results.warnings_of(base)
    assert "gets 11.0% of the images right" in warning and "--scale" in warning
    assert results.warnings_of({**base, "accuracy": {"validation": 0.85, "test": 0.849}}) == []
    [seen] = results.warnings_of({**base, "accuracy": {"validation": 0.95, "test": 0.85}})
    assert "--judge test" in seen and not results.warnings_of(
        {**base, "accuracy": {"validation": 0.95, "test": 0.85}}, "test")


def test_lines_about_the_base_are_said_once():
    said = []
    progress = Progress(said.append, 3, 2, 2, workers=2)
    base = {"depth": 20, "accuracy": {"validation": 0.1, "test": 0.1}, "chance": 0.1, "images": 50, "test_images": 50}
    for worker in (1, 2):
        progress.tell({"event": "base", "worker": worker, "figures": base}, 0)
    assert said[0] == "base network: depth 20, validation 10.0%, test 10.0%"
    assert len(said) == 2 and said[1].startswith("warning: The base network gets 10.0%")


def test_who_judges_by_the_test_images_is_not_told_to():
    seen = {"depth": 9, "accuracy": {"validation": 0.99, "test": 0.5}, "chance": 0.1, "images": 5000,
            "test_images": 5000}
    for judge, lines in (("validation", 2), ("test", 1)):
        said = []
        Progress(said.append, 3, 2, 2, judge=judge).tell({"event": "base", "worker": 1, "figures": seen}, 0)
        assert len(said) == lines, said
