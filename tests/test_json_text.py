"""JSON that anybody may have written."""
import pytest

from tfold import json_text


def nested(levels):
    return "[" * levels + "]" * levels


def test_what_it_says():
    assert json_text.parse('{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}
    assert json_text.parse(b'"\xc3\xbc"') == "ü"
    json_text.parse(nested(json_text.DEEPEST - 1))


@pytest.mark.parametrize("levels", [json_text.DEEPEST + 1, 999, 100_000])
def test_what_is_nested_too_deeply(levels):
    with pytest.raises(ValueError, match="nested more than 200 levels"):
        json_text.parse(nested(levels))
    with pytest.raises(ValueError, match="nested more than 200 levels"):
        json_text.parse('{"a":' * levels + "1" + "}" * levels)


@pytest.mark.parametrize("text", ["", "{", b"\xff\xfe", "nonsense"])
def test_what_is_no_json(text):
    with pytest.raises(ValueError):
        json_text.parse(text)
