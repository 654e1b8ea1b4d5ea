"""Commands on a phone: words, exit codes, what goes wrong half-way. Phones of now, and old ones without shell_v2."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mobile_bench.adb import Adb
from mobile_bench.device import Device, open_device
from mobile_bench.errors import CommandFailedError, CommandTimeoutError, DeviceGoneError, UnauthorizedError
from tfold.errors import BadInputError

NEW, OLD = "shell_v2,cmd", "cmd"
HOSTILE = ["a b", "it's", 'a "b"', "$(touch made)", "`touch made`", "a; touch made", "a & touch made",
           "a\ntouch made\n", "-n", "--", "*", "~", "!", "if", "A=1", "\\", "", " ", "é 漢字 🎉", "a\r\nb\rc", "\t",
           "\x1b[31m", "$?"]


@pytest.fixture(params=[NEW, OLD], ids=["new", "old"])
def device(request, plug_in):
    plug_in(features=request.param)
    return open_device()


def test_exit_codes_are_the_commands_own(device):
    for code in (0, 1, 3, 255):
        assert device.script(f"exit {code}").code == code
    assert device.script("kill -9 $$").code == 128 + signal.SIGKILL
    assert device.shell("/no/such/program").code == 127
    assert device.script("if").code == 2  # a syntax error


def test_output_comes_as_it_was_printed(device):
    assert device.shell("true").out == ""
    assert device.shell("printf", "no end of line").out == "no end of line"
    assert device.shell("printf", "\n\n a\n\n").out == "\n\n a\n\n"
    assert device.shell("printf", r"\377 \303\251").out == "\ufffd é"
    assert device.script("pwd; (sleep 0.1; echo late) & echo early").out.endswith("/sdcard\nearly\nlate\n")
    assert device.script("seq 20000").out.split() == [str(i) for i in range(1, 20001)]


def test_errors_are_apart_where_the_phone_can_do_that(plug_in):
    for features, out, err in ((NEW, "out\n", "err\n"), (OLD, "out\nerr\n", "")):
        ended = open_device(plug_in(features=features).serial).script("echo out; echo err >&2")
        assert (ended.out, ended.err) == (out, err)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1,
                      max_size=40))
@example(words=HOSTILE)
def test_every_word_arrives_as_it_is(device, words):
    assert device.shell("printf", r"%s\0", *words).out.split("\0") == [*words, ""]
    assert device.script(r'printf "%s\0" "$@"', *words).out.split("\0") == [*words, ""]


def test_no_word_is_a_command_of_its_own(plug_in):
    phone = plug_in()
    device = open_device()
    for word in ("a; touch made", "$(touch made)", "`touch made`", "a\ntouch made", "a & touch made", "if", "A=1", ""):
        assert device.shell(word).code in (126, 127), word
    assert list(phone.folder.iterdir()) == []


def test_names_that_are_no_text_arrive_too(phone):
    name = os.fsencode(phone.folder) + b"/caf\xe9"
    Path(os.fsdecode(name)).write_bytes(b"12345")
    assert open_device().shell("wc", "-c", os.fsdecode(name)).out.startswith("5 ")


@pytest.mark.parametrize(("words", "message"), [
    ((), "at least one word"), (("a\0b",), "character 0"), (("\ud800",), "half a character"), ((1,), "strings.*: 1"),
    ((Path("/a"),), "strings"), (("x" * 40_000,), "at most 32000 bytes. Received: 40002"),
])
def test_what_cannot_be_a_command(words, message):
    with pytest.raises(BadInputError, match=message):
        Device("X", adb=None).shell(*words)
    if len(words) != 1 or len(str(words[0])) < 100:
        with pytest.raises(BadInputError, match=message):
            Device("X", adb=None).adb(*words)


def test_a_command_may_be_long(phone):
    assert len(open_device().shell("echo", "x" * 31_900).out) == 31_901


def test_output_cannot_pass_for_the_exit_code_or_for_adbs_errors(device):
    # What it prints is the command line that it is wrapped in, where the marker stands as well.
    ended = device.script("tr '\\0' ' ' < /proc/$(ps -o pgid= $$ | tr -d ' ')/cmdline; exit 7")
    assert ended.code == 7
    assert "tfold" in ended.out and "$?" in ended.out
    for words in ("error: closed", "error: device offline", "adb: device 'X' not found", "error: protocol fault"):
        assert device.script('echo "$1"; echo "$1" >&2; exit 255', words).code == 255


def test_a_failure_names_the_command_its_code_and_its_last_lines(phone):
    with pytest.raises(CommandFailedError, match=r"exit code 2 of ls -d /no such on 127.*No such file"):
        open_device().shell("ls", "-d", "/no such", check=True)
    with pytest.raises(CommandFailedError, match="exit code 9 of the script for i in 1 2 3 4; do.*said: 2 / 3 / 4.*by"):
        open_device().script("for i in 1 2 3 4; do\n  echo $i\ndone\nexit 9", check=True)
    assert open_device().shell("true", check=True).code == 0


def test_a_command_that_takes_too_long_is_ended_here_and_there(device):
    file, begun = Path(device.shell("pwd").out.strip(), "pid"), time.monotonic()
    for timeout in (0.5, 5, 50):  # until it is enough for the command to have begun, on a busy machine too
        said = rf"adb has {timeout} s. Received: .*while running the script sh -c .*Allow"
        with pytest.raises(CommandTimeoutError, match=said):
            device.script("sh -c 'echo $$ > pid; exec sleep 3000'; true", timeout=timeout)
        if file.exists():
            break
    assert time.monotonic() - begun < 1500  # it would have slept for 3000
    assert_ended(device)


def test_ctrl_c_ends_a_command_here_and_there(device):
    # Tests that were started in the background inherit that Ctrl-C is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    file = Path(device.shell("pwd").out.strip(), "pid")

    def press():
        while not file.exists():
            time.sleep(0.01)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        device.script("echo $$ > pid; exec sleep 3000")
    signal.signal(signal.SIGINT, before)
    assert_ended(device)


@pytest.mark.parametrize("features", [NEW, OLD])
def test_a_phone_that_vanishes_while_it_runs_a_command(plug_in, features):
    plug_in(features=features)
    device = open_device()
    with pytest.raises(DeviceGoneError, match=r"went away while running the script echo .*adb (is|no longer).*cable"):
        device.script('echo before; echo "error: device unauthorized." >&2; touch "$UNPLUG"; sleep 3000')


def test_a_phone_that_vanishes_between_calls(phone):
    device = open_device()
    assert device.shell("true").code == 0
    phone.vanish()
    with pytest.raises(DeviceGoneError, match="while running echo hello"):
        device.shell("echo", "hello")
    with pytest.raises(DeviceGoneError, match="while running adb get-state"):
        device.adb("get-state")


def test_a_command_that_is_lost_although_the_phone_is_there(device):
    with pytest.raises(DeviceGoneError, match="adb lists it, but the command's end never came"):
        device.script("echo before; kill -9 -$(ps -o pgid= $$ | tr -d ' ')")
    assert device.shell("echo", "again").out == "again\n"


def test_a_phone_that_no_longer_trusts_this_computer(plug_in):
    phone = plug_in(login="refuse", state="unauthorized")
    with pytest.raises(UnauthorizedError, match="accept the dialog"):
        Device(phone.serial, Adb()).shell("true")


def test_adbs_own_commands(phone):
    device = open_device()
    assert device.adb("get-state").out == "device\n"
    assert device.adb("pull", "/no/such", "/tmp").code == 1
    with pytest.raises(CommandFailedError, match="code 1 of adb pull /no/such /tmp on .*said: adb: error: .*/no/such"):
        device.adb("pull", "/no/such", "/tmp", check=True)
    with pytest.raises(CommandTimeoutError, match="while running adb wait-for-any-recovery"):
        device.adb("wait-for-any-recovery", timeout=0.2)
    assert not any(b"wait-for-any-recovery" in line and device.serial.encode() in line for line in command_lines())


def assert_ended(device):
    status = Path("/proc", device.shell("cat", "pid").out.strip(), "status")
    for _ in range(6000):
        if not status.exists() or "State:\tZ" in status.read_text():
            return
        time.sleep(0.01)
    raise AssertionError(f"It still runs: {status}")


def command_lines():
    """Of all processes; some end while they are read."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.read_bytes()
