"""The number formats a .tflite file can have, and what each of them asks of the converter.

    format      weights                 between the ops     needs samples
    float32     float32                 float32             no
    float16     float16                 float32             no              half the size
    dynamic     int8, per channel*      float32             no              a quarter of the size
    int8        int8, per channel       int8                yes             integers from end to end
    int16       int8, per channel       int16               yes             slow: few runtimes have fast kernels for it

* dense layers apart.

`tolerance` is how far the file's outputs may lie from Keras', relative to the largest output: what rounding makes of a
sound network stays far below it, a broken one lies above.
"""
from dataclasses import dataclass

from tfold.errors import BadInputError


@dataclass(frozen=True)
class Format:
    """One number format.

    Args:
        name: as `quantize=` takes it.
        types: number types that inputs and outputs may have; the first is the default.
        needs_samples: whether ranges of tensors must be measured on representative data.
        tolerance: allowed relative difference of the outputs from Keras'.
    """

    name: str
    types: tuple
    needs_samples: bool
    tolerance: float

    @property
    def is_quantized(self):
        return self.name in ("dynamic", "int8", "int16")

    def configure(self, converter, input_type, output_type, samples, float_fallback, select_tf_ops):
        """Set up a `tf.lite.TFLiteConverter`.

        Args:
            converter: the converter.
            input_type, output_type: names of number types.
            samples: function without arguments that yields lists of arrays, or None: ranges are in the model already.
            float_fallback: let ops that have no integer form compute in floats.
            select_tf_ops: allow ops of TensorFlow, which need the Flex delegate.
        """
        import tensorflow as tf

        sets = {"int8": tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
                "int16": tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8}
        # Without samples the ranges are in the model; which ops get none is seen in the file.
        integers = sets.get(self.name) if samples is not None else None
        converter.target_spec.supported_ops = [integers or tf.lite.OpsSet.TFLITE_BUILTINS]
        if integers and float_fallback:
            converter.target_spec.supported_ops.append(tf.lite.OpsSet.TFLITE_BUILTINS)
        if select_tf_ops:
            converter.target_spec.supported_ops.append(tf.lite.OpsSet.SELECT_TF_OPS)
        if self.name != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if self.name == "dynamic":
            # One scale for a dense kernel: of one for each channel, tflite-runtime 2.14 and its like know nothing.
            converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        if self.name == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if samples is not None:
            converter.representative_dataset = samples
        if self.needs_samples:
            converter.inference_input_type = tf.as_dtype(input_type)
            converter.inference_output_type = tf.as_dtype(output_type)


FORMATS = {
    each.name: each
    for each in (
        Format("float32", ("float32",), False, 1e-4),
        Format("float16", ("float32",), False, 1e-2),
        Format("dynamic", ("float32",), False, 0.5),
        Format("int8", ("float32", "int8", "uint8"), True, 0.5),
        Format("int16", ("float32", "int16"), True, 0.1),
    )
}


def format_named(name):
    """The `Format` of that name; None stands for float32. Raises `BadInputError` for any other."""
    name = "float32" if name is None else name
    if name not in FORMATS:
        raise BadInputError(f"quantize is one of {', '.join(FORMATS)}. Received: {name!r}. Choose one of these.")
    return FORMATS[name]


def check_type(format, name, value):
    """The number type of the inputs or outputs: `value`, or the default. Raises `BadInputError` where it cannot be."""
    value = format.types[0] if value is None else value
    if value not in format.types:
        raise BadInputError(
            f"{name} of a {format.name} file is one of {', '.join(format.types)}. Received: {value!r}. "
            "Choose one of these."
        )
    return value
