"""Distillation: a network learns from another's outputs beside the labels.

    loss = (1 − w) · task loss + w · T² · KL(softmax(teacher / T) ‖ softmax(student / T)) + regularizers

T² keeps the gradients of both parts of one size when T changes. (Hinton, Vinyals, Dean, Distilling the Knowledge in a
Neural Network, arXiv 1503.02531, sec. 2.) In post-folding the teacher is the base network.
"""
import math

import keras

from tfold.errors import BadInputError
from tfold.graph.calls import check_graph_model
from tfold.recipe.scores import gives_probabilities


class _Beside:
    """Holds a model where Keras does not look for layers: it belongs to nobody's weights."""

    def __init__(self, model):
        self.model = model


class Distilled(keras.Model):
    """A student over its own layers, with the teacher's outputs in its loss. Made by `distill`."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        if not training:
            return loss
        rest = sum(self.losses) if self.losses else 0.0
        ops, settings = keras.ops, self.distillation
        teacher = ops.stop_gradient(settings.teacher.model(x, training=False))
        apart = settings.divergence(ops.cast(teacher, "float32"), ops.cast(y_pred, "float32"), sample_weight)
        self.distillation_tracker.update_state(apart)
        return (1 - settings.weight) * (loss - rest) + rest + settings.weight * apart

    @property
    def metrics(self):
        return [*super().metrics, self.distillation_tracker]


class _Settings:
    def __init__(self, teacher, weight, temperature, probabilities):
        self.teacher, self.weight, self.temperature = _Beside(teacher), weight, temperature
        self.teacher_probabilities, self.student_probabilities = probabilities

    def divergence(self, teacher, student, sample_weight):
        """T² · KL, the mean over the batch."""
        ops, t = keras.ops, self.temperature
        p, q = (ops.log(ops.maximum(scores, 1e-7)) if are_probabilities else scores for scores, are_probabilities
                in ((teacher, self.teacher_probabilities), (student, self.student_probabilities)))
        p, q = ops.log_softmax(p / t), ops.log_softmax(q / t)
        each = ops.sum(ops.exp(p) * (p - q), axis=-1)
        if sample_weight is not None:
            each = each * ops.reshape(ops.cast(sample_weight, each.dtype), ops.shape(each))
        return t * t * ops.mean(each)


def distill(student, teacher, weight=0.5, temperature=4.0):
    """Returns a model over the student's own layers that learns from labels and teacher in plain `compile` and `fit`.

    What is trained are the student's weights: afterwards go on with `student`, which is what you save and export.
    The teacher is not changed, nor saved with the model. Logs `distillation`, the second part of the loss; `val_loss`
    is the task's alone.

    Example:

    ```python
    result = tfold.fold(f_alpha)
    taught = tfold.distill(result.model, base, weight=0.5, temperature=4)
    taught.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    taught.fit(x, y)
    result.model.save("folded.keras")
    ```

    Args:
        student: A built Functional or Sequential classifier.
        teacher: A classifier with the same inputs and the same classes, the base network for instance. Logits or
            softmax, each of the two as it is.
        weight: w, between 0 and 1: of the teacher; the labels have 1 − w.
        temperature: T, above 0: the higher, the more counts what the teacher says of the unlikely classes.

    Returns:
        An uncompiled model.

    Raises:
        ValueError: If an argument is out of its range, or the networks do not fit together.
    """
    for model in (student, teacher):
        check_graph_model(model)
    if not _is_number(weight) or not 0 <= weight <= 1:
        raise BadInputError(f"weight is a number from 0 to 1. Received: weight={weight!r}. The usual one is 0.5.")
    if not _is_number(temperature) or temperature <= 0:
        raise BadInputError(
            f"temperature is a number above 0. Received: temperature={temperature!r}. The usual ones are 2 to 8."
        )
    shapes = [([tuple(t.shape) for t in m.inputs], [tuple(t.shape) for t in m.outputs]) for m in (student, teacher)]
    if shapes[0] != shapes[1] or len(student.outputs) != 1:
        raise BadInputError(
            "Student and teacher take the same inputs and give one output of the same classes. Received: "
            + " and ".join(f"{m.name!r} with inputs {i} and outputs {o}" for m, (i, o) in
                           zip((student, teacher), shapes, strict=True))
            + ". Distil from the network that the student was made of."
        )
    model = Distilled(student.input, student.output, name=student.name)
    model.distillation = _Settings(teacher, float(weight), float(temperature),
                                   (gives_probabilities(teacher), gives_probabilities(student)))
    model.distillation_tracker = keras.metrics.Mean(name="distillation")
    return model


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
