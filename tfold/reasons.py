"""Why a rule said no: constants, so that reports, tests and people use the same words."""

SHARED_WEIGHTS = "shared weights"
SEVERAL_CONSUMERS = "several consumers"
ACTIVATION_BETWEEN = "activation between"
BORDER_NOT_EXACT = "border not exact"
UNKNOWN_SIZE = "input size unknown"
COSTS_MORE = "costs more"
TRANSPOSED = "transposed convolution"
UNKNOWN_LAYER = "unknown layer"
GRAPH_BOUNDARY = "input or output of the network"
NOT_FINITE = "not finite"
PIXELS_MOVE = "pixels move between"
NO_LINEAR_LAYER = "no linear layer"
DIFFERENT_SHAPES = "shapes do not match"
DIFFERENT_TYPES = "number types do not match"
PADDING_STAYS = "padding stays"
COMPETES = "competes"
NEGATIVE_SCALE = "negative scale"
NOT_INVERTIBLE = "not invertible"
IMPRECISE = "imprecise"
PREPROCESSING = "preprocessing"
PART_OF_ACTIVATION = "part of an activation"

MEANING = {
    SHARED_WEIGHTS: "the layer is called more than once, and all calls must keep the same weights",
    SEVERAL_CONSUMERS: "the tensor between the two layers is also read elsewhere",
    ACTIVATION_BETWEEN: "a non-linear layer stands between the two",
    BORDER_NOT_EXACT: "zero padding stands between the two, so that the border pixels would differ",
    UNKNOWN_SIZE: "what happens at the border depends on the input size, which the model leaves open (None)",
    COSTS_MORE: "the merged layer would cost more than the layers it replaces",
    TRANSPOSED: "a transposed convolution reaches each output pixel a different number of times",
    UNKNOWN_LAYER: "tfold does not know what this layer computes, so it is kept as it is",
    GRAPH_BOUNDARY: "the tensor is an input or output of the network and must keep its values",
    NOT_FINITE: "the folded weights would not be finite numbers",
    PIXELS_MOVE: "a layer that cuts, repeats or rearranges pixels stands between, which no convolution does",
    NO_LINEAR_LAYER: "pooling, slices and sums alone do not become a convolution or dense layer",
    DIFFERENT_SHAPES: "the layers' outputs differ in shape",
    PADDING_STAYS: "zero padding that no \"same\" padding equals stays a layer (a PAD in TFLite)",
    COMPETES: "a tensor is stored in one form, and another layer that goes needs another than this one",
    NEGATIVE_SCALE: "a negative scale does not pass a ReLU or a maximum",
    NOT_INVERTIBLE: "its scale is zero in some channel, and what it reads is needed elsewhere",
    IMPRECISE: "float32 would lose digits: a large number would be added and taken off again",
    PREPROCESSING: "it was to be kept: a network is trained badly without the scaling of its input",
    PART_OF_ACTIVATION: "it is a part of an activation function, for which runtimes have one operation",
    DIFFERENT_TYPES: "the layers compute in different number types, such as float16 and float32",
}


class Refusal(Exception):
    """A rule's "no", with its reason (one of the constants here) and a detail in words.

    Passes catch it and put it into the report; it is never a user's error.
    """

    def __init__(self, reason, detail=""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
