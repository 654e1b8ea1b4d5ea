"""Where compiled operations are kept, for what they were compiled, and whether a file there may be loaded.

    ~/.cache/tfold/kernels/             0700: nobody else puts a library there
      <key>/batch_norm.so               the operations
      <key>/built.json                  what they were built for and by, and the library's sha256
        │
        └ a hash of TensorFlow's build, batch_norm.cc, the processor and the system

A home folder may be shared by several machines, and a library that uses one processor's instructions ends a process
on another. So each kind of machine has its own key, and none sees another's library.
"""

import functools
import hashlib
import json
import os
import platform
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

from tfold.files import sha256_of

SOURCE = Path(__file__).with_name("batch_norm.cc")
LIBRARY, RECORD = "batch_norm.so", "built.json"

# The instructions that compilers make arithmetic of. The kernel's list has far more, and changes with its version.
_X86 = ("sse", "ssse", "pni", "avx", "fma", "f16c", "bmi", "abm", "popcnt", "movbe", "adx", "cx16", "lahf_lm", "xop",
        "tbm", "gfni", "aes", "vaes", "pclmul", "vpclmul", "sha", "amx", "apx")  # fmt: skip
_MODEL = ("vendor_id", "cpu family", "model", "model name", "CPU implementer", "CPU variant", "CPU part")


def folder():
    """Where built operations lie: `tfold/kernels` in $XDG_CACHE_HOME, or in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return Path(base if os.path.isabs(base) else os.path.expanduser("~/.cache")) / "tfold" / "kernels"


def library():
    """Where the operations lie that are built for this process. Imports TensorFlow."""
    return folder() / key(made_for()) / LIBRARY


def anything_built():
    """Whether there is any library, for whatever machine: a cheap question that needs no TensorFlow."""
    return any(folder().glob(f"*/{LIBRARY}"))


@functools.cache
def made_for():
    """What a library depends on: one that was made for something else must not be loaded. Imports TensorFlow."""
    import tensorflow as tf

    model, instructions = processor()
    libc = ""
    with suppress(AttributeError, OSError, ValueError):  # glibc alone has it
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    return {
        "tensorflow": f"{tf.version.VERSION} ({tf.version.GIT_VERSION})",
        "source": sha256_of(SOURCE),
        "system": f"{platform.system()} {platform.machine()}, C++ ABI {tf.sysconfig.CXX11_ABI_FLAG}",
        "libc": libc,
        "processor": model,
        "instructions": instructions,
    }


def key(made_for):
    """The name of the folder for what is built for all this."""
    return hashlib.sha256(json.dumps(made_for, sort_keys=True).encode()).hexdigest()[:16]


def processor():
    """(model, instructions): what /proc/cpuinfo or macOS' sysctl say of the first core."""
    try:
        first = Path("/proc/cpuinfo").read_text(errors="replace").partition("\n\n")[0]
    except OSError:
        return _processor_of_macos()
    said = dict(line.split(":", 1) for line in first.splitlines() if ":" in line)
    said = {name.strip(): value.strip() for name, value in said.items()}
    model = ", ".join(said[name] for name in _MODEL if said.get(name))
    instructions = [name for name in said.get("flags", "").split() if name.startswith(_X86)]
    return model or platform.processor(), sorted(instructions + said.get("Features", "").split())


def _processor_of_macos():
    said = []
    for name in ("brand_string", "features", "leaf7_features"):  # Apple's own processors have no list of features
        with suppress(OSError, subprocess.SubprocessError):
            asked = ["sysctl", "-n", f"machdep.cpu.{name}"]
            said.append(subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip())
    return (said[0] if said else platform.processor()), sorted(" ".join(said[1:]).lower().split())


def objection(path):
    """Why a library must not be loaded, or None. Nothing in it is run.

    A file that was cut off would end the process as soon as it is loaded, and so would another processor's
    instructions: there is no error to catch then. And whoever can write to the file could run anything in this process.

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
        return "it was built from another tfold's batch_norm.cc"
    for what, name in (("tensorflow", "TensorFlow"), ("system", "system")):
        if made[what] != here[what]:
            return f"it was built for another {name}, {made[what]}; here is {here[what]}"
    lacking = sorted(set(made["instructions"]) - set(here["instructions"]))
    if lacking:
        return f"it was built for {made['processor']}; the processor here lacks {', '.join(lacking[:5])}"
    return None
