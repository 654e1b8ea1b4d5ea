"""Help answers at once, because nothing heavy is imported, and says how to go on."""

import subprocess
import sys
from pathlib import Path

import pytest

from tfold.cli import COMMANDS
from tfold.version import __version__

HEAVY = ("tensorflow", "keras", "numpy", "rich", "jax", "ai_edge_litert", "tflite_runtime")
SCRIPT = Path(sys.executable).with_name("tfold")


def imported(importtime):
    """Top-level packages in the report of `python -X importtime`."""
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in importtime.splitlines()}


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--version"], ["fold", "--help"], ["bench", "-h"]])
def test_help_and_version_import_nothing_heavy(words):
    done = subprocess.run([sys.executable, "-X", "importtime", "-m", "tfold", *words], capture_output=True, text=True)
    assert done.returncode == 0
    assert "click" in imported(done.stderr)
    assert not imported(done.stderr) & set(HEAVY)
    assert ("Usage: tfold" in done.stdout) != (done.stdout == f"tfold, version {__version__}\n")


def test_help_of_every_command_imports_nothing_heavy(process):
    loop = "import sys; from tfold.cli import COMMANDS, main\n" \
        "for name in COMMANDS: main([name, '--help'], standalone_mode=False)\n" \
        f"print(set({HEAVY}) & set(sys.modules), file=sys.stderr)"
    done = process(code_for_python=loop)
    assert done.err == "set()\n"
    for name in COMMANDS:
        assert f" {name} [OPTIONS]" in done.out
    assert done.out.count("--json") >= len(COMMANDS)


@pytest.mark.skipif(not SCRIPT.exists(), reason="tfold is not installed as a script here")
def test_the_installed_script_lists_every_command():
    out = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, check=True).stdout
    for name, line in COMMANDS.items():
        assert f"  {name} " in out and line in out


def test_without_a_command_help_is_shown(here):
    ended = here()
    assert "Usage: tfold" in ended.out + ended.err and ended.code in (0, 2)


def test_unknown_commands_and_options_are_usage_errors(here):
    here("inspekt").misused("No such command 'inspekt'", "Did you mean 'inspect'?")
    here("xyz").misused("No such command 'xyz'")
    here("fold").misused("Missing argument 'MODEL'")
    here("fold", "m.keras").misused("-o OUTPUT or --dry-run")
    here("fold", "m.keras", "-o", "f.keras", "--dry-run").misused("-o OUTPUT or --dry-run")
    here("export", "m.keras").misused("Missing option '-o'")
    here("fold", "-m.keras", "--dry-run").misused("No such option")
    here("bench").misused("Missing argument 'MODELS...'")


@pytest.mark.parametrize("threshold", ["0", "1", "-1", "2", "high"])
def test_the_threshold_lies_between_0_and_1(here, threshold):
    here("inspect", "m.keras", "--threshold", threshold).misused("--threshold", threshold)


def test_the_policy_is_one_of_three(here):
    here("inspect", "m.keras", "--policy", "cheap").misused("'cheap'", "latency", "macs", "always")


def test_a_usage_error_is_a_document_too(here):
    ended = here("fold", "m.keras", "--json", "--policy", "cheap")
    assert (ended.code, ended.document["kind"], ended.document["exit_code"]) == (2, "error", 2)
    assert "cheap" in ended.document["error"]
