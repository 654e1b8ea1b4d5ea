"""What a classifier gives: logits, or probabilities behind a softmax."""
import keras

from tfold.graph.capture import capture

LOGITS, SOFTMAX, SIGMOID = "logits", "softmax", "sigmoid"


def kind_of_scores(model):
    """`LOGITS`, `SOFTMAX` or `SIGMOID`: what a model's (first) output is."""
    graph = capture(model)
    node = graph[graph.outputs[0]]
    while node.op == "identity":
        node = graph[node.inputs[0]]
    function = node.attrs["fn"] if node.op == "activation" else None
    return function if function in (SOFTMAX, SIGMOID) else LOGITS


def classification_loss(model):
    """The loss of class numbers that fits the model's output."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=kind_of_scores(model) == LOGITS)
