"""JSON that anybody may have written, damaged in every way."""
import json

import pytest

from tfold.documents import DEEPEST, LARGEST, DamagedError, parse, read_document, require

DAMAGED = {
    "no JSON": b'{"depth": ',
    "no JSON ": b"",
    "no UTF-8": b'{"depth": "\xff"}',
    "no object": b"[1, 2]",
    "nested more than 200 levels": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested more than 200 levels ": b'{"a":' * 100_000,
    "two entries 'depth'": b'{"trial": {"depth": 1, "depth": 2}}',
    "no JSON (Exceeds": b'{"depth": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("why", DAMAGED)
def test_what_is_damaged_is_one_kind_of_error(tmp_path, why):
    path = tmp_path / "outcome.json"
    path.write_bytes(DAMAGED[why])
    with pytest.raises(DamagedError, match="codec" if why == "no UTF-8" else why.strip().replace("(", r"\(")):
        read_document(path)


def test_a_huge_file_is_not_read(tmp_path):
    with (tmp_path / "outcome.json").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(DamagedError, match="67,108,865 bytes"):
        read_document(tmp_path / "outcome.json")


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_document(tmp_path / "none.json")
    with pytest.raises(DamagedError, match="no file"):
        read_document(tmp_path)


SHAPE = {"depth": int, "score": float, "macs": (int, None), "alphas": {str: float}, "history": [{"loss": float}]}
GOOD = {"depth": 3, "score": 1, "macs": None, "alphas": {"a": 0.5}, "history": [{"loss": 0.1, "more": "x"}]}


@pytest.mark.parametrize("changed, words", [
    ({}, None), ({"macs": 7, "history": [], "alphas": {}, "beside": [1]}, None),
    ({"depth": 3.5}, "depth is '3.5'"), ({"depth": True}, "depth is 'True'"), ({"depth": "3"}, "depth is '3'"),
    ({"score": float("nan")}, "score is 'nan'"), ({"score": float("inf")}, "score"), ({"macs": "x"}, "macs is 'x'"),
    ({"alphas": [0.5]}, "alphas is"), ({"alphas": {"a": None}}, "a is 'None'"), ({"history": {}}, "history is"),
    ({"history": [{}]}, "history has no loss"), ({"history": [[1]]}, "history is"),
])
def test_shapes(changed, words):
    value = json.loads(json.dumps({**GOOD, **changed}))
    if words is None:
        require(value, SHAPE)
        return
    with pytest.raises(DamagedError, match=words):
        require(value, SHAPE)


def test_an_entry_that_is_missing_is_named():
    for name in SHAPE:
        with pytest.raises(DamagedError, match=f"it has no {name}"):
            require({key: value for key, value in GOOD.items() if key != name}, SHAPE)


def test_what_a_text_says():
    assert parse('{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}
    assert parse(b'"\xc3\xbc"') == "ü"
    parse("[" * (DEEPEST - 1) + "]" * (DEEPEST - 1))


@pytest.mark.parametrize("levels", [DEEPEST + 1, 999])
def test_what_python_would_still_read(levels):
    for text in ("[" * levels + "]" * levels, '{"a":' * levels + "1" + "}" * levels):
        with pytest.raises(DamagedError, match="nested more than 200 levels"):
            parse(text)
