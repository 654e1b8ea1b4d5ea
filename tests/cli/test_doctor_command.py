"""tfold doctor: what is there, and what is missing and how to get it."""

import os
import sys

import pytest

from tfold.cli.doctor_command import FOR_PHONES, NEEDED, OPTIONAL, _numbers, _python
from tfold.measure import available_runtimes


def test_all_that_is_needed_is_here(process):
    ended = process("doctor", "--json")
    assert ended.code == 0, ended
    document = ended.document
    assert document["kind"] == "doctor" and document["missing"] == []
    assert set(document["packages"]) == {*NEEDED, *OPTIONAL}
    assert document["runtimes"]["litert"]["version"]
    assert ended.err.splitlines()[-1].endswith("next: tfold demo")
    assert "✓ tensorflow" in ended.err


def installed_elsewhere(folder, *names):
    """A folder for PYTHONPATH that holds no more than these packages of ours."""
    for name in names:
        package = __import__(name)
        (folder / name).symlink_to(os.path.dirname(package.__file__))
    return {"PYTHONPATH": str(folder)}


def test_what_is_missing_is_marked_and_has_exit_code_1(process, tmp_path):
    """A Python that sees tfold, click and NumPy, and nothing else that is installed."""
    only = installed_elsewhere(tmp_path, "tfold", "click", "numpy")
    ended = process(code_for_python="import sys; sys.argv[1:] = ['doctor', '--json']\n"
                    f"sys.path = [path for path in sys.path if 'site-packages' not in path] + [{str(tmp_path)!r}]\n"
                    "from tfold.cli import main; main()", env=only, cwd=tmp_path)
    assert ended.code == 1, ended
    assert {"tensorflow", "keras", "runtime litert"} <= set(ended.document["missing"])
    for words in ("✗ tensorflow", "pip install 'tensorflow>=", "✗ runtime litert", "pip install ai-edge-litert"):
        assert words in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.skipif(not available_runtimes()["litert"].version, reason="needs the runtime")
def test_a_runtime_that_does_not_start_is_said_to_be_broken(process, tmp_path):
    (tmp_path / "ai_edge_litert").mkdir()
    (tmp_path / "ai_edge_litert" / "__init__.py").write_text("")
    (tmp_path / "ai_edge_litert" / "interpreter.py").write_text("raise ImportError('made for another NumPy')\n")
    ended = process("doctor", "--json", env={"PYTHONPATH": str(tmp_path)})
    assert ended.code == 1
    assert ended.document["missing"] == ["runtime litert"]
    assert "made for another NumPy" in ended.document["runtimes"]["litert"]["missing"]


def adb_that(folder, script):
    adb = folder / "adb"
    adb.write_text(f"#!/bin/sh\n{script}\n")
    adb.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_adb_is_shown_with_its_version(process, tmp_path):
    said = "Android Debug Bridge version 1.0.41\\nVersion 34.0.5-debian\\nInstalled as /usr/bin/adb\\n"
    ended = process("doctor", "--json", env=adb_that(tmp_path, f"printf '{said}'"))
    assert ended.document["adb"] == {"path": str(tmp_path / "adb"), "version": "34.0.5-debian"}
    assert "✓ adb" in ended.err


def test_adb_that_fails_is_no_reason_to_fail(process, tmp_path):
    ended = process("doctor", "--json", env=adb_that(tmp_path, "exit 7"))
    assert ended.code == 0
    assert ended.document["adb"]["version"] is None


def test_without_adb_the_way_to_it_is_named(process, tmp_path):
    ended = process("doctor", env={"PATH": str(tmp_path), "TFOLD_ADB": str(tmp_path / "adb")})
    assert ended.code == 0 and "apt install adb" in ended.out and FOR_PHONES in ended.out


def test_versions():
    assert _numbers("2.21.0rc1") == _numbers("2.21") > _numbers("2.9.3")
    assert _python((3, 11)) == _python((3, 13)) == ""
    assert "3.11 to 3.13" in _python((3, 14)) and "not tried" in _python((3, 10))
    assert _python(sys.version_info[:2]) == "" or sys.version_info >= (3, 14)
