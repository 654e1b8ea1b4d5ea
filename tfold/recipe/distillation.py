"""Distillation: a network learns from another's outputs beside the labels.

    loss = (1 − w) · task loss + w · T² · KL(softmax(teacher / T) ‖ softmax(student / T)) + regularizers

T² keeps the gradients of both parts of one size when T changes. (Hinton, Vinyals, Dean, Distilling the Knowledge in a
Neural Network, arXiv 1503.02531, sec. 2.) In post-folding the teacher is the base network.
"""
import math
import numbers

import keras

from tfold.errors import BadInputError
from tfold.graph.calls import check_graph_model
from tfold.recipe.scores import LOGITS, SOFTMAX, kind_of_scores
from tfold.sampling import model_input

LEAST_PROBABILITY = 1e-7  # below it, float32 logarithms say more of rounding than of the network


class Distilled(keras.Model):
    """A student over its own layers, with the teacher's outputs in its loss. Made by `distill`.

    It is written down as the student alone, a plain model, and a copy of it learns from the labels alone.
    """

    distillation = None

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return keras.Model.from_config(config, custom_objects)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        settings = self.distillation
        if settings is None:
            return loss
        teacher = keras.ops.stop_gradient(settings.teacher(x, training=False))
        apart = settings.divergence(teacher, y_pred, sample_weight)
        self.distillation_tracker.update_state(apart * _replicas())
        if not training:
            return loss
        # Keras' loss, the divergence, which is a Keras loss too, and this are all each replica's share.
        rest = sum(self.losses) / _replicas() if self.losses else 0.0
        return (1 - settings.weight) * (loss - rest) + rest + settings.weight * apart


# Keras writes down where a class lives and what it is called, and finds its own by that.
Distilled.__module__, Distilled.__name__, Distilled.__qualname__ = "keras.src.models.functional", *["Functional"] * 2


class _Settings:
    """What the loss needs. Not a layer: the teacher's weights are nobody's but its own."""

    def __init__(self, teacher, weight, temperature, kinds):
        self.teacher, self.weight = teacher, weight
        self.divergence = _Divergence(temperature, *kinds)


class _Divergence(keras.losses.Loss):
    """T² · KL of the teacher's distribution from the student's."""

    def __init__(self, temperature, teacher_gives, student_gives):
        super().__init__(name="distillation", dtype="float32")
        self.temperature, self.teacher_gives, self.student_gives = temperature, teacher_gives, student_gives

    def call(self, teacher, student):
        ops = keras.ops
        p, q = (ops.log_softmax(_logits(scores, gives) / self.temperature)
                for scores, gives in ((teacher, self.teacher_gives), (student, self.student_gives)))
        return self.temperature**2 * ops.sum(ops.exp(p) * (p - q), axis=-1)


def _logits(scores, gives):
    return keras.ops.log(keras.ops.maximum(scores, LEAST_PROBABILITY)) if gives == SOFTMAX else scores


def _replicas():
    """How many devices share a batch: a loss is each one's share of the sum."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def distill(student, teacher, weight=0.5, temperature=4.0):
    """Returns a model over the student's own layers that learns from labels and teacher in plain `compile` and `fit`.

    What is trained are the student's weights: afterwards go on with `student`, or save either of the two, which gives
    the same file. The teacher is not changed, nor saved. Logs `distillation`, the second part of the loss;
    `val_loss` is the task's alone.

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
    kinds = [kind_of_scores(model) for model in (teacher, student)]
    if student.outputs[0].shape[-1] == 1 or not {*kinds} <= {LOGITS, SOFTMAX}:
        raise BadInputError(
            "Distillation compares distributions over two classes or more, as logits or behind a softmax. Received: "
            f"{student.outputs[0].shape[-1]} outputs, {kinds[1]}, and a teacher that gives {kinds[0]}. "
            "Give a yes-or-no network two outputs."
        )
    model = Distilled(model_input(student), student.outputs[0], name=student.name)
    model.distillation = _Settings(_called(teacher), float(weight), float(temperature), kinds)
    model.distillation_tracker = keras.metrics.Mean(name="distillation")
    return model


def _called(model):
    """A function that calls a model, and that Keras does not take for a layer of the model it is put into."""
    return lambda x, training: model(x, training=training)


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
