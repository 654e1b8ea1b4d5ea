"""Where compiled operations are kept, for what they were compiled, and whether a file there may be loaded.

    ~/.cache/tfold/kernels/             0700: nobody else puts a library there
      <key>/batch_norm.so               the operations
      <key>/built.json                  what they were built for and by, and the library's sha256
      <key>.failed.json                 instead of these: why they could not be built
        │
        └ a hash of TensorFlow's build, the C++ files and the system

A home folder may be shared by several machines. Of one system they share a library: it holds loops for several
instruction sets, and chooses among them where it is loaded (`instruction_sets.py`).
"""

import dataclasses
import functools
import hashlib
import json
import os
import platform
import shlex
import stat
from contextlib import suppress
from pathlib import Path

from tfold.files import sha256_of, whole
from tfold.training.kernels.compiler import version_of

SOURCES = tuple(sorted(path for path in Path(__file__).parent.iterdir() if path.suffix in (".cc", ".h")))
LIBRARY, RECORD = "batch_norm.so", "built.json"
_FAILED = ".failed.json"


def folder():
    """Where built operations lie: `tfold/kernels` in $XDG_CACHE_HOME, or in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")
    if not os.path.isabs(base):  # no $HOME, and a user whom the system has no name for, as in containers
        base = "/nonexistent/.cache"
    return Path(base) / "tfold" / "kernels"


def unusable():
    """Return why nothing can be kept in the cache's folder, as half a sentence, or None if something can."""
    place = folder()
    while True:
        try:
            os.stat(place)
        except FileNotFoundError:  # it would be made
            if place.parent == place or place == Path("/nonexistent"):
                return "this user has no home folder"
            place = place.parent
            continue
        except OSError as error:
            return f"{place} cannot be looked at ({error.strerror})"
        if not os.path.isdir(place):
            return f"{place} is no folder"
        return None if os.access(place, os.W_OK | os.X_OK) else f"{place} cannot be written to"


def library():
    """Where the operations lie that are built for this process. Imports TensorFlow."""
    return folder() / key(made_for()) / LIBRARY


def anything():
    """Whether a library was ever built, or failed to be, for whatever machine: a question that needs no TensorFlow."""
    return any(_listed(f"*/{LIBRARY}")) or any(_listed(f"*{_FAILED}"))


@functools.cache
def made_for():
    """What a library depends on: one that was made for something else must not be loaded. Imports TensorFlow."""
    import tensorflow as tf

    libc = ""
    with suppress(AttributeError, OSError, ValueError):  # glibc alone has it
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    return {
        "tensorflow": f"{tf.version.VERSION} ({tf.version.GIT_VERSION})",
        "source": _digest(SOURCES),
        "system": f"{platform.system()} {platform.machine()}, C++ ABI {tf.sysconfig.CXX11_ABI_FLAG}",
        "libc": libc,
    }


def key(made_for):
    """The name of the folder for what is built for all this."""
    return hashlib.sha256(json.dumps(made_for, sort_keys=True).encode()).hexdigest()[:16]


def _digest(paths):
    return hashlib.sha256("".join(f"{path.name} {sha256_of(path)}\n" for path in paths).encode()).hexdigest()


def write_record(library, compiled, compiler):
    """Write what a library was built for and by beside it.

    Args:
        library: Its path.
        compiled: A `compiler.Compiled`.
        compiler: The words that start the compiler.
    """
    record = {
        "sha256": sha256_of(library),
        "made_for": made_for(),
        "compiler": f"{shlex.join(compiler)} ({version_of(compiler)})",
        **dataclasses.asdict(compiled),
    }
    library.with_name(RECORD).write_text(json.dumps(record, indent=2) + "\n")


def note_failure(reason):
    """Remember why the operations could not be built for this process, or with None that they could.

    A cache that cannot be written to remembers nothing: whoever asked for the operations has been told.
    """
    path = _failed(key(made_for()))
    with suppress(OSError):
        if reason is None:
            path.unlink(missing_ok=True)
            return
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        if mistrust(folder()) is None:
            with whole(path) as temporary:
                temporary.write_text(json.dumps({"reason": reason}) + "\n")


def failure():
    """Return why the operations could not be built for this process, or None. Imports TensorFlow."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(_failed(key(made_for())).read_text())["reason"])
    return None


def _failed(name):
    return folder() / f"{name}{_FAILED}"


def _listed(pattern):
    """The paths in the cache's folder that match; none where it cannot be read."""
    with suppress(OSError):
        yield from folder().glob(pattern)


def objection(path):
    """Why a library must not be loaded, or None. Nothing in it is run.

    A file that was cut off would end the process as soon as it is loaded: there is no error to catch then. And whoever
    can write to the file could run anything in this process.

    Args:
        path: the library; its `built.json` lies beside it.
    """
    path = Path(path)
    record_path = path.with_name(RECORD)
    places = [path, record_path]
    if folder() in path.parents:  # a chosen file may lie in a folder of somebody else
        places += [path.parent, folder()]
    try:
        for place in places:
            reason = mistrust(place)
            if reason:
                return reason
        record = json.loads(record_path.read_text())
        if record["sha256"] != sha256_of(path):
            return f"{path} was cut off or changed: its sha256 is not the one in {RECORD}"
        return _mismatch(record["made_for"], made_for())
    except FileNotFoundError as error:
        return f"{error.filename} is missing: {LIBRARY} and {RECORD} belong together"
    except OSError as error:
        return f"it cannot be read ({error})"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{record_path} is damaged"


def mistrust(path):
    """Why what lies there may be somebody else's work, or None.

    Raises:
        OSError: it cannot be looked at.
    """
    found = os.stat(path)
    if hasattr(os, "getuid") and found.st_uid not in (0, os.getuid()):
        return f"{path} belongs to another user (uid {found.st_uid}), who could have put anything there"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"other users may write to {path} (to end that: chmod go-w {path})"
    return None


def _mismatch(made, here):
    if made["source"] != here["source"]:
        return "it was built from another tfold's C++ files"
    for what, name in (("tensorflow", "TensorFlow"), ("system", "system")):
        if made[what] != here[what]:
            return f"it was built for another {name}, {made[what]}; here is {here[what]}"
    return None
