"""Read and write .keras files, with one clear sentence where Keras has a traceback."""
import importlib
import json
import re
import sys
import zipfile
from pathlib import Path

import keras

from tfold import documents
from tfold.errors import BadInputError, one_line
from tfold.files import check_output, whole
from tfold.model_file import zip_archive
from tfold.model_file.allowed import check, tensorflow_functions
from tfold.model_file.read import LEGACY, read

REPORT = "tfold.json"
# What others read in a report; it has more.
_OF_A_REPORT = {"homes": {str: str}, "before": {"depth": int}, "after": {"depth": int}}
LONGEST_REPORT = 64 * 2**20  # bytes; that of NASNetLarge takes one


def load_model(path, allow_unsafe=False, custom_objects=()):
    """Load a saved Keras model, of Keras 3 or of Keras 2.

    The file's configuration is read as data first, and every class and function in it must be one of Keras, of
    tensorflow-model-optimization or of tfold, or be named by `custom_objects`; no loader sees the file before that.

    Args:
        path: a `.keras` file, or an `.h5` or `.hdf5` file.
        allow_unsafe: run code that the file brings along (Lambda layers), and read other files that it names
            (vocabularies, SavedModels).
        custom_objects: names of modules ("package.module") to import first; every class and function that is defined
            in the module's package and has a name in the module can then be used by the file.

    Returns:
        A `keras.Model`. A file of Keras 2 becomes one where Keras 3 computes the same (checked against tf_keras where
        that is installed), and a `tf_keras.Model` where it does not.

    Raises:
        BadInputError: the file is missing, damaged, of another kind, brings code, names other files, or needs classes
            nobody named.
    """
    return load_file(read(path), allow_unsafe, custom_objects)


def load_file(file, allow_unsafe=False, custom_objects=()):
    """Load the model of a `ModelFile`, as `load_model` does of a path."""
    objects = objects_of(custom_objects)
    check(file, objects, allow_unsafe)
    if file.is_of_keras2:
        from tfold.keras2.load import load  # most files are of Keras 3

        return load(file, objects, allow_unsafe)
    try:
        with keras.saving.custom_object_scope({**tensorflow_functions(file), **objects}):
            return keras.saving.load_model(file.path, compile=False, safe_mode=not allow_unsafe)
    except MemoryError:
        raise
    except Exception as error:  # Keras raises whatever the damaged part makes it raise
        raise BadInputError(_explained(file, error)) from error


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
            with zip_archive.opened(path, "A .keras file") as archive:
                text = archive.read(REPORT) if REPORT in archive.namelist() else None
        else:
            text = path.read_bytes() if path.stat().st_size < LONGEST_REPORT else b"something that is too long"
        if text is None:
            return None
        found = documents.parse(text)
        documents.require(found, {"report": _OF_A_REPORT}, "the document")
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"A fold's report is the document of tfold fold --json, or lies in the .keras file that tfold fold wrote. "
            f"Received: {path}, which has none that can be read ({one_line(error)[:-1]}). Leave it out, or fold again."
        ) from error
    return found["report"]


def objects_of(modules):
    """Return a dict of the classes and functions of the given modules, by the names that a file gives them."""
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


def _explained(file, error):
    """What an error of Keras' loader means, as a sentence for people."""
    path, text = file.path, " ".join(str(error).split())
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
    said = f"A model is a file that Keras {keras.__version__} can load. Received: {path}: {_first_sentence(text)}"
    if _is_newer(file.version, keras.__version__):
        return f"{said} Keras {file.version} has written it. Install that or a newer one: pip install -U keras"
    return f"{said} What it names there is damaged, or was made for another version of Keras or of your own layers."


def _is_newer(version, than):
    """Whether one version's first two numbers are higher than another's."""
    numbers = [re.findall(r"\d+", each)[:2] for each in (version, than)]
    return [*map(int, numbers[0])] > [*map(int, numbers[1])]


def _first_sentence(text):
    """The first sentence of an error's text, on one line, ending in a full stop."""
    first = " ".join(text.split()).split(". ")[0]
    return (first if len(first) <= 300 else f"{first[:299]}…").rstrip(".") + "."
