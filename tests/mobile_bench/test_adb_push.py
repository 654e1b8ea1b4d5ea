"""Files to a phone and back: whole or not at all, and the same here and there."""

import os
import threading

import pytest

from mobile_bench.content import read_content
from mobile_bench.device import open_device
from mobile_bench.errors import CommandFailedError, DeviceGoneError, PushError, ReadOnlyError, StorageFullError
from mobile_bench.transfer import read_df
from tfold.errors import BadInputError

NAMES = ["it's a \"b\"", "$(touch made) `touch made`; touch made", "-x", "a\nb", "*é漢🎉", "%s,0 caf\udce9"]


@pytest.fixture
def local(tmp_path):
    path = tmp_path / "local.bin"
    path.write_bytes(bytes(range(256)) * 1000 + b"\r\n\0")
    return path


def test_there_and_back(phone, local, tmp_path):
    device, remote = open_device(), phone.folder / "new" / "folder" / "file"
    device.push(local, str(remote))
    assert remote.read_bytes() == local.read_bytes()
    assert remote.stat().st_mode & 0o777 == 0o644
    device.pull(str(remote), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == local.read_bytes()
    assert os.listdir(remote.parent) == ["file"]


def test_empty_files(phone, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    device = open_device()
    device.push(tmp_path / "empty", f"{phone.folder}/empty")
    device.pull(f"{phone.folder}/empty", tmp_path / "back")
    assert (phone.folder / "empty").read_bytes() == (tmp_path / "back").read_bytes() == b""


def test_a_program_can_be_run(phone, tmp_path):
    (tmp_path / "tool").write_text("#!/bin/sh\necho it runs\n")
    device, remote = open_device(), f"{phone.folder}/tool"
    device.push(tmp_path / "tool", remote)
    assert device.shell(remote).code == 126
    device.push(tmp_path / "tool", remote, executable=True)  # replaces the other
    assert device.shell(remote).out == "it runs\n"


def test_hostile_names(phone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    device = open_device()
    for name in NAMES:
        with open(name, "wb") as file:
            file.write(os.fsencode(name))
        device.push(name, f"{phone.folder}/{name}")
        device.pull(f"{phone.folder}/{name}", f"{name}-back")
        with open(f"{name}-back", "rb") as file:
            assert file.read() == os.fsencode(name)
    assert sorted(os.listdir(phone.folder)) == sorted(NAMES)
    assert "made" not in os.listdir()


@pytest.mark.parametrize("remote", ["", "file", "-x", "../x", "/folder/", "/", "/a\0b", None])
def test_what_is_no_path_on_a_phone(phone, local, remote):
    for attempt in (lambda: open_device().push(local, remote), lambda: open_device().pull(remote, local)):
        with pytest.raises(BadInputError, match="named from / on. Received: "):
            attempt()


def test_what_is_no_file_here(phone, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for wrong in (tmp_path / "missing", tmp_path, tmp_path / "pipe"):
        with pytest.raises(BadInputError, match="which is none"):
            open_device().push(wrong, f"{phone.folder}/x")
    for wrong in (tmp_path / "no" / "folder", tmp_path):
        with pytest.raises(BadInputError, match="in a folder that exists"):
            open_device().pull(f"{phone.folder}/x", wrong)


def test_what_is_no_file_there(phone, local, tmp_path):
    with pytest.raises(BadInputError, match="a folder on 127"):
        open_device().push(local, str(phone.folder))
    for wrong in (phone.folder, phone.folder / "missing"):
        with pytest.raises(CommandFailedError, match=f"Received: {wrong}, which is none"):
            open_device().pull(str(wrong), tmp_path / "back")
    assert list(phone.folder.iterdir()) == []
    assert os.listdir(tmp_path) == ["local.bin"]


def test_a_file_that_does_not_fit(plug_in, local):
    phone = plug_in(full_after=100_000)
    (phone.folder / "file").write_text("older")
    with pytest.raises(StorageFullError, match="No space left on device.*Delete"):
        open_device().push(local, f"{phone.folder}/file")
    assert os.listdir(phone.folder) == ["file"]  # and not what was sent of it
    assert (phone.folder / "file").read_text() == "older"


DF = "Filesystem 1K-blocks Used Available Use% Mounted on"


@pytest.mark.parametrize(("rows", "free"), [
    ("/dev/block/dm-44 1000 900 100 90% /data", 100 * 1024),
    ("/dev/block/a/very/long/name\n  1000 900 100 90% /data", 100 * 1024),
    ("tmpfs 0 0 0 0% /proc", 0),
    ("/data 1.5G 800M 700M 4096", None),
])
def test_free_space_is_what_df_says(plug_in, local, rows, free):
    phone = plug_in(fake={"df": f"echo '{DF}\n{rows}'"})
    device = open_device()
    found = read_df(device.shell("df", "-k", "/data").out)
    assert (found and found.bytes) == free
    if free:  # of nothing in all, nothing is not full; and who does not tell is asked by trying
        with pytest.raises(StorageFullError, match=r"256003 bytes where 102400 are free"):
            device.push(local, f"{phone.folder}/file")
        assert list(phone.folder.iterdir()) == []
    else:
        device.push(local, f"{phone.folder}/file")


def test_free_space_of_a_real_folder(phone):
    found, here = read_df(open_device().shell("df", "-k", str(phone.folder)).out), os.statvfs(phone.folder)
    assert found.bytes == pytest.approx(here.f_bavail * here.f_frsize, rel=0.05)


def test_places_that_cannot_be_written_to(plug_in, local, tmp_path):
    phone = plug_in(read_only="/no/system", fake={"mkdir": "echo \"mkdir: '$2': Permission denied\" >&2; exit 1"})
    with pytest.raises(ReadOnlyError, match="Permission denied.*data/local/tmp"):
        open_device().push(local, f"{phone.folder}/file")
    phone.fake("mkdir", "")
    offline = tmp_path / "device offline"  # a name that is no message
    offline.write_text("x")
    with pytest.raises(ReadOnlyError, match="Received: /no/system/file.*Read-only file system"):
        open_device().push(offline, "/no/system/file")


def test_a_place_that_cannot_be(phone, local):
    (phone.folder / "file").write_text("x")
    with pytest.raises(PushError, match="did not: mkdir: .*file"):
        open_device().push(local, f"{phone.folder}/file/below")


def test_a_file_that_arrives_changed(plug_in, local):
    phone = plug_in(flip_byte=True)
    (phone.folder / "file").write_text("older")
    with pytest.raises(PushError, match="with other content than"):
        open_device().push(local, f"{phone.folder}/file")
    assert os.listdir(phone.folder) == ["file"]
    assert (phone.folder / "file").read_text() == "older"


@pytest.mark.parametrize("lacking", [["sha256sum"], ["sha256sum", "md5sum"]])
def test_phones_that_cannot_hash(plug_in, local, lacking):
    lack = {name: "echo not found >&2; exit 127" for name in lacking}
    good = plug_in(fake=lack)
    device = open_device()
    remote = device.keep(local, str(good.folder))
    kept = os.stat(remote).st_ino
    assert device.keep(local, str(good.folder)) == remote
    assert os.stat(remote).st_ino == kept
    bad = plug_in(fake=lack, flip_byte=True)
    with pytest.raises(PushError, match="with other content"):
        open_device(bad.serial).push(local, f"{bad.folder}/file")


def test_a_phone_that_vanishes_while_a_file_is_sent(plug_in, local):
    phone = plug_in(unplug_after=100_000)
    (phone.folder / "file").write_text("older")
    with pytest.raises(DeviceGoneError, match="went away while running adb push"):
        open_device().push(local, f"{phone.folder}/file")
    assert (phone.folder / "file").read_text() == "older"


def test_a_transfer_that_breaks_off_although_the_phone_is_there(plug_in, local):
    phone = plug_in(break_after=100_000)
    with pytest.raises(DeviceGoneError, match="while running adb push .*: adb said: adb: error: failed to "):
        open_device().push(local, f"{phone.folder}/file")
    assert list(phone.folder.iterdir()) == []


def test_a_phone_that_vanishes_while_a_file_is_fetched(plug_in, local, tmp_path):
    plug_in(unplug_after=100_000)
    device = open_device()
    (tmp_path / "back").write_text("older")
    with pytest.raises(DeviceGoneError, match="went away while running adb pull"):
        device.pull(str(local), tmp_path / "back")
    assert (tmp_path / "back").read_text() == "older"
    assert sorted(os.listdir(tmp_path)) == ["back", "local.bin"]


def test_what_an_unplugged_phone_has_kept_is_cleared_away_after_a_day(phone, local):
    old, new = phone.folder / ".tfold-1000000000-ab.part", phone.folder / ".tfold-9000000000-ab.part"
    other = phone.folder / ".tfold-mine.part"
    for file in (old, new, other):
        file.touch()
    open_device().push(local, f"{phone.folder}/file")
    assert set(phone.folder.iterdir()) == {new, other, phone.folder / "file"}


def test_a_file_is_kept_under_its_contents_name_and_sent_once(phone, tmp_path):
    model, device = tmp_path / "model.tflite", open_device()
    model.write_bytes(b"abc")
    remote = device.keep(model, f"{phone.folder}/models/")
    assert remote == f"{phone.folder}/models/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.tflite"
    first = os.stat(remote)
    assert device.keep(model, f"{phone.folder}/models") == remote
    assert os.stat(remote).st_ino == first.st_ino
    model.write_bytes(b"abd")
    assert device.keep(model, f"{phone.folder}/models") != remote
    assert len(os.listdir(f"{phone.folder}/models")) == 2


@pytest.mark.parametrize("damage", [b"abX", b"ab", b"", None])
def test_a_kept_file_that_was_changed_there_is_sent_again(phone, tmp_path, damage):
    (tmp_path / "model.tflite").write_bytes(b"abc")
    remote = open_device().keep(tmp_path / "model.tflite", str(phone.folder))
    with open(remote, "wb") as file:
        file.write(damage or b"")
    if damage is None:
        os.remove(remote)
    assert open_device().keep(tmp_path / "model.tflite", str(phone.folder)) == remote
    with open(remote, "rb") as file:
        assert file.read() == b"abc"


def test_a_kept_program_can_be_run_even_if_it_was_kept_as_a_file(phone, tmp_path):
    (tmp_path / "tool").write_text("#!/bin/sh\necho it runs\n")
    device = open_device()
    assert device.shell(device.keep(tmp_path / "tool", str(phone.folder))).code == 126
    for _ in range(2):
        assert device.shell(device.keep(tmp_path / "tool", str(phone.folder), executable=True)).out == "it runs\n"


def test_several_may_keep_the_same_file_at_once(phone, local):
    device, kept = open_device(), []
    threads = [threading.Thread(target=lambda: kept.append(device.keep(local, str(phone.folder)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 4 and len(set(kept)) == 1
    assert os.listdir(phone.folder) == [os.path.basename(kept[0])]
    assert read_content(kept[0]) == read_content(local)


def test_nothing_is_kept_of_a_push_that_is_cut_short(plug_in, local):
    phone = plug_in(full_after=100_000)
    with pytest.raises(StorageFullError):
        open_device().keep(local, str(phone.folder))
    assert list(phone.folder.iterdir()) == []
