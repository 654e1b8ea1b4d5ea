"""What a classifier gives: logits, or probabilities behind a softmax."""
import keras

from tfold.graph.capture import capture


def gives_probabilities(model):
    """Whether the model's (first) output is that of a softmax or sigmoid."""
    graph = capture(model)
    node = graph[graph.outputs[0].node]
    while node.op == "identity":
        node = graph[node.inputs[0].node]
    return node.op == "activation" and node.attrs["fn"] in ("softmax", "sigmoid")


def classification_loss(model):
    """The loss of class numbers that fits the model's output."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=not gives_probabilities(model))
