"""tfold bench: real runtimes, few blocks."""

import shutil

import pytest

from tfold.measure import available_runtimes

INSTALLED = [name for name, found in available_runtimes().items() if found.version]
QUICK = ["--blocks", 6, "--min-time", 0, "--warmup", 0]


def test_two_models_are_compared_with_an_interval(process, files):
    ended = process("bench", files / "small.tflite", files / "folded.tflite", *QUICK)
    assert (ended.code, ended.err) == (0, "")
    table = ended.out.splitlines()
    assert [line.split()[:4] for line in table[1:3]] == [
        ["small.tflite", "host", "litert", "1"], ["folded.tflite", "host", "litert", "1"]]
    assert len({len(line) for line in table[:3]}) == 1  # columns stand below each other
    assert table[3].startswith("folded.tflite ÷ small.tflite on host, litert, 1 thread: ")
    assert table[4].startswith("    small.tflite against itself: ")
    assert table[-1].startswith("nothing written; next: ")


@pytest.mark.skipif(len(INSTALLED) < 2, reason="needs both runtimes")
def test_all_runtimes_and_several_threads(process, files):
    ended = process("bench", files / "small.tflite", files / "folded.tflite", *QUICK,
                    "--runtime", "all", "--threads", "1,2", "--no-self-check", "--json")
    assert ended.code == 0, ended.err
    document = ended.document
    assert document["kind"] == "bench"
    combinations = [(name, count) for name in INSTALLED for count in (1, 2)]
    assert [(one["runtime"], one["threads"]) for one in document["ratios"]] == combinations
    assert len(document["results"]) == 8
    for ratio in document["ratios"]:
        assert 0 < ratio["low"] <= ratio["value"] <= ratio["high"]
        assert ratio["self_check"] is None
    assert ended.err.count(" ÷ ") == 4  # the text is there as well, on stderr


@pytest.mark.parametrize("runtime", INSTALLED)
def test_one_model_has_no_ratio(here, files, runtime):
    ended = here("bench", files / "small.tflite", "--blocks", 1, "--min-time", 0, "--runtime", runtime, "--json")
    assert ended.code == 0, ended.err
    assert "ratio" not in ended.document
    [result] = ended.document["results"]
    assert result["runtime"] == runtime and result["median_ms"] > 0


def test_unusable_options(here, files):
    model = files / "small.tflite"
    here("bench", model, "--runtime", "abacus").misused("'abacus'", "litert, tflite-runtime, or all")
    for threads in ("a", "1,", "", "1;2"):
        here("bench", model, "--threads", threads).misused("--threads", "1 or 1,2,4")
    here("bench", model, "--threads", "0").refused("threads=0")
    here("bench", model, "--blocks", "0").refused("blocks=0")
    here("bench", model, model, "--blocks", "5").refused("at least 6 blocks")
    here("bench", model, "--max-seconds", "nan").refused("max_seconds=nan")


@pytest.mark.parametrize("name, words", [
    ("cut.tflite", "cut short or damaged"),
    ("text.tflite", "TFL3"),
    ("small.keras", "tfold export"),
    ("empty.keras", "an empty file"),
    ("missing.tflite", "not found"),
    ("folder.keras", "a directory"),
])
def test_files_that_are_no_tflite(here, files, name, words):
    here("bench", files / "small.tflite", files / name).refused(name, words)


def test_long_and_equal_names(here, files, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(files / "small.tflite", tmp_path / folder / "m.tflite")
    words = [tmp_path / "a" / "m.tflite", tmp_path / "b" / "m.tflite"]
    ended = here("bench", *words, *QUICK)
    assert ended.code == 0, ended.err
    first, second = ended.out.splitlines()[1:3]
    assert "a/m.tflite" in first and "b/m.tflite" in second and len(first) == len(second)
