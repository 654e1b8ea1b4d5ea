"""Quantisation-aware training: a network that computes as its int8 file will, and learns to be right in spite of it.

    folded.keras ─ quantize_aware ─▶ tf_keras model, wrapped by TFMOT ─ fit ─ export(quantize="int8") ─▶ int8 .tflite

    model = tfold.quantize_aware(folded)
    model.compile(tf_keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=3)
    tfold.export(model, "int8.tflite", quantize="int8")

tensorflow-model-optimization (TFMOT) works on tf_keras, so the model is one of tf_keras, whatever it came from: compile
it with optimizers, losses and callbacks of tf_keras, or with their names, and feed it arrays, a `tf.data.Dataset` or a
`tf_keras.utils.Sequence`. Its weights begin as the network's.
"""
import warnings
from dataclasses import replace

from tfold.checks import check_settled
from tfold.errors import BadInputError
from tfold.graph.build import build
from tfold.graph.capture import capture
from tfold.graph.legacy_calls import read_calls
from tfold.graph.tfmot import is_quantize_aware, tfmot_classes
from tfold.graph.walls import parts
from tfold.keras2.load import with_tf_keras
from tfold.keras2.tfmot_installed import check_installed
from tfold.model_file.allowed import check
from tfold.model_file.read import read


def quantize_aware(model):
    """A network as it computes in int8, to be trained.

    Weights of convolutions are rounded with a scale for each channel, those of dense layers with one for all; between
    layers, numbers are rounded where an int8 .tflite file rounds them. Ranges of these numbers are learnt by `fit`,
    from its first batch on; before it, only weights are rounded. Batch norms right behind a convolution go on; others
    become constants. A folded network has none, so learning rates have to be small: Adam at 1e-5 to 1e-4, not 1e-2.

    Args:
        model: a Functional or Sequential model of Keras 3 or tf_keras, best a folded one. It is not changed.

    Returns:
        A new `tf_keras.Model` with the weights, inputs, outputs and layer names of `model`. `tfold.export` makes an
        int8 file of it, without representative data.

    Raises:
        BadInputError: the model cannot be quantised so; says what stands in the way.
        TfoldError: tensorflow-model-optimization or tf_keras is not installed.

    Warns:
        UserWarning: some layers compute in floats in the file too; see `not_quantized`.

    Example:

    >>> model = tfold.quantize_aware(tfold.fold(trained).model)
    >>> model.compile(tf_keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy")
    >>> model.fit(x, y, epochs=3)
    >>> tfold.export(model, "int8.tflite", quantize="int8")
    """
    check_installed()
    if any(tfmot_classes(layer) & {"QuantizeWrapper", "QuantizeAnnotate"} for layer in parts(model)):
        raise BadInputError(
            f"A network is made quantisation-aware once. Received: {model.name!r}, which TFMOT has wrapped already. "
            "Pass the network that it was made of."
        )
    # TFMOT is imported here and not before: most people have none.
    from tfold.tflite.qat_build import quantized
    from tfold.tflite.qat_prepare import prepare

    graph = capture(model)
    check_settled(graph, "What is quantised is")
    made = quantized(build(prepare(graph), "float32", "tf_keras"))
    floats = not_quantized(made)
    if floats:
        warnings.warn(
            f"{len(floats)} layer{'s' * (len(floats) > 1)} of {model.name!r} will compute in floats in the int8 file: "
            + ", ".join(f"{name} ({why})" for name, why in floats.items()), stacklevel=2)
    return made


def not_quantized(model):
    """The layers of a quantisation-aware model that compute in floats, in its int8 file too.

    Args:
        model: what `quantize_aware` made.

    Returns:
        dict: name of the layer → why, in words.

    Example:

    >>> tfold.not_quantized(tfold.quantize_aware(network))
    {'elu': 'ELU has no int8 form that tfold knows'}
    """
    from tfold.tflite.qat_kinds import kind, title

    found = {}
    for call in read_calls(model).calls:
        own = replace(call, op=call.op.layer) if "QuantizeWrapper" in tfmot_classes(call.op) else call
        if kind(own) == "float":
            found[call.name] = f"{title(own.op)} has no int8 form that tfold knows"
    return found


def load_quantize_aware(path):
    """Load a model that `quantize_aware` made, saved by its `save("model.keras")` or `save("model.h5")`.

    Args:
        path: of the file.

    Returns:
        The `tf_keras.Model`, compiled as it was saved: training can go on.

    Raises:
        BadInputError: there is no such file, or it holds something else.
        TfoldError: tensorflow-model-optimization or tf_keras is not installed.
    """
    return load_file(read(path), compiled=True)


def load_file(file, allow_unsafe=False, objects=(), compiled=False):
    """Load the quantization-aware model of a `ModelFile`, as `load_quantize_aware` does of a path.

    Args:
        file: the `ModelFile`.
        allow_unsafe: run code that the file brings along.
        objects: dict of the user's classes and functions by the names that files give them.
        compiled: compile the model as it was when it was saved.
    """
    path = file.path
    check(file, objects, allow_unsafe, compiled)
    check_installed()
    from tfold.tflite.qat_layers import HardSwish, WithConstant  # registers all that these files have

    # TFMOT's wrapper writes down the layer inside it by its class' name alone.
    inside = {kind.__name__: kind for kind in (HardSwish, WithConstant)}
    model = with_tf_keras(file, {**dict(objects), **inside}, allow_unsafe, compiled)
    if not is_quantize_aware(model):
        raise BadInputError(
            f"A quantisation-aware model has layers wrapped by TFMOT. Received: {path}, in which there are none. Load "
            "it with tf_keras.models.load_model, and pass the model to tfold.quantize_aware."
        )
    return model
