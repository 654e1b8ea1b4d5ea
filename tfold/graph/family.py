"""The two Keras that a network can be of: Keras 3 (`keras`), and Keras 2, which lives on as `tf_keras`.

    family_of(layer).layers.Dense(4)

What both call by the same name is used alike; what differs has its name here. tf_keras is imported where somebody
passes a model of it or asks for one, and never before: most people have none.
"""
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec

import keras

from tfold.errors import BadInputError

NAMES = ("keras", "tf_keras")


class Family:
    """One of the two.

    Attributes:
        name: "keras" or "tf_keras".
        keras: the module.
        layers: its layers.
        batch_norms: the classes of its batch norms.
    """

    def __init__(self, name, module):
        self.name, self.keras, self.layers = name, module, module.layers
        self.batch_norms = (self.layers.BatchNormalization,)

    def __repr__(self):
        return self.name

    def made(self, layer):
        """Whether a layer is of a class that comes with this Keras, not of a user's own."""
        return type(layer).__module__.startswith(f"{self.name}.")

    def is_graph_model(self, op):
        """Whether `op` is a Functional or Sequential model, so that its layers say all that it computes."""
        if isinstance(op, self.keras.Sequential):
            return type(op).call is self.keras.Sequential.call
        # A subclass with its own `call` computes something else.
        return isinstance(op, self.functional) and type(op).call is self.functional.call

    def output_names(self, model):
        """What losses and metrics call a model's outputs."""
        # A Sequential model of Keras 3 has no names for its one output; Keras takes the last layer's if it needs one.
        is_sequential = isinstance(model, self.keras.Sequential)
        return [model.layers[-1].name] if is_sequential else list(model.output_names)

    @property
    def functional(self):
        """The class of Model(inputs, outputs), which has no public name."""
        if "functional" not in vars(self):
            probe = self.keras.Input((1,), name="probe")
            vars(self)["functional"] = type(self.keras.Model(probe, probe, name="probe"))
        return vars(self)["functional"]

    # What the two do differently, here as Keras 3 does it.

    def flatten(self, structure):
        return keras.tree.flatten(structure)

    def map_structure(self, function, structure):
        return keras.tree.map_structure(function, structure)

    def tensor(self, values, dtype):
        return keras.ops.convert_to_tensor(values, dtype=dtype)

    def reshape(self, tensor, shape):
        return keras.ops.reshape(tensor, shape)

    def transpose(self, tensor, axes):
        return keras.ops.transpose(tensor, axes)

    def compiled(self, function):
        """What a function without arguments gives when XLA compiles it, as TensorFlow alone offers it."""
        if keras.backend.backend() != "tensorflow":
            return function()
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)()

    def cast(self, tensor, dtype):
        return keras.ops.cast(tensor, dtype)

    @contextmanager
    def float64(self):
        """A context in which float64 stays float64 on every backend.

        JAX has no such type unless it is told so, and Keras itself makes float32 of it on all backends but TensorFlow.
        """
        with ExitStack() as stack:
            if keras.backend.backend() == "jax":
                from jax.experimental import enable_x64

                stack.enter_context(enable_x64())
            narrowed = getattr(import_module("keras.src.backend.common.dtypes"), "BIT64_TO_BIT32_DTYPE", {})
            stack.callback(narrowed.update, dict(narrowed))
            narrowed["float64"] = "float64"
            yield

    def epsilon(self):
        return keras.config.epsilon()

    def argument(self, fn):
        """What to give as `activation=` for a function by Keras 3's name; None where there is no such name."""
        return fn

    def fn(self, function):
        """Keras 3's name of an activation function; None if it is not one of this Keras' own."""
        try:
            name = keras.activations.serialize(function)
        except (TypeError, ValueError):  # a callable that Keras cannot write down, as a functools.partial
            return None
        return name if isinstance(name, str) and keras.activations.get(name) is function else None


class _TfKeras(Family):
    # Keras 3's names of the functions that both have. `hard_sigmoid` is none: x/5 + 1/2 here, x/6 + 1/2 there.
    ARGUMENTS = {name: name for name in (
        "linear", "relu", "relu6", "elu", "selu", "softplus", "softsign", "gelu", "mish", "sigmoid", "tanh",
        "exponential", "softmax", "log_softmax")} | {"silu": "swish"}

    def __init__(self, name, module):
        import tensorflow as tf

        super().__init__(name, module)
        self.tf = tf
        self.batch_norms += (self.layers.experimental.SyncBatchNormalization,)
        get = module.activations.get
        self._fns = {get(here): there for there, here in self.ARGUMENTS.items()}
        # People pass TensorFlow's own as well: Conv2D(activation=tf.nn.relu).
        self._fns |= {tf.nn.relu: "relu", tf.nn.relu6: "relu6", tf.nn.elu: "elu", tf.nn.selu: "selu",
                      tf.nn.softplus: "softplus", tf.nn.softsign: "softsign", tf.nn.sigmoid: "sigmoid",
                      tf.nn.tanh: "tanh", tf.nn.silu: "silu", tf.nn.softmax: "softmax", tf.nn.leaky_relu: "leaky_relu"}

    def flatten(self, structure):
        return self.tf.nest.flatten(structure)

    def map_structure(self, function, structure):
        return self.tf.nest.map_structure(function, structure)

    def tensor(self, values, dtype):
        return self.tf.cast(self.tf.convert_to_tensor(values), dtype)

    def reshape(self, tensor, shape):
        return self.tf.reshape(tensor, shape)

    def transpose(self, tensor, axes):
        return self.tf.transpose(tensor, axes)

    def compiled(self, function):
        return self.tf.function(function, jit_compile=True, autograph=False)()

    def cast(self, tensor, dtype):
        return self.tf.cast(tensor, dtype)

    def float64(self):
        return nullcontext()

    def epsilon(self):
        return self.keras.backend.epsilon()

    def argument(self, fn):
        return self.ARGUMENTS.get(fn)

    def fn(self, function):
        try:
            return self._fns.get(function)
        except TypeError:  # a callable without a hash
            return None


KERAS = Family("keras", keras)
_loaded = {"keras": KERAS}


def family_named(name):
    """The `Family` of this name.

    Raises:
        BadInputError: it is neither "keras" nor "tf_keras", or tf_keras is not installed.
    """
    if name not in NAMES:
        raise BadInputError(f"A family is {' or '.join(NAMES)}. Received: family={name!r}")
    if name not in _loaded:
        if find_spec(name) is None:
            raise BadInputError(
                "A tf_keras model is made with the package tf_keras. Received: family='tf_keras', and it is not "
                "installed. Install it: pip install tf_keras"
            )
        _loaded[name] = _TfKeras(name, import_module(name))
    return _loaded[name]


def family_of(thing):
    """The `Family` that a model, layer or operation belongs to; Keras 3 for everything else."""
    legacy = sys.modules.get("tf_keras")  # nothing is of tf_keras before that is imported
    return family_named("tf_keras") if legacy and isinstance(thing, legacy.layers.Layer) else KERAS


def loaded():
    """The families that something at hand may be of."""
    return [family_named(name) for name in NAMES if name in sys.modules]


def is_layer(thing):
    """Whether something is a layer of either Keras."""
    return isinstance(thing, family_of(thing).layers.Layer)


def is_operation(thing):
    """Whether something is what `x + 1` makes in a model.

    That is no layer in Keras 3; in tf_keras it is one around a TensorFlow function, and computes in any type.
    """
    return not is_layer(thing) or type(thing).__module__ == "tf_keras.src.layers.core.tf_op_layer"


def is_float(tensor):
    """Whether a tensor of either Keras holds floating-point numbers."""
    return "float" in keras.backend.standardize_dtype(tensor.dtype)
