"""Raw blocks in a file: kept, continued, and nobody else's file is ever changed."""

import json

import pytest

from tfold.errors import BadInputError
from tfold.measure import bench
from tfold.measure.block import Block
from tfold.measure.record import Record
from tfold.measure.rounds import measure_in_turns
from tfold.measure.schedule import Schedule

KEY = {"device": "host", "threads": 1}
PLAN = {"models": ["a", "b"], "subjects": [0, 1], "about": {"paths": ["here"]}}
SHORT = {"runs": 3, "min_time": 0.001, "warmup": 0.001}


class Stopped(Exception):
    pass


def measure(path, blocks, stop_after=None, plan=PLAN, key=KEY):
    taken = []

    def take(model, turn):
        if len(taken) == stop_after:
            raise Stopped
        taken.append(model)
        return Block.of([10.0 * model + len(taken)], 2, 5)

    with Record(path) as record:
        return taken, measure_in_turns((0, 1), take, Schedule(blocks=blocks), page=record.page(key, plan))


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_interrupted_run_goes_on_where_it_ended(tmp_path):
    path = tmp_path / "blocks.jsonl"
    with pytest.raises(Stopped):
        measure(path, 4, stop_after=7)  # settle 2, rounds 0 and 1, and one block of round 2
    assert [line["kind"] for line in lines(path)] == ["plan", "round", "round"]
    taken, rounds = measure(path, 4)
    assert taken == [0, 1, 0, 1, 1, 0]  # settle, then rounds 2 and 3
    assert rounds.earlier == 2
    assert [[b.value_ms for b in blocks] for blocks in rounds.blocks] == [[3, 6, 3, 6], [14, 15, 14, 15]]
    assert rounds.blocks[0][0] == Block.of([3.0], 2, 5)
    assert [line["round"] for line in lines(path)[1:]] == [0, 1, 2, 3]
    taken, again = measure(path, 4)
    assert taken == [] and again.blocks == rounds.blocks


def test_a_line_that_was_cut_counts_as_not_written(tmp_path):
    path = tmp_path / "blocks.jsonl"
    measure(path, 2)
    whole = path.read_bytes()
    for rest in (b'{"ki', b'{"kind": "round", "key": {"dev', whole.splitlines()[-1]):
        path.write_bytes(whole + rest)
        taken, _ = measure(path, 2)
        assert taken == [] and path.read_bytes() == whole


@pytest.mark.parametrize("content", [
    b"TFL3 not a record", b'{"a": 1}', b'{"a": 1}\n', b"[]\n", b"\x00\xff\n", b'{"kind": "other", "key": {}}\n',
    b'{"kind": "plan", "key": {}, "version": 2}\n',
    b'{"kind": "round", "key": {}, "blocks": [{"value_ms": -1, "runs": 1}]}\n',
    b'{"kind": "round", "key": {}, "blocks": [{"value": 1}]}\n', b'{"kind": "round", "key": {}}\n',
])
def test_other_files_are_refused_and_left_as_they_are(tmp_path, content):
    path = tmp_path / "mine"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match="mine.*left as it is"):
        measure(path, 2)
    assert path.read_bytes() == content


def test_another_measurement_needs_another_file(tmp_path):
    path = tmp_path / "blocks.jsonl"
    measure(path, 2)
    before = path.read_bytes()
    with pytest.raises(BadInputError, match="with other models"):
        measure(path, 2, plan={**PLAN, "models": ["a", "c"]})
    assert path.read_bytes() == before
    measure(path, 2, plan={**PLAN, "about": {"paths": ["moved"]}})  # the same files elsewhere are the same files
    taken, _ = measure(path, 2, key={"device": "phone", "threads": 1})  # a part of its own
    assert len(taken) == 6


def test_a_round_of_another_length_is_no_round(tmp_path):
    path = tmp_path / "blocks.jsonl"
    measure(path, 1)
    short = lines(path)[1]
    short["blocks"].pop()
    with open(path, "a") as file:
        file.write(json.dumps(short) + "\n")
    with pytest.raises(BadInputError, match="every round once, with a block for each model"):
        measure(path, 3)


@pytest.mark.parametrize("change", [
    lambda lines: lines[1:], lambda lines: [*lines[:2], *lines[1:]], lambda lines: [lines[0], *lines[2:]],
    lambda lines: [*lines[:2], lines[2].replace('"runs": 2', '"runs": true')],
    lambda lines: [*lines[:2], lines[2].replace('"median"', '"mode"')],
    lambda lines: [*lines[:2], lines[2].replace('"round": 1, ', "")],
    lambda lines: [*lines[:2], lines[2].replace('"value_ms": ', '"value_ms": ' + 300 * "9")],
    lambda lines: [*lines[:2], lines[2][:-1] + ', "deep": ' + 5000 * "[" + 5000 * "]" + "}"],
])
def test_a_record_that_somebody_has_edited_is_not_believed(tmp_path, change):
    path = tmp_path / "blocks.jsonl"
    measure(path, 2)
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    before = path.read_bytes()
    with pytest.raises(BadInputError, match="left as it is"):
        measure(path, 2)
    assert path.read_bytes() == before


def test_an_error_says_what_is_kept(models, tmp_path, monkeypatch):
    from tfold.errors import TfoldError
    from tfold.measure import compare

    path, files = tmp_path / "blocks.jsonl", [models / "conv.tflite"]
    bench(files, blocks=1, record=path, **SHORT)
    path.write_text(path.read_text().replace('"blocks": 1,', '"blocks": 2,', 1))
    monkeypatch.setattr(compare, "Worker", Broken)
    with pytest.raises(TfoldError, match=r"It broke. 1 rounds are kept in .*blocks.jsonl: the same command goes on"):
        bench(files, blocks=2, record=path, **SHORT)


class Broken:
    def __init__(self, *_):
        from tfold.errors import TfoldError

        raise TfoldError("It broke.")


def test_one_run_at_a_time(tmp_path):
    with Record(tmp_path / "blocks.jsonl"), pytest.raises(BadInputError, match="another run"), \
            Record(tmp_path / "blocks.jsonl"):
        pass


def test_no_place_for_a_record(tmp_path):
    for path in (tmp_path, tmp_path / "missing" / "blocks.jsonl"):
        with pytest.raises(BadInputError, match=r"[Aa] record (is|must)"), Record(path):
            pass


def test_bench_keeps_and_continues_its_blocks(models, tmp_path):
    path, files = tmp_path / "blocks.jsonl", [models / "conv.tflite", models / "two.tflite"]
    said = []
    first = bench(files, blocks=6, record=path, **SHORT)
    again = bench(files, blocks=6, record=path, progress=lambda *event: said.append(event), **SHORT)
    assert again.measurements == first.measurements and again.ratios == first.ratios
    assert again.comparisons[0].notes == ("6 of 6 rounds are of an earlier run",)
    assert said == [(20, 20, "done")]
    plan, *rounds = lines(path)
    assert plan["subjects"] == [0, 1, 0] and len(rounds) == 6
    assert all(len(block["samples_ms"]) >= 3 for line in rounds for block in line["blocks"])
    with pytest.raises(BadInputError, match="other models"):
        bench(reversed(files), blocks=6, record=path, **SHORT)
    with pytest.raises(BadInputError, match="other schedule"):
        bench(files, blocks=6, record=path, **{**SHORT, "runs": 4})
