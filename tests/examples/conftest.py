"""The examples as modules: what can be tried without a process of its own."""
import importlib
import pathlib
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch):
    """A function: name of a script in examples/ → its module. They are forgotten again: their names are common ones."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name in {path.stem for path in EXAMPLES.glob("*.py")}:
            del sys.modules[name]


@pytest.fixture
def ran(example, monkeypatch, tmp_path, capsys):
    """A function that calls an example's main as a command in a folder of its own, and returns what it says."""
    def ran(name, *options):
        module = example(name)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, options)])
        example("common").run(module.main)
        return capsys.readouterr().out

    return ran


@pytest.fixture
def called(example, monkeypatch, tmp_path, capsys):
    """A function that calls an example's main as a command in a folder of its own.

    It returns what the command says on stderr, and as its exit code or last sentence.
    """
    def called(name, *options):
        module = example(name)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, options)])
        with pytest.raises(SystemExit) as found:
            example("common").run(module.main)
        return capsys.readouterr().err, found.value.code

    return called
