"""quiet(): what C++ prints on the descriptors is kept off them, and comes back with an error."""

import logging
import os
import subprocess
import sys

import pytest

from tfold.quiet import quiet


def test_both_descriptors_are_silent_and_come_back():
    code = """if True:
        import os, sys
        from tfold.quiet import quiet
        print("before")
        with quiet():
            os.write(1, b"from C++")
            os.write(2, b"from C++")
            print("from Python")
            print("from Python", file=sys.stderr)
        print("after")
        os.write(2, b"after")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("before\nafter\n", "after")


def test_an_error_brings_the_last_lines_along(capfd):
    with pytest.raises(ValueError) as raised, quiet():
        for number in range(9):
            os.write(2, b"line %d\n" % number)
        raise ValueError("no")
    [note] = raised.value.__notes__
    assert note == "Printed before the error:\nline 4\nline 5\nline 6\nline 7\nline 8"
    assert capfd.readouterr() == ("", "")


def test_an_error_without_noise_has_no_note():
    with pytest.raises(ValueError) as raised, quiet():
        raise ValueError("no")
    assert not hasattr(raised.value, "__notes__")


def test_it_can_be_nested_and_leaks_no_descriptor(capfd):
    before = os.listdir("/dev/fd") if os.path.isdir("/dev/fd") else []
    for _ in range(3):
        with quiet(), quiet():
            os.write(1, b"x")
    assert before == [] or len(os.listdir("/dev/fd")) == len(before)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_closed_descriptors_stay_closed(tmp_path, closed):
    code = "from tfold.quiet import quiet\nwith quiet(): pass\n" \
        "import os, sys\ntry: os.fstat(%d)\nexcept OSError: open(sys.argv[1], 'w').close()" % closed[-1]
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "still closed"],
                          preexec_fn=lambda: [os.close(number) for number in closed])
    assert done.returncode == 0
    assert (tmp_path / "still closed").exists()


def test_log_handlers_made_inside_do_not_keep_the_closed_stream(capfd):
    with quiet():
        handler = logging.StreamHandler()  # as TensorFlow's logger does when it is first used
        logging.getLogger("made inside").addHandler(handler)
    logging.getLogger("made inside").warning("heard")
    assert "Logging error" not in capfd.readouterr().err
    assert not handler.stream.closed
