"""Read and write .keras files, with one clear sentence where Keras has a traceback."""
import importlib
import sys
import zipfile
from pathlib import Path

import keras

from tfold.errors import BadInputError
from tfold.files import check_output, whole


def load_model(path, allow_unsafe=False, custom_objects=()):
    """Load a saved Keras model.

    Args:
        path: a `.keras` file (or a legacy `.h5`).
        allow_unsafe: run code that the file brings along (Lambda layers).
        custom_objects: names of modules ("package.module") to import first; every Keras class and function in them can
            then be used by the file.

    Raises:
        BadInputError: the file is missing, damaged, of another kind, brings code, or needs classes nobody named.
    """
    path = Path(path)
    if not path.exists():
        raise BadInputError(f"A model is a file. Received: {path}, which does not exist. Check the path.")
    if path.is_dir():
        raise BadInputError(
            f"A model is a .keras file. Received: {path}, a directory. A SavedModel cannot be folded: save the Keras "
            'model itself with model.save("model.keras").'
        )
    _check_archive(path)
    objects = _objects_of(custom_objects)
    try:
        with keras.saving.custom_object_scope(objects):
            return keras.saving.load_model(path, compile=False, safe_mode=not allow_unsafe)
    except Exception as error:  # Keras raises whatever the damaged part makes it raise
        raise BadInputError(_explained(path, error)) from error


def save_model(model, path, force=False):
    """Save a Keras model as a `.keras` file that appears whole or not at all."""
    check_output(path, ".keras", force)
    with whole(path) as temporary:
        model.save(temporary)


def _check_archive(path):
    if path.suffix in (".h5", ".hdf5"):
        return
    if path.stat().st_size == 0:
        raise BadInputError(f"A model is a .keras file. Received: {path}, which is empty. Save the model again.")
    head = path.read_bytes()[:8]
    if head[4:8] == b"TFL3":
        raise BadInputError(
            f"A model to fold is a .keras file. Received: {path}, a .tflite file, whose layers are fixed already. "
            "Start from the Keras model it was converted from."
        )
    if path.suffix != ".keras":
        raise BadInputError(f'A model is a .keras file. Received: {path}. Save it with model.save("model.keras").')
    if not head.startswith(b"PK"):
        raise BadInputError(
            f'A .keras file is a zip archive. Received: {path}, which is something else. Save the model with '
            'model.save("model.keras").'
        )
    try:
        with zipfile.ZipFile(path) as archive:
            broken, names = archive.testzip(), set(archive.namelist())
    except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        raise BadInputError(
            f"A .keras file must be whole. Received: {path}, which is cut short or damaged ({error}). "
            "Copy or save it again."
        ) from error
    missing = {"config.json", "model.weights.h5"} - names
    if broken or missing:
        what = f"{broken} is damaged" if broken else f"{', '.join(sorted(missing))} missing"
        raise BadInputError(f"A .keras file must be whole. Received: {path} with {what}. Copy or save it again.")


def _objects_of(modules):
    """Everything Keras could ask for by name in the given modules."""
    objects = {}
    # Where the command is run, like `python -m`: people's layers lie beside their model.
    if modules and "" not in sys.path:
        sys.path.insert(0, "")
    for name in modules:
        try:
            module = importlib.import_module(name)
        except Exception as error:  # the user's own code may raise anything
            raise BadInputError(
                f"--custom-objects names an importable Python module. Received: {name} ({error}). "
                "Run from the folder it lies in, or set PYTHONPATH."
            ) from error
        objects |= {key: value for key, value in vars(module).items() if callable(value) and not key.startswith("_")}
    return objects


def _explained(path, error):
    text = " ".join(str(error).split())
    if "safe_mode" in text or "unsafe" in text.lower():
        return (
            f"A model file is data, not code. Received: {path}, which brings Python code in a Lambda layer. "
            "If you trust where it comes from, add --allow-unsafe (allow_unsafe=True)."
        )
    if "Could not locate" in text or "Unknown layer" in text or "unknown object" in text.lower():
        return (
            f"Every class that a model file names must be known. Received: {path}: {_first_sentence(text)} "
            "Name the module that defines it: --custom-objects package.module."
        )
    return (
        f"A model is a file that Keras {keras.__version__} can load. Received: {path}: {_first_sentence(text)} "
        "Save the model again with model.save()."
    )


def _first_sentence(text):
    first = text.split(". ")[0][:300].rstrip(".")
    return first + "."
