"""Where a TensorFlow checkpoint lies: named by its prefix, by its folder, or packed, as the authors publish theirs.

    efficientnet-lite0.tar.gz ─ efficientnet-lite0/model.ckpt.index                  the names and shapes
                                efficientnet-lite0/model.ckpt.data-00000-of-00001    the values
                                efficientnet-lite0/….tflite, checkpoint, ….meta      not needed

An archive is read as something that a stranger made: what is needed of it is copied into a folder of our own under its
last name alone, and an archive in which anything points outside is refused as a whole.
"""
import os
import re
import shutil
import tarfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tfold.errors import BadInputError, one_line
from tfold.files import scratch

ARCHIVES = (".tar.gz", ".tgz", ".tar")
INDEX = ".index"
_PART = re.compile(r".+(\.index|\.data-\d{5}-of-\d{5})")


def is_checkpoint(path):
    """Whether a path stands for a checkpoint: an archive, a folder, the prefix of the files or their index."""
    path = os.fspath(path)
    return os.path.isdir(path) or os.path.isfile(path + INDEX) or (
        os.path.isfile(path) and path.lower().endswith((*ARCHIVES, INDEX)))


@contextmanager
def checkpoint_prefix(path):
    """The prefix of the checkpoint that a path stands for; an archive is unpacked for as long as that is needed.

    Args:
        path: one for which `is_checkpoint`.

    Raises:
        BadInputError: there is none, or several, or the archive is damaged or unsafe.

    Example:

    >>> with checkpoint_prefix("efficientnet-lite0.tar.gz") as prefix:
    ...     tf.train.list_variables(prefix)
    """
    path = os.fspath(path)
    if os.path.isfile(path + INDEX):
        yield path
    elif os.path.isdir(path):
        yield _only_one(path, path)
    elif path.endswith(INDEX):
        yield path.removesuffix(INDEX)
    else:
        with scratch() as folder:
            _unpack(path, folder)
            yield _only_one(folder, path)


def _only_one(folder, path):
    found = sorted([*Path(folder).glob(f"*{INDEX}"), *Path(folder).glob(f"*/*{INDEX}")])
    if len(found) != 1:
        names = ", ".join(file.name for file in found[:5]) or f"no file *{INDEX}"
        raise BadInputError(
            f"A folder or archive holds one checkpoint. Received: {path} with {names}. Pass the path of one checkpoint "
            f"without its {INDEX}, for instance {Path(path).parent / 'model.ckpt'}."
        )
    return str(found[0]).removesuffix(INDEX)


def _unpack(path, folder):
    try:
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            for member in members:
                _check_inside(member, path)
            for member in members:
                if member.isreg() and _PART.fullmatch(member.name):
                    _copy(archive, member, folder, path)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise BadInputError(
            f"An archive of weights is a whole .tar.gz. Received: {path}, which cannot be unpacked: {one_line(error)} "
            "Delete it, and fetch it again."
        ) from error


def _check_inside(member, path):
    """Refuse what lies, or links, outside the folder that one unpacks into."""
    # (tarfile's own filter "data" says the same, but came with Python 3.11.4.)
    for name in filter(None, (member.name, member.linkname)):
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise BadInputError(
                f"An archive stays inside its folder. Received: {path} with {name!r}. Do not unpack it; fetch it from "
                "its authors."
            )


def _copy(archive, member, folder, path):
    target = Path(folder, PurePosixPath(member.name).name)
    if target.exists():
        raise BadInputError(
            f"An archive holds one checkpoint. Received: {path} with several files {target.name}. Unpack it, and pass "
            "the path of one checkpoint without its .index."
        )
    with archive.extractfile(member) as source, open(target, "wb") as copy:
        shutil.copyfileobj(source, copy)
