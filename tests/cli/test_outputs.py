"""Files appear whole or not at all, and what was there stays unless --force says otherwise."""

import os
import resource
import shutil
import signal

import pytest

COMMANDS = [("fold", ".keras"), ("export", ".tflite"), ("equalize", ".keras")]


@pytest.fixture
def run(here, files):
    """Runs a command with the options that it cannot do without: run("fold", model, "-o", …)."""

    def run(command, *words):
        more = ["--representative", files / "images.npz"] if command == "equalize" else []
        return here(command, *words, *more)

    return run


@pytest.mark.parametrize("command, suffix", COMMANDS)
def test_an_existing_output_needs_force(run, files, tmp_path, command, suffix):
    output = tmp_path / f"out{suffix}"
    output.write_text("precious")
    run(command, files / "small.keras", "-o", output).refused("not overwritten", "--force")
    assert output.read_text() == "precious"
    assert run(command, files / "small.keras", "-o", output, "--force").code == 0
    assert output.stat().st_size > 1000
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


@pytest.mark.parametrize("command, suffix", COMMANDS)
def test_an_existing_output_survives_a_run_that_fails(run, files, tmp_path, command, suffix):
    output = tmp_path / f"out{suffix}"
    output.write_text("precious")
    for name in ("text.keras", "nan.keras", *(["chaotic.keras"] if command == "export" else [])):
        assert run(command, files / name, "-o", output, "--force").code in (1, 3)
        assert output.read_text() == "precious"
        assert [path.name for path in tmp_path.iterdir()] == [output.name]


@pytest.mark.parametrize("command, suffix", COMMANDS)
def test_outputs_that_cannot_be_are_refused_before_the_work(run, files, tmp_path, unchanged, command, suffix):
    source = files / "missing.keras"  # which nobody has looked for yet
    run(command, source, "-o", tmp_path / "none" / f"f{suffix}").refused("folder must exist", "mkdir -p")
    run(command, source, "-o", tmp_path / "f.h5").refused(f"The output is a {suffix} file", f"f{suffix}")
    run(command, source, "-o", tmp_path / "f").refused(f"f{suffix}")
    run(command, source, "-o", tmp_path).refused("a directory")
    unchanged()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(here, files, tmp_path):
    tmp_path.chmod(0o500)
    here("fold", files / "small.keras", "-o", tmp_path / "f.keras").refused("must be writable")
    tmp_path.chmod(0o700)


def test_the_input_is_never_overwritten(run, files, tmp_path):
    shutil.copy(files / "small.keras", tmp_path / "m.keras")
    (tmp_path / "link.keras").symlink_to("m.keras")
    before = (tmp_path / "m.keras").read_bytes()
    for output in (tmp_path / "m.keras", tmp_path / "link.keras"):
        for command in ("fold", "equalize"):
            run(command, tmp_path / "m.keras", "-o", output, "--force").refused("input is never overwritten")
    assert (tmp_path / "m.keras").read_bytes() == before


def test_a_full_disk_leaves_nothing(process, files, tmp_path):
    output = tmp_path / "out.keras"
    output.write_text("precious")

    def small_files_only():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    ended = process("fold", files / "small.keras", "-o", output, "--force", preexec_fn=small_files_only)
    ended.refused("larger than files may be here", "Make room")
    assert output.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


@pytest.fixture
def signalled(files, tmp_path):
    """A fold in whose middle of writing the layer Signalled sends the signal that $SIGNAL names."""
    return ["fold", files / "signalled.keras", "-o", tmp_path / "f.keras", "--custom-objects", "my_layers", "--json"]


def stopped(ended, code, tmp_path):
    assert ended.code == code
    assert ended.document["kind"] == "error" and ended.document["exit_code"] == code
    assert ended.err.endswith("tfold: stopped; nothing half-written is left\n") and "Traceback" not in ended.err
    assert not list(tmp_path.iterdir())


def test_ctrl_c_while_the_file_is_written_leaves_nothing(process, signalled, files, tmp_path):
    stopped(process(*signalled, cwd=files, env={"SIGNAL": "SIGINT"}), 130, tmp_path)


def test_sigterm_while_the_file_is_written_leaves_nothing(here, signalled, files, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(files)
    monkeypatch.setenv("SIGNAL", "SIGTERM")
    before = signal.getsignal(signal.SIGTERM)
    stopped(here(*signalled), 143, tmp_path)
    assert signal.getsignal(signal.SIGTERM) == before
