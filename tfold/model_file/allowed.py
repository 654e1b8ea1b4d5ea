"""Which classes and functions a model file may name: those of Keras, of TFMOT, of tfold, and those that the user names.

A loader imports the modules and calls the classes and functions that a configuration names. So the configuration is
compared with a list of what is harmless before a loader sees it, and everything else is refused, in the words of what
it is: code, a function of another module, or a file to be read.
"""
import sys
from functools import cache, reduce

import keras

from tfold.errors import BadInputError
from tfold.model_file.tensorflow_functions import only_computes

# Layers of Keras that run code of the file's, or read other files.
_CODE = {"TorchModuleWrapper": "pickled objects, which run code when they are read", "JaxLayer": "a function",
         "FlaxLayer": "a module"}
_SAVED_MODEL = "TFSMLayer"
# Layers that read a vocabulary from a file where they get its name instead.
_VOCABULARIES = {"StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup"}
_VOCABULARY_KEYS = ("vocabulary", "idf_weights", "vocabulary_file")
# What Keras' formats write for values that JSON does not have.
_VALUES = {"__tuple__", "__numpy__", "__tensor__", "__keras_tensor__", "__bytes__", "__ellipsis__", "__slice__",
           "__complex__", "__set__", "TensorShape"}
_MODULES_OF_FUNCTIONS = ("keras.src.activations.", "keras.src.ops.", "keras.src.losses.", "keras.src.metrics.",
                         "keras.src.initializers.", "keras.src.regularizers.", "keras.src.constraints.")
_PLACES = ("activations", "losses", "metrics", "initializers", "regularizers", "constraints", "ops")


def check(file, objects=(), allow_unsafe=False, compiled=False):
    """Raise `BadInputError` where a model file names something that is not known to be harmless.

    Args:
        file: a `ModelFile`.
        objects: dict of the classes and functions that the user has named, by the names that files give them.
        allow_unsafe: the user trusts the file: its code may run and it may read other files. Classes and functions
            must be known all the same.
        compiled: the loader will compile the model, so that optimizer, losses and metrics count as well.
    """
    objects = {**dict(objects), **keras.saving.get_custom_objects()}
    todo = [(file.config, None), *([(file.training, None)] if compiled else [])]
    while todo:
        each, layer = todo.pop()
        if isinstance(each, list):
            todo += [(inner, layer) for inner in each]
        elif isinstance(each, dict):
            if "class_name" in each:
                layer = _named(each) or layer
                _check_object(file, each, layer, objects, allow_unsafe)
            todo += [(inner, layer) for inner in each.values()]


def _named(described):
    config = described.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    return name if isinstance(name, str) else None


def _check_object(file, described, layer, objects, allow_unsafe):
    """Raise where one object of a configuration, `{"class_name": …, "config": …}`, is not allowed."""
    kind, config = described["class_name"], described.get("config")
    if not isinstance(kind, str):
        raise _unknown(file, str(kind)[:80], described.get("module"), layer)
    if kind == "function":
        _check_function(file, described, layer, objects)
    elif kind == "__lambda__" or (kind == "Lambda" and _has_code(config)):
        if not allow_unsafe:
            raise _is_code(file, f"Python code in a Lambda layer{f' ({layer!r})' if layer else ''}")
    elif kind in _VALUES or _is_named(described, objects):
        pass
    elif kind in _CODE:
        if not allow_unsafe:
            raise _is_code(file, f"{_CODE[kind]} in the {kind} {layer!r}")
    elif kind == _SAVED_MODEL:
        if not allow_unsafe:
            raise _reads(file, f"the SavedModel {_path_in(config, 'filepath')!r} ({kind} {layer!r})")
    elif kind in ("TFOpLambda", "SlicingOpLambda"):
        _check_tf_function(file, config, layer)
    elif not _is_known(file, described):
        raise _unknown(file, kind, described.get("module"), layer)
    if kind in _VOCABULARIES and isinstance(config, dict) and not allow_unsafe:
        for key in _VOCABULARY_KEYS:
            if isinstance(config.get(key), str):
                raise _reads(file, f"the {key} {config[key]!r} ({kind} {layer!r})")


def _has_code(config):
    """Whether a Lambda layer brings code, and does not only name a function, which must be known like any other."""
    if not isinstance(config, dict) or any(config.get(f"{key}_type") == "lambda" for key in ("output_shape", "mask")):
        return True
    return not isinstance(config.get("function"), dict)  # with __lambda__ in it, it is seen there


def _is_named(described, objects):
    """Whether the user has named the class, or registered it in this process."""
    return any(isinstance(name, str) and name in objects
               for name in (described["class_name"], described.get("registered_name")))


def _check_function(file, described, layer, objects):
    name, module = described.get("config"), described.get("module")
    if isinstance(name, str) and name in objects:
        return
    if not isinstance(name, str):
        raise _unknown(file, str(name)[:80], module, layer)
    if module in (None, "builtins"):
        found = next(filter(None, (getattr(getattr(keras, place), name, None) for place in _PLACES)), None)
    elif tensorflow_activation(described):
        return
    else:
        found = _resolved(module, name)
        if found is None and isinstance(module, str) and module.partition(".")[0] in ("keras", "tf_keras"):
            found = getattr(keras.activations, name, None)  # a function's module inside an older Keras
    if not getattr(found, "__module__", "").startswith(_MODULES_OF_FUNCTIONS):
        raise _unknown(file, name, module, layer)


def tensorflow_functions(file):
    """Return TensorFlow's functions that a file of Keras 3 names as activations, as Keras' functions.

    `Dense(8, activation=tf.nn.relu)` is saved by the function's name and module, which Keras does not load.
    """
    found, todo = {}, [file.config]
    while todo:
        each = todo.pop()
        if isinstance(each, dict):
            name = tensorflow_activation(each)
            if name is not None:
                found[each["config"]] = getattr(keras.activations, name)
            todo += each.values()
        elif isinstance(each, list):
            todo += each
    return found


def tensorflow_activation(described):
    """Return Keras' name of an activation that was given as TensorFlow's function (`tf.nn.relu`), or None.

    Args:
        described: how a configuration describes a function.
    """
    name, module = described.get("config"), described.get("module")
    if described.get("class_name") != "function" or not isinstance(name, str):
        return None
    known = {"relu", "relu6", "elu", "selu", "softplus", "softsign", "sigmoid", "tanh", "softmax", "log_softmax",
             "swish", "silu", "gelu", "leaky_relu"}
    is_tensorflow = isinstance(module, str) and module.startswith("tensorflow.python.")
    return {"swish": "silu"}.get(name, name) if is_tensorflow and name in known else None


def _check_tf_function(file, config, layer):
    symbol = config.get("function") if isinstance(config, dict) else None
    if config == {} or symbol is None and isinstance(config, dict):
        symbol = "__operators__.getitem"  # a slice does not always say it
    if not only_computes(symbol):
        raise BadInputError(
            "Of TensorFlow's functions a model file calls those that only compute. Received: "
            f"{file.path}, whose layer {layer!r} calls tf.{symbol}. Replace the layer in the model.")


def _is_known(file, described):
    """Whether a class is one of Keras', TFMOT's or tfold's that holds no code and reads no files."""
    kind, module = described["class_name"], described.get("module")
    if file.is_of_keras2 and _of_keras2(kind, module):
        return True
    if isinstance(module, str):
        found = _resolved(module, kind)
        return isinstance(found, type) and found in _harmless()
    return module is None and kind in {each.__name__ for each in _harmless()}


@cache
def _harmless():
    """The classes of Keras and tfold that a configuration may name."""
    from tfold import registration

    registration.register_with_keras()
    bases = (keras.Operation, keras.initializers.Initializer, keras.regularizers.Regularizer,
             keras.constraints.Constraint, keras.DTypePolicy, keras.Quantizer, keras.optimizers.Optimizer,
             keras.losses.Loss, keras.metrics.Metric, keras.optimizers.schedules.LearningRateSchedule)
    found = set(bases)
    todo = list(bases)
    while todo:
        new = set(todo.pop().__subclasses__()) - found
        found |= new
        todo += new
    found |= {kind for kind in vars(keras.quantizers).values() if isinstance(kind, type)}
    return frozenset(each for each in found
                     if each.__module__.partition(".")[0] in ("keras", "tfold")
                     and each.__name__ not in _CODE and each.__name__ != _SAVED_MODEL)


def _resolved(module, name):
    """What Keras 3 finds under a module's name, without importing anything; None where that is nothing of Keras."""
    if not isinstance(module, str) or module.partition(".")[0] not in ("keras", "tfold"):
        return None
    place = sys.modules.get(module)
    if place is None:
        place = reduce(lambda found, part: getattr(found, part, None), module.split(".")[1:], keras)
    return getattr(place, name, None)


# Layers that Keras 2 had and Keras 3 has not, or not under this name; what tf_keras.layers has comes beside these.
_KERAS2_KINDS = {
    "Model", "Functional", "Sequential", "InputLayer", "InputSpec", "ThresholdedReLU", "LocallyConnected1D",
    "LocallyConnected2D", "CuDNNLSTM", "CuDNNGRU", "SyncBatchNormalization", "BatchNormalizationV1",
    "BatchNormalizationV2", "Policy", "PolicyV1", "LSTMV1", "GRUV1",
    "LSTMV2", "GRUV2", "RandomHeight", "RandomWidth", "ConvRNN2D", "ConvLSTM2DCell", "PeepholeLSTMCell",
    "LossScale", "FixedLossScale", "DynamicLossScale",
}
_KERAS2_VALUES = {  # initializers, regularizers and constraints under the names of their time
    "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros", "Ones", "Constant", "Identity",
    "Orthogonal", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "L1", "L2",
    "L1L2", "OrthogonalRegularizer", "MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm", "RadialConstraint",
}
_KERAS2_LOWER = {name.lower() for name in _KERAS2_VALUES}  # "glorot_uniform", "max_norm", "maxnorm"
# What TFMOT puts around layers, and what describes it; the last line is tfold's own (`quantize_aware`).
_TFMOT = {
    "PruneLowMagnitude", "ClusterWeights", "QuantizeWrapper", "QuantizeWrapperV2", "QuantizeLayer", "QuantizeAnnotate",
    "Default8BitQuantizeConfig", "Default8BitOutputQuantizeConfig", "Default8BitConvQuantizeConfig",
    "Default8BitConvTransposeQuantizeConfig", "NoOpQuantizeConfig", "Default8BitConvWeightsQuantizer",
    "Default8BitConvTransposeWeightsQuantizer", "LastValueQuantizer", "MovingAverageQuantizer", "AllValuesQuantizer",
    "QuantizeAwareActivation", "PolynomialDecay", "ConstantSparsity",
    "QuantizedLayer", "Int8", "WithConstant", "HardSwish",
}
_PACKAGES = ("Experimental>", "keras>", "tfold>", "Custom>")  # under which Keras 2 registers some of its own
_TFMOT_PACKAGES = ("tensorflow_model_optimization", "tfold", "keras", "tf_keras")


def _of_keras2(kind, module):
    """Whether a class of a Keras 2 file is Keras' or TFMOT's: it has a name alone, or a module of its time."""
    name = kind.rpartition(">")[2] if kind.startswith(_PACKAGES) else kind
    package = "keras" if module is None else str(module).partition(".")[0]
    if name in _TFMOT:
        return package in _TFMOT_PACKAGES
    if package not in ("keras", "tf_keras", "tensorflow", "builtins"):
        return False
    return (name in _KERAS2_KINDS or name in _KERAS2_VALUES or name.replace("_", "").lower() in _KERAS2_LOWER
            or name in {each.__name__ for each in _harmless()} or hasattr(keras.layers, name) and name not in _CODE)


def _unknown(file, name, module, layer):
    where = [f"of the module {module}"] * (module not in (None, "builtins")) + [f"in layer {layer!r}"] * bool(layer)
    where = f" ({', '.join(where)})" if where else ""
    return BadInputError(
        "Every class and function that a model file names must be known: one of Keras, TFMOT or tfold, or of a module "
        f"that you name. Received: {file.path}, which names {name!r}{where}. "
        "If you trust it, name the module that defines it: --custom-objects package.module.")


def _is_code(file, what):
    return BadInputError(
        f"A model file is data, not code. Received: {file.path}, which brings {what}. "
        "If you trust where it comes from, add --allow-unsafe (allow_unsafe=True).")


def _reads(file, what):
    return BadInputError(
        f"A model file reads no other file. Received: {file.path}, which names {what}. "
        "If you trust where it comes from, add --allow-unsafe (allow_unsafe=True).")


def _path_in(config, key):
    return config.get(key) if isinstance(config, dict) else None
