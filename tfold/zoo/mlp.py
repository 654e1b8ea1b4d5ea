"""The fully connected network of Layer Folding (Dror et al., arXiv 2106.09309, section 4), for MNIST.

    flatten ─ dense_1 ─ relu_1 ─ … ─ dense_d-1 ─ relu_d-1 ─ logits          depth d: that many linear layers in all

The paper trains it with 2 to 10 layers. Where one activation is learned away, two of its layers become one.
"""
from keras import Input, Model, layers

from tfold.errors import BadInputError
from tfold.zoo.arguments import activation_function, check_classes, check_whole


def MnistMLP(depth=5, width=256, classes=10, input_shape=(28, 28), activation="relu", name=None):
    """Return a fully connected network for small images.

    Hidden layers are called `dense_1`, `dense_2`…, their activations, each a layer of its own, `relu_1`, `relu_2`…
    (after the name of another `activation`), and the classifier `logits`. Kernels start as He et al. have them.

    Args:
        depth: number of linear layers, the classifier among them; 2 to 10 in the paper.
        width: number of channels of each hidden layer.
        classes: number of outputs (logits).
        input_shape: shape of one image, which is flattened.
        activation: name of a Keras activation, or a function.
        name: of the model; `mlp<depth>` by default.

    Returns:
        An uncompiled `keras.Model` with random weights.

    Raises:
        BadInputError: an argument is out of range.

    Example:

    >>> MnistMLP(5).count_params()
    400906
    """
    check_whole("depth", depth, "The paper has 2 to 10.")
    check_whole("width", width, "The default is 256.")
    check_classes(classes)
    sizes = isinstance(input_shape, (tuple, list)) and all(isinstance(n, int) and n > 0 for n in input_shape)
    if not sizes or not input_shape:
        raise BadInputError(
            f"input_shape is the shape of one image. Received: input_shape={input_shape!r}. MNIST has (28, 28)."
        )
    function = activation_function("activation", activation)
    prefix = activation if isinstance(activation, str) else "activation"
    x = Input(tuple(input_shape), name="image")
    y = layers.Flatten(name="flatten")(x)
    for i in range(1, depth):
        y = layers.Dense(width, kernel_initializer="he_normal", name=f"dense_{i}")(y)
        kind = layers.ReLU(name=f"relu_{i}") if activation == "relu" \
            else layers.Activation(function, name=f"{prefix}_{i}")
        y = kind(y)
    y = layers.Dense(classes, kernel_initializer="he_normal", name="logits")(y)
    return Model(x, y, name=name or f"mlp{depth}")
