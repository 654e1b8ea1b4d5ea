"""A model file's configuration, read as data: nothing that the file names is made, imported or opened."""
import io
from dataclasses import dataclass
from pathlib import Path

from tfold import documents
from tfold.errors import BadInputError, one_line
from tfold.model_file import hdf5, zip_archive
from tfold.model_file.zip_archive import MOST_PER_PACKED_BYTE

LEGACY = (".h5", ".hdf5")
WEIGHTS = ("model.weights.h5", "model.weights.npz")
LONGEST_CONFIG = 64 * 2**20  # bytes; NASNetLarge takes one and a half


@dataclass(frozen=True)
class ModelFile:
    """What a model file says about itself.

    Attributes:
        path: of the file.
        config: dict with "class_name" and "config", as Keras wrote it; parsed JSON and nothing else.
        version: of the Keras that wrote it, as the file says it ("2.4.0", "3.15.1"); "" where it does not.
        backend: the backend of an .h5 file ("tensorflow", "theano"); "" where the file does not say it.
        training: how the model was compiled, as the file says it; None where it does not.
    """

    path: Path
    config: dict
    version: str
    backend: str = ""
    training: dict | None = None

    @property
    def is_hdf5(self):
        """Whether the file is an .h5 file and no .keras archive."""
        return self.path.suffix in LEGACY

    @property
    def is_of_keras2(self):
        """Whether Keras 2 wrote the file, that is tf_keras, tf.keras before TensorFlow 2.16, or Keras before 3."""
        if self.version:
            return self.version.split(".")[0] in ("1", "2")
        return "batch_input_shape" in str(self.config)  # what Keras 3 calls batch_shape

    @property
    def is_quantize_aware(self):
        """Whether the network is wrapped by TFMOT for quantization-aware training."""
        return bool(self.classes() & {"QuantizeWrapper", "QuantizeWrapperV2", "QuantizedLayer"})

    def classes(self):
        """Return the names of all classes in the configuration, wrappers and what stands inside them included.

        Example:

        >>> sorted(read(path).classes())
        ['Dense', 'Functional', 'InputLayer']
        """
        found, todo = set(), [self.config]
        while todo:
            each = todo.pop()
            if isinstance(each, dict):
                found.add(str(each.get("class_name", "")).rpartition(">")[2])
                todo += each.values()
            elif isinstance(each, list):
                todo += each
        return found - {""}


def read(path):
    """Return the `ModelFile` of a `.keras` or `.h5` file.

    Args:
        path: of the file.

    Raises:
        BadInputError: the file is missing, damaged, of another kind, refers to other files, or is made to fill the
            memory.
    """
    path = Path(path)
    _check_kind(path)
    found = _read_hdf5(path) if path.suffix in LEGACY else _read_archive(path)
    _check_sizes(found)
    return found


def _read_archive(path):
    with zip_archive.opened(path, "A .keras file") as archive:
        names = set(archive.namelist())
        if "config.json" not in names or not names & set(WEIGHTS):
            raise BadInputError(
                f"A .keras file is a zip archive of config.json and model.weights.h5. Received: {path}, an archive of "
                f'{", ".join(sorted(names)[:3]) or "nothing"}. Save the model with model.save("model.keras").'
            )
        if archive.getinfo("config.json").file_size > LONGEST_CONFIG:
            raise _too_long(path)
        config = _config(path, archive.read("config.json"))
        version = _version(archive.read("metadata.json")) if "metadata.json" in names else ""
        for name in names - {"config.json", "metadata.json"}:
            content = archive.read(name)  # compares the checksum, too
            if name == "model.weights.h5":
                with hdf5.opened(path, io.BytesIO(content), archive.getinfo(name).compress_size):
                    pass
    return ModelFile(path, config, version, training=config.pop("compile_config", None))


def _read_hdf5(path):
    with hdf5.opened(path) as file:
        config = file.attrs.get("model_config")
        if config is None:
            what = "a SavedModel's" if "_CHECKPOINTABLE_OBJECT_GRAPH" in file else "a network's"
            raise BadInputError(
                f"A model file holds a network's layers and its weights. Received: {path}, which has {what} weights "
                'alone. Make the network, load the weights with model.load_weights(path), and save it all with '
                'model.save("model.keras").'
            )
        if len(config) > LONGEST_CONFIG:
            raise _too_long(path)
        said = {key: _text(file.attrs.get(key)) for key in ("keras_version", "backend")}
        if "model_weights" in file:  # tf_keras writes both there, too
            said = {key: value or _text(file["model_weights"].attrs.get(key)) for key, value in said.items()}
        training = file.attrs.get("training_config")
    try:
        training = None if training is None else documents.parse(training)
    except ValueError:  # of use to whoever trains it further
        training = None
    return ModelFile(path, _config(path, config), said["keras_version"], said["backend"], training)


def _check_sizes(file):
    """Raise where a layer has more units than the file can hold weights: a loader would make them all."""
    most = MOST_PER_PACKED_BYTE * file.path.stat().st_size
    todo = [file.config]
    while todo:
        each = todo.pop()
        if isinstance(each, dict):
            for key in _SIZES:
                if isinstance(each.get(key), (int, float)) and each[key] > most:
                    raise BadInputError(
                        f"A layer has at most as many units as its file has weights. Received: {file.path}, in which "
                        f"{key} of layer {each.get('name')!r} is {str(each[key])[:20]}. Save the model again.")
            todo += each.values()
        elif isinstance(each, list):
            todo += each


_SIZES = "units", "filters", "input_dim", "output_dim", "num_heads", "key_dim", "value_dim", "depth_multiplier"


def _text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _version(text):
    try:
        return str(documents.parse(text)["keras_version"])
    except (ValueError, TypeError, KeyError):  # who wrote it does not matter as long as the configuration is one
        return ""


def _config(path, text):
    try:
        config = documents.parse(text)
    except ValueError as error:  # UnicodeDecodeError is one too
        config, why = None, f" ({one_line(error)[:-1]})"
    else:
        why = ""
    if not (isinstance(config, dict) and isinstance(config.get("class_name"), str)
            and isinstance(config.get("config"), (dict, list))):
        where = "model_config" if path.suffix in LEGACY else "config.json"
        raise BadInputError(
            f"A model file describes a Keras model in its {where}. Received: {path}, whose {where} is something "
            f'else{why}. Save the model with model.save("model.keras").'
        )
    return config


def _too_long(path):
    return BadInputError(
        f"A model's configuration has at most {LONGEST_CONFIG // 2**20} MiB. Received: {path}, whose configuration is "
        'longer. Save the model with model.save("model.keras").'
    )


def _check_kind(path):
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
