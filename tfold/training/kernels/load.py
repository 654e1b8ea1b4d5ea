"""Load the compiled operations, where they are built: once a process, and only if they agree with the reference.

    $TFOLD_KERNELS or the cache ─▶ cache.objection ─▶ tf.load_op_library ─▶ check.disagreement ─▶ operations()
             │ nothing there   │ could not be built   │ cannot be loaded    │ another result
             ▼                 ▼                      ▼                     ▼
            None              None and one warning: the rest of tfold goes on without them

$TFOLD_KERNELS is "off" for none, or the path of a `batch_norm.so` that is built once for many machines; its
`built.json` lies beside it.
"""

import dataclasses
import os
import threading
import warnings
from pathlib import Path

from tfold.errors import BadInputError, one_line
from tfold.training.kernels import cache, instruction_sets

VARIABLE = "TFOLD_KERNELS"
LOADED, OFF, NOT_BUILT, FAILED, BROKEN = "in use", "off", "not built", "build failed", "broken"


@dataclasses.dataclass(frozen=True)
class Found:
    """What came of looking for the operations.

    Attributes:
        state: LOADED, OFF, NOT_BUILT, FAILED (to be built) or BROKEN.
        path: Of the library, None if there is none to name.
        reason: Why they are not in use, "" if there is nothing to say.
        instruction_set: Of the loops that are in use, "" where none are.
        operations: TensorFlow's namespace of them where they are in use, else None.
    """

    state: str
    path: Path | None = None
    reason: str = ""
    operations: object = None
    instruction_set: str = ""


def operations():
    """The compiled operations: `operations().tfold_moments(x=…)`; None where they are not built, off or broken.

    The answer holds for the life of the process. It can be asked for at any time, while a function is traced too. Where
    they are broken or could not be built, the first call warns.

    Raises:
        BadInputError: $TFOLD_KERNELS names no file.
    """
    global _found
    if _found is None:
        with _LOCK:
            if _found is None:
                _found = found = find()
                if found.state in (BROKEN, FAILED):
                    warnings.warn(_warning(found), RuntimeWarning, stacklevel=2)
    return _found.operations


def mend():
    """What to do about operations that are broken."""
    if os.environ.get(VARIABLE):
        return f"Name a library in ${VARIABLE} that is built for this machine, or unset it."
    return "Build them again: tfold doctor --build-kernels"


def _warning(found):
    start = "tfold's compiled operations are not used, and TensorFlow's own compute batch norm"
    if found.state == FAILED:
        return f"{start}: building them failed. {found.reason} To go on without them and this warning: {VARIABLE}=off"
    return f"{start}: {found.reason}. Received: {found.path}. {mend()}"


_found = None
_LOADED = {}  # by their paths
_LOCK = threading.RLock()


def find():
    """Look for the operations and load them; what `operations` remembers.

    Raises:
        BadInputError: $TFOLD_KERNELS names no file.
    """
    chosen = os.environ.get(VARIABLE, "")
    if chosen == "off":
        return Found(OFF, None, f"{VARIABLE}=off")
    if chosen:
        path = Path(os.path.abspath(chosen))  # a bare name would be looked for where the system's libraries are
        if not path.is_file():
            raise BadInputError(
                f"${VARIABLE} is off, or names a library that tfold doctor --build-kernels has built. Received: "
                f"{chosen}, which is no file. Correct it, or unset it."
            )
    elif not cache.anything():  # without importing TensorFlow
        return Found(NOT_BUILT)
    else:
        path = cache.library()
        if not os.path.isfile(path):
            failure = cache.failure()
            if failure is not None:
                return Found(FAILED, None, failure)
            return Found(NOT_BUILT, None, "what is built is for another TensorFlow, tfold or system")
    reason = cache.objection(path)
    if reason is None:
        library, reason = _load(path)
    if reason is not None:
        return Found(BROKEN, path, reason)
    return Found(LOADED, path, "", library, instruction_sets.in_use(path))


def _load(path):
    """(library, None), or (None, why it is of no use)."""
    import tensorflow as tf
    from tensorflow.python.framework import op_def_registry

    from tfold.training.kernels import check

    library = _LOADED.get(path)
    if library is None:
        # A second library would be registered beside the first, and TensorFlow would then run neither of them.
        if op_def_registry.get("TfoldMoments") is not None:
            return None, "this process has loaded another library of these operations, and needs to be started anew"
        try:
            library = tf.load_op_library(str(path))
        except Exception as error:
            return None, f"TensorFlow cannot load it: {one_line(error).rstrip('.')}"
        if not hasattr(library, "tfold_moments"):
            return None, "it has none of tfold's operations"
        _LOADED[path] = library
    try:
        reason = check.disagreement(library)
    except Exception as error:  # whatever is wrong with them, training goes on without
        reason = f"they fail on the reference's inputs: {one_line(error).rstrip('.')}"
    if reason is None:
        import tfold.training.kernels.gradients  # noqa: F401, registers them
    return library, reason
