"""Archives that are damaged, encrypted, or made to fill the memory: a sentence at once."""
import os
import resource
import signal
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from tfold.errors import BadInputError
from tfold.model_file import hdf5
from tfold.model_file.read import read


def refused(path, *words):
    with pytest.raises(BadInputError) as error:
        read(path)
    said = str(error.value)
    assert "Received: " in said and "\n" not in said
    for word in words:
        assert word in said, said


def test_what_a_file_says(saved):
    found = read(saved / "m.keras")
    assert found.config["class_name"] == "Functional" and found.version.startswith("3.")
    assert found.classes() >= {"Functional", "InputLayer", "Dense", "GlorotUniform"} and not found.is_of_keras2
    found = read(saved / "m.h5")
    assert found.backend == "tensorflow" and found.is_hdf5 and not found.is_of_keras2


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_may_be_compressed(archive, compression):
    assert read(archive(compression=compression)).config["class_name"] == "Functional"


def test_encrypted_archives(archive):
    path = archive()
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as whole:
        start = whole.start_dir
    # The flag that says so, in each member's own header and in the directory at the end.
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(signature, 0 if offset == 6 else start)
        content[place + offset] |= 1
    path.write_bytes(content)
    refused(path, "not encrypted", "needs a password")


def test_compression_that_python_does_not_read(archive):
    path = archive()
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as whole:
        place = whole.start_dir
    content[place + 10 : place + 12] = struct.pack("<H", 99)
    path.write_bytes(content)
    refused(path, "method 99")


def test_a_name_that_stands_twice(archive):
    path = archive()
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as again:
        again.writestr("config.json", "{}")
    refused(path, "twice", "config.json")


@pytest.mark.parametrize("member", ["model__weights__h5", "assets", "metadata__json"])
def test_a_small_archive_that_becomes_large(archive, member):
    path = archive(compression=zipfile.ZIP_DEFLATED, **{member: bytes(200 * 2**20)})
    assert path.stat().st_size < 2**20
    refused(path, "unpacks to at most 100 times its size", "MiB")


def test_nested_configurations(archive):
    refused(archive(config__json=b'{"config": ' * 3000 + b"1" + b"}" * 3000), "nested more than 200 levels")


@pytest.mark.parametrize("config", [b"", b"nonsense", b"[]", b"3", b'{"class_name": "X"}', b"\xff\xfe\x00",
                                    b'{"class_name": 3, "config": {}}', b'{"class_name": "X", "config": 7}'])
def test_configurations_of_something_else(archive, config):
    refused(archive(config__json=config), "config.json is something else")


def test_arrays_in_other_files(archive, weights_with, tmp_path):
    h5py.File(tmp_path / "other.h5", "w").create_dataset("secret", data=np.ones(3))

    def external_link(weights):
        weights["layers/d/vars/9"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/secret")

    def external_storage(weights):
        weights.create_dataset("layers/d/vars/9", (4,), "u1", external=[("/etc/passwd", 0, 4)])

    def virtual(weights):
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (3,))
        weights.create_virtual_dataset("layers/d/vars/9", layout)

    for change, name in ((external_link, "other.h5"), (external_storage, "/etc/passwd"), (virtual, "other.h5")):
        refused(archive(model__weights__h5=weights_with(change)), "reads no other file", name)


def test_arrays_that_are_larger_than_their_file(archive, legacy, weights_with):
    def compressed(weights):
        weights.create_dataset("layers/d/vars/9", (2**24, 8), "f4", chunks=(2**20, 8), compression="gzip")

    refused(archive(model__weights__h5=weights_with(compressed)), "100 times as large", "512 MiB")
    refused(legacy(lambda file, config: compressed(file)), "100 times as large", "512 MiB")


def test_weights_without_a_network(legacy):
    def bare(path):
        with h5py.File(path, "r+") as file:
            del file.attrs["model_config"]

    path = legacy(lambda file, config: None)
    bare(path)
    refused(path, "weights alone", "load_weights")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell how large a process is")
def test_a_text_that_claims_to_be_longer_than_its_file(tmp_path):
    """HDF5 makes room for it before it looks whether it is there."""
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "x" * 5000
    whole = path.read_bytes()
    reference = whole.index(struct.pack("<IQ", 5000, whole.index(b"GCOL\x01\0\0\0")))
    path.write_bytes(whole[:reference] + struct.pack("<I", 2**32 - 1) + whole[reference + 4 :])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path, "cut short or damaged")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # in KiB


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_file_on_which_hdf5_crashes(tmp_path, monkeypatch):
    """Some damaged texts end the process that reads them; here the look at the file does."""
    path = tmp_path / "m.h5"
    h5py.File(path, "w").attrs["model_config"] = "{}"
    monkeypatch.setattr(hdf5, "_check_objects", lambda *_: os.kill(os.getpid(), signal.SIGSEGV))
    refused(path, "HDF5 fails on them")


@pytest.mark.parametrize("units", [2**31, 10**400, 1e300])
def test_more_units_than_the_file_can_hold_weights(archive, legacy, units):
    def change(config):
        next(each for each in config["config"]["layers"] if each["config"]["name"] == "d")["config"]["units"] = units

    refused(archive(change), "units of layer 'd'")
    refused(legacy(lambda file, config: change(config)), "units of layer 'd'")


def test_without_a_child_the_look_is_taken_here(archive, weights_with, monkeypatch):
    monkeypatch.setattr(hdf5, "_forked", lambda: None)
    assert read(archive()).config["class_name"] == "Functional"
    link = weights_with(lambda weights: weights.__setitem__("x", h5py.ExternalLink("other.h5", "/y")))
    refused(archive(model__weights__h5=link), "reads no other file")
