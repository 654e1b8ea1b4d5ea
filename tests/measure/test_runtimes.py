import subprocess
import sys
from pathlib import Path

import numpy
import pytest

import tfold
from tfold.errors import BadInputError
from tfold.measure import RUNTIMES, available_runtimes, describe_machine, resolve


def test_litert_is_a_dependency_and_so_is_found():
    found = available_runtimes()
    assert list(found) == list(RUNTIMES)
    assert found["litert"].version[0].isdigit()
    assert resolve("litert") == ("litert",)


def test_all_is_every_runtime_found():
    found = available_runtimes()
    assert resolve("all") == tuple(name for name in RUNTIMES if found[name].version)


@pytest.mark.parametrize("name", ["tensorrt", "", "LiteRT"])
def test_an_unknown_runtime_is_refused_with_the_known_ones(name):
    with pytest.raises(BadInputError, match="litert, tflite-runtime, or all.*Received: " + repr(name)):
        resolve(name)


@pytest.fixture
def bare_python(tmp_path):
    """Runs code in a Python that really lacks the runtimes: site-packages is a folder of links to all the rest."""
    for entry in [*Path(numpy.__path__[0]).parent.iterdir(), Path(tfold.__path__[0])]:
        if not entry.name.startswith(("ai_edge_litert", "tflite_runtime")) and not (tmp_path / entry.name).exists():
            (tmp_path / entry.name).symlink_to(entry)

    def run(code: str) -> str:
        code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"
        done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_missing_runtime_says_how_to_get_it(bare_python):
    output = bare_python(
        "from tfold.measure import available_runtimes, resolve\n"
        "print([found.version for found in available_runtimes().values()])\n"
        "for name in ('litert', 'tflite-runtime', 'all'):\n"
        "    try: resolve(name)\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
    )
    versions, litert, tflite, both = output.splitlines()
    assert versions == "[None, None]"
    assert litert == "RuntimeNotFoundError Runtime litert: not installed: pip install ai-edge-litert."
    if sys.version_info[:2] <= (3, 11):
        assert tflite.endswith("not installed: pip install tflite-runtime==2.14.0 'numpy<2'.")
    assert "litert" in both and "tflite-runtime" in both


def test_nothing_heavy_is_imported():
    heavy = ["tensorflow", "keras", "ai_edge_litert", "tflite_runtime", "scipy"]
    code = (
        "import sys, tfold.measure, tfold.measure.worker\n"
        "tfold.measure.available_runtimes()\n"
        f"print(*(name for name in {heavy} if name in sys.modules))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == []


def test_the_machine_is_described():
    machine = describe_machine()
    assert machine["cpu"] and machine["os"]
    assert machine["cores"] >= 1
    assert machine["python"] == ".".join(map(str, sys.version_info[:3]))
