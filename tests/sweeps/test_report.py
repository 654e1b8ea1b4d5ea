"""What a sweep tells: its warnings, what is kept of earlier measurements, and what stays when measuring fails."""
import pytest

from tfold.errors import BadInputError
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
        (folder / "trials" / name / "folded.keras").write_bytes(name.encode())
    [warning] = report(plan(), folder, say=lambda line: None)["warnings"]
    assert warning.startswith("Latency was not measured. ") and "base.keras" in warning and "--runtime" in warning
    document = results.read(folder)
    assert document["warnings"] == [warning]
    assert document["unmeasured"] in warning and "base.keras" in document["unmeasured"]
    assert document["counts"] == {"complete": 3} and document["latency"] is None
    assert (folder / "sweep.csv").exists() and (folder / "accuracy-depth.png").exists()


def test_what_was_measured_is_kept_as_long_as_it_is_of_these_networks(plan, stand_in, tmp_path):
    folder = tmp_path / "out"
    run_trials(plan((0.1,)), folder, say=lambda line: None, command=stand_in())
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
        again = report(plan((0.1,)), folder, say=lambda line: None, **how)
        assert "not measured" in again["warnings"][0]  # it would have to be measured anew, which these files cannot be
    network.write_bytes(b"folded anew")
    assert report(plan((0.1,)), folder, runtime="none")["latency"] is None


def test_networks_on_other_machines_are_told_of(plan, stand_in, tmp_path):
    folder, url = tmp_path / "out", f"sqlite:///{tmp_path}/study.db"
    run_trials(plan(), folder, url, say=lambda line: None, command=stand_in())
    (folder / "trials" / "strength-0.1-seed-0" / "folded.keras").write_bytes(b"folded")
    [warning] = report(plan(), folder, url, runtime="none")["warnings"]
    assert warning.startswith("2 of 3 folded networks are not in this folder but on ") and "share its folder" in warning


def test_a_study_elsewhere_is_looked_at_from_anywhere_but_a_folder_of_other_files(plan, stand_in, tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    run_trials(plan(), tmp_path / "out", url, say=lambda line: None, command=stand_in())
    assert report(plan(), tmp_path / "new" / "one", url, runtime="none")["counts"] == {"complete": 3}
    assert (tmp_path / "new" / "one" / "sweep.csv").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "sweep.csv").write_text("mine")
    (other / "letter.txt").write_text("mine, too")
    for folder, words in ((other, "holds other files"), (other / "sweep.csv", "The output is a folder")):
        with pytest.raises(BadInputError, match=words):
            report(plan(), folder, url, runtime="none")
    assert (other / "sweep.csv").read_text() == "mine" and len(list(other.iterdir())) == 2


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
