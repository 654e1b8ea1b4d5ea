"""Arrays from `.npz` and `.npy` files: as data, never as code, and no more of them than is asked for.

What a file says of itself is compared before memory is made: the header's shape and type with the bytes that there are,
and these with the bytes that they were packed into. A megabyte that unpacks to a gigabyte holds no data.
"""
import math
import zipfile
from collections.abc import Mapping
from contextlib import contextmanager

import numpy as np

from tfold.errors import BadInputError, one_line
from tfold.tflite.image_folder import SUFFIXES

SMALL, PACKED = 2**28, 100  # bytes that may unpack from anything; above, what data compress to at most
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


@contextmanager
def open_arrays(path):
    """The array of a `.npy` file, left on disk, or the `Archive` of a `.npz` file.

    Raises:
        BadInputError: the file is missing, of another kind, cut short, damaged, or holds Python objects.
    """
    _check_file(path)
    is_one = path.suffix.lower() == ".npy"
    try:
        opened = np.load(path, mmap_mode="r" if is_one else None, allow_pickle=False)
    # zipfile and NumPy raise many kinds for bytes that are not what they expect, Python's parser MemoryError too.
    except Exception as error:
        raise BadInputError(_explained(path, error)) from error
    if is_one:
        yield opened
    else:
        with opened:
            yield Archive(path, opened)


class Archive(Mapping):
    """Name → array of a `.npz` file, each read when it is asked for."""

    def __init__(self, path, opened):
        self.path, self.opened = path, opened

    def __getitem__(self, key):
        if key not in self.opened.files:
            raise KeyError(key)
        self._check(key)
        try:
            array = self.opened[key]
        except MemoryError:
            raise
        except Exception as error:  # as above: zlib's, zipfile's, NumPy's
            raise BadInputError(_explained(f"{self.path} ({key})", error)) from error
        return array

    def _foreign(self, key):
        return (f"A .npz file is a zip archive of NumPy arrays. Received: {self.path}, in which {key} is something "
                "else. Save it with numpy.savez.")

    def _check(self, key):
        """Raise `BadInputError` for a member that cannot be read, or whose header says something else than it holds."""
        archive = self.opened.zip
        member = archive.getinfo(f"{key}.npy" if f"{key}.npy" in archive.namelist() else key)
        where = f"{self.path} ({key})"
        if member.flag_bits & 1:
            raise BadInputError(
                f"Representative data can be read by everybody. Received: {where}, which is encrypted. Unpack it with "
                "its password, and save it with numpy.savez.")
        if member.compress_type not in METHODS:
            raise BadInputError(
                f"A .npz file is packed as numpy.savez and numpy.savez_compressed pack it. Received: {where}, packed "
                f"by method {member.compress_type}. Save it again.")
        try:
            with archive.open(member) as file:
                is_array = file.read(6) == b"\x93NUMPY"
            if not is_array:  # NumPy would give its bytes
                raise BadInputError(self._foreign(key))
            with archive.open(member) as file:
                magic = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if magic == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
                held = member.file_size - file.tell()
        except BadInputError:
            raise
        except Exception as error:  # MemoryError among them: Python's parser raises it for what is nested too deep
            raise BadInputError(_explained(where, error)) from error
        declared = math.prod(shape) * dtype.itemsize
        if not dtype.hasobject and declared != held:
            raise BadInputError(_explained(where, f"{shape} of {dtype} are {declared:,} bytes, and there are {held:,}"))
        packed = min(member.compress_size, self.path.stat().st_size)  # a directory can say anything
        if member.file_size > max(SMALL, PACKED * packed):
            raise BadInputError(
                f"Representative data are real inputs, which can be packed to a {PACKED}th at best. Received: {where}, "
                f"{packed:,} bytes that unpack to {member.file_size:,}. Save what is needed of it without "
                "compression: numpy.savez.")

    def __iter__(self):
        return iter(self.opened.files)

    def __len__(self):
        return len(self.opened.files)


def _check_file(path):
    accepted = "Representative data are a .npz or .npy file or a folder of images."
    if not path.exists():
        raise BadInputError(f"{accepted} Received: {path}, which does not exist. Check the path.")
    if not path.is_file():
        raise BadInputError(f"{accepted} Received: {path}, a device or pipe. Save it to a file first.")
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        raise BadInputError(f"{accepted} Received: {path}, one image. Pass the folder: {path.parent}.")
    if suffix not in (".npz", ".npy"):
        raise BadInputError(f"{accepted} Received: {path}. Save an array with numpy.savez('data.npz', x=array).")
    try:
        with path.open("rb") as file:
            head = file.read(6)
    except OSError as error:
        raise BadInputError(
            f"{accepted} Received: {path}, which cannot be read ({error.strerror}). Check its permissions."
        ) from error
    if not head:
        raise BadInputError(f"{accepted} Received: {path}, which is empty. Save it again.")
    is_array, is_archive = head == b"\x93NUMPY", head.startswith(b"PK")
    if suffix == ".npy" and not is_array:
        other = "a .npz archive: rename it" if is_archive else "something else. Save it with numpy.save"
        raise BadInputError(f"A .npy file holds one NumPy array. Received: {path}, {other}.")
    if suffix == ".npz" and not is_archive:
        other = "a .npy array: rename it" if is_array else "something else. Save it with numpy.savez"
        raise BadInputError(f"A .npz file is a zip archive of NumPy arrays. Received: {path}, {other}.")


def _explained(where, error):
    text = str(error)
    if "Object arrays" in text or "Python objects" in text:
        return (
            f"Representative data are numbers, not code. Received: {where}, pickled Python objects, which are never "
            "loaded. Save an array of numbers: numpy.stack(list_of_samples)."
        )
    return (
        f"Representative data must be whole. Received: {where}, which is cut short or damaged "
        f"({one_line(error)[:-1]}). Copy or save it again."
    )
