"""Outputs to read: those that the real benchmark_model has printed, and any others, printed as it would."""

import importlib.util
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def captured():
    """A function: the text of a captured output, and the exit code that is noted in its last line."""

    def read(name):
        text = (HERE / "captured" / name).read_bytes().decode()
        noted = re.search(r"^rc=([0-9]+)\n\Z", text, re.MULTILINE)
        return (text[:noted.start()], int(noted[1])) if noted else (text, 0)

    return read


@pytest.fixture(scope="session")
def tool():
    """The module `as_the_tool_prints`."""
    found = importlib.util.spec_from_file_location("as_the_tool_prints", HERE / "as_the_tool_prints.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module
