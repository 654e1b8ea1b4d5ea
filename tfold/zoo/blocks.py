"""The activations of each inverted residual, by the names of its layers: what Layer Folding learns away together.

    block 0    depthwise ─ σ ─ project                            ["expanded_conv_depthwise_relu"]
    block i    expand ─ σ ─ depthwise ─ σ ─ project               ["block_1_expand_relu", "block_1_depthwise_relu"]
"""
import re

from tfold.errors import BadInputError

# MobileNetV2 and EfficientNet: the block, then which of its activations it is
NAMES = (
    re.compile(r"(?P<block>expanded_conv|block_\d+)_(?P<which>expand_relu|depthwise_relu)"),
    re.compile(r"(?P<block>block\d+[a-z])_(?P<which>expand_activation|activation)"),
)
SECOND = ("depthwise_relu", "activation")


def inverted_residual_activations(model):
    """Return the names of the activations of each inverted residual, for `tie=` of `tfold.prefold`.

    Args:
        model: a MobileNetV2 or EfficientNetLite, of `tfold.zoo` or of keras.applications, with its layers' names.

    Returns:
        For each block, from the first on, the list of the names of its activations: two, only one in a block without
        expansion. Block 0 is `expanded_conv`, as in table 2 of Layer Folding (arXiv 2106.09309).

    Raises:
        BadInputError: the model has no blocks of these names.

    Example:

    >>> blocks = inverted_residual_activations(model)
    >>> blocks[:2]
    [['expanded_conv_depthwise_relu'], ['block_1_expand_relu', 'block_1_depthwise_relu']]
    >>> f_alpha = tfold.prefold(model, only=sum(blocks, []), tie=[block for block in blocks if len(block) > 1])
    """
    layers = getattr(model, "layers", ())
    for pattern in NAMES:
        blocks = {}
        for layer in layers:
            found = pattern.fullmatch(layer.name)
            if found:
                blocks.setdefault(found["block"], []).append(found)
        # Other networks have blocks of such names without a depthwise convolution (EfficientNetV2).
        if blocks and all(block[-1]["which"] in SECOND for block in blocks.values()):
            return [[found[0] for found in block] for block in blocks.values()]
    raise BadInputError(
        "Inverted residuals are found by the layers' names of MobileNetV2 or EfficientNet-lite. Received: "
        f"{getattr(model, 'name', type(model).__name__)!r}, which has no such layers. Give the inner model if it is "
        "nested; write the names yourself for another network."
    )
