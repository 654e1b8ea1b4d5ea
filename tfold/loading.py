"""Read and write .keras files, with one clear sentence where Keras has a traceback."""
import importlib
import json
import re
import sys
import zipfile
from pathlib import Path

import keras

from tfold.errors import BadInputError, one_line
from tfold.files import check_output, whole

LEGACY = (".h5", ".hdf5")
REPORT = "tfold.json"


def load_model(path, allow_unsafe=False, custom_objects=()):
    """Load a saved Keras model.

    Args:
        path: a `.keras` file (or a legacy `.h5`).
        allow_unsafe: run code that the file brings along (Lambda layers).
        custom_objects: names of modules ("package.module") to import first; every class and function that is defined
            in the module's package and has a name in the module can then be used by the file.

    Raises:
        BadInputError: the file is missing, damaged, of another kind, brings code, or needs classes nobody named.
    """
    path = Path(path)
    _check_file(path)
    objects = _objects_of(custom_objects)
    try:
        with keras.saving.custom_object_scope(objects):
            return keras.saving.load_model(path, compile=False, safe_mode=not allow_unsafe)
    except MemoryError:
        raise
    except Exception as error:  # Keras raises whatever the damaged part makes it raise
        raise BadInputError(_explained(path, error)) from error


def save_model(model, path, force=False, report=None):
    """Save a Keras model as a `.keras` file that appears whole or not at all.

    Args:
        model: the model.
        path: the file.
        force: replace an existing file.
        report: the fold's `Report`, or its JSON; it travels in the archive as tfold.json, which Keras does not look at.
    """
    check_output(path, ".keras", force)
    with whole(path) as temporary:
        model.save(temporary)
        if report is not None:
            with zipfile.ZipFile(temporary, "a", zipfile.ZIP_DEFLATED) as archive:
                said = report if isinstance(report, dict) else report.to_json()
                archive.writestr(REPORT, json.dumps({"version": 1, "report": said}))


def load_report(path):
    """The fold's report as JSON.

    Args:
        path: a `.keras` file, or the document that `tfold fold --json` wrote.

    Returns:
        dict, or None for a model file that `save_model` has not given one: fine-tuned and saved by Keras, or an `.h5`.

    Raises:
        BadInputError: another kind of file, or a damaged one.
    """
    path = Path(path)
    if path.suffix in LEGACY or (path.exists() and not path.is_file()):
        return None
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                text = archive.read(REPORT) if REPORT in archive.namelist() else None
        else:
            text = path.read_bytes()
        if text is None:
            return None
        report = json.loads(text)["report"]
        if not {"homes", "before", "after"} <= set(report) or not isinstance(report["homes"], dict):
            raise ValueError("no report of a fold")
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise BadInputError(
            f"A fold's report is the document of tfold fold --json, or lies in the .keras file that tfold fold wrote. "
            f"Received: {path}, which has none that can be read ({one_line(error)[:-1]}). Leave it out, or fold again."
        ) from error
    return report


def holds(path, name):
    """Whether a model file's configuration names a class, before anything of it is made.

    Args:
        path: a `.keras` or `.h5` file; a damaged or foreign one holds nothing.
        name: of the class, or a part of it.
    """
    if not Path(path).is_file():  # opening a pipe would wait for its other end
        return False
    try:
        if Path(path).suffix in LEGACY:
            import h5py

            with h5py.File(path) as file:
                return name in str(file.attrs.get("model_config", ""))
        with zipfile.ZipFile(path) as archive:
            return name.encode() in archive.read("config.json")
    except (OSError, KeyError, zipfile.BadZipFile):
        return False


def _check_file(path):
    """Raise `BadInputError` where the file cannot be a model: sentences that Keras does not have."""
    if path.is_dir():
        raise BadInputError(
            f"A model is a .keras file. Received: {path}, a directory. A SavedModel cannot be folded: save the Keras "
            'model itself with model.save("model.keras").'
        )
    if not path.exists():
        raise BadInputError(f"A model is a file. Received: {path}, which does not exist. Check the path.")
    if not path.is_file():
        raise BadInputError(f"A model is a file. Received: {path}, a device or pipe. Save it to a file first.")
    if path.stat().st_size == 0:
        raise BadInputError(f"A model is a .keras file. Received: {path}, which is empty. Save the model again.")
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:8] == b"TFL3":
        raise BadInputError(
            f"A model to fold is a .keras file. Received: {path}, a .tflite file, whose layers are fixed already. "
            "Start from the Keras model it was converted from."
        )
    if path.suffix in LEGACY:
        if not head.startswith(b"\x89HDF"):
            raise BadInputError(f"A {path.suffix} model is an HDF5 file. Received: {path}, which is something else.")
    elif path.suffix != ".keras":
        raise BadInputError(f'A model is a .keras file. Received: {path}. Save it with model.save("model.keras").')
    elif head.startswith(b"\x89HDF"):
        raise BadInputError(
            f"A .keras file is a zip archive. Received: {path}, an HDF5 file. Rename it to "
            f"{path.with_suffix('.h5')}."
        )
    elif not head.startswith(b"PK"):
        raise BadInputError(
            f'A .keras file is a zip archive. Received: {path}, which is something else. Save the model with '
            'model.save("model.keras").'
        )
    else:
        _check_archive(path)


def _check_archive(path):
    try:
        with zipfile.ZipFile(path) as archive:
            broken, names = archive.testzip(), set(archive.namelist())
            config = archive.read("config.json") if "config.json" in names else b""
    except Exception as error:  # zipfile raises many kinds for bytes that are not what it expects
        raise BadInputError(
            f"A .keras file must be whole. Received: {path}, which is cut short or damaged ({error}). "
            "Copy or save it again."
        ) from error
    if broken:
        raise BadInputError(
            f"A .keras file must be whole. Received: {path}, in which {broken} is damaged. Copy or save it again."
        )
    if not config or not names & {"model.weights.h5", "model.weights.npz"}:
        raise BadInputError(
            f"A .keras file is a zip archive of config.json and model.weights.h5. Received: {path}, an archive of "
            f'{", ".join(sorted(names)[:3]) or "nothing"}. Save the model with model.save("model.keras").'
        )
    try:
        described = json.loads(config)
    except ValueError:  # UnicodeDecodeError is one too
        described = None
    if not isinstance(described, dict) or not {"class_name", "config"} <= set(described):
        raise BadInputError(
            f"A .keras file describes a Keras model in its config.json. Received: {path}, whose config.json is "
            'something else. Save the model with model.save("model.keras").'
        )


def _objects_of(modules):
    """What the file may name: the classes and functions of the given modules."""
    objects = {}
    # Where the command is run, like `python -m`: people's layers lie beside their model.
    if modules and "" not in sys.path:
        sys.path.insert(0, "")
    for name in modules:
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:  # the user's own code may raise anything, scripts end themselves
            raise BadInputError(
                f"--custom-objects names a Python module that can be imported. Received: {name} "
                f"({type(error).__name__}: {_first_sentence(str(error))[:-1]}). {_way_out(name, error)}"
            ) from error
        # Keras prefers these to its own by name: what the module merely imports (tanh from math, say) stays out.
        package = module.__name__.partition(".")[0]
        for key, value in vars(module).items():
            home = (getattr(value, "__module__", None) or "").partition(".")[0]
            if callable(value) and home == package and not key.startswith("__"):
                objects[key] = value
    return objects


def _way_out(name, error):
    """What to do about a module that did not import."""
    if name.endswith(".py") or "/" in name:
        return f"Write it as in an import statement: {name.removesuffix('.py').strip('./').replace('/', '.')}."
    if isinstance(error, ModuleNotFoundError) and name.startswith(f"{error.name}."):
        return "Run from the folder the package lies in, or set PYTHONPATH."
    if isinstance(error, ModuleNotFoundError) and name == error.name:
        return "Run from the folder it lies in, or set PYTHONPATH."
    return f"Make this work first: python -c 'import {name}'."


def _explained(path, error):
    text = " ".join(str(error).split())
    # Keras wraps one error into the next; what happened stands at the end, behind the configs of all layers around it.
    text = text.rpartition("Exception encountered: ")[2]
    text = re.sub(r"^A total of .* Example error message for object <(\w+) name=([^,>]+)[^>]*>: ", r"\1 '\2': ", text)
    if "safe_mode" in text or "unsafe" in text.lower():
        return (
            f"A model file is data, not code. Received: {path}, which brings Python code in a Lambda layer. "
            "If you trust where it comes from, add --allow-unsafe (allow_unsafe=True)."
        )
    unknown = re.search(r"(?:Could not locate|Unknown) (?:class|function|layer|object)\W+'?([\w.>]+)", text)
    if unknown:
        return (
            f"Every class and function that a model file names must be known. Received: {path}, which names "
            f"{unknown[1]!r}. Name the module that defines it: --custom-objects package.module."
        )
    if isinstance(error, OSError):  # h5py's
        return (
            f"A model's weights must be whole. Received: {path}, in which they are cut short or damaged "
            f"({_first_sentence(text)[:-1]}). Copy or save it again."
        )
    return (
        f"A model is a file that Keras {keras.__version__} can load. Received: {path}: {_first_sentence(text)} "
        "Save the model again with model.save(), in the version of Keras that made it or a newer one."
    )


def _first_sentence(text):
    """The first sentence of an error's text, on one line, ending in a full stop."""
    first = " ".join(text.split()).split(". ")[0]
    return (first if len(first) <= 300 else f"{first[:299]}…").rstrip(".") + "."
