"""The loss of a distilled network is the one of the formula, and only the student learns."""
import keras
import numpy as np
import pytest

import tfold
from tfold.errors import BadInputError


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def expected(student, teacher, x, y, weight, temperature, logits):
    """The formula in float64."""
    s, t = (model.predict(x, verbose=0).astype("float64") for model in (student, teacher))
    if not logits[0]:
        s = np.log(s)
    if not logits[1]:
        t = np.log(t)
    task = -log_softmax(s)[np.arange(len(y)), y].mean()
    p, q = log_softmax(t / temperature), log_softmax(s / temperature)
    apart = (np.exp(p) * (p - q)).sum(-1).mean() * temperature**2
    return (1 - weight) * task + weight * apart


@pytest.mark.parametrize("softmax", [(False, False), (True, False), (False, True), (True, True)])
def test_the_loss_is_the_formula(mlp, data, softmax):
    student, teacher = mlp(softmax[0], 1), mlp(softmax[1], 2)
    x, y = data.inputs(data.x_test), data.y_test
    taught = tfold.distill(student, teacher, weight=0.3, temperature=5.0)
    taught.compile(keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax[0]))
    loss = taught.fit(x, y, batch_size=len(x), verbose=0).history["loss"][0]
    wanted = expected(student, teacher, x, y, 0.3, 5.0, [not s for s in softmax])
    assert loss == pytest.approx(wanted, rel=1e-5)


def test_regularizers_keep_their_weight(mlp, data):
    f_alpha = tfold.prefold(mlp(), tfold.AlphaPenalty(0.7))
    x, y = data.inputs(data.x_test), data.y_test
    losses = {}
    for weight in (0.0, 1.0):
        taught = tfold.distill(f_alpha, f_alpha, weight)
        taught.compile(keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        losses[weight] = taught.fit(x, y, batch_size=len(x), verbose=0).history["loss"][0]
    assert losses[1.0] == pytest.approx(2 * 0.7, rel=1e-5)  # two α at 0, and nothing to learn from oneself
    assert losses[0.0] > losses[1.0]


def test_only_the_student_learns_and_learns_from_the_teacher_alone(mlp, data):
    student, teacher = mlp(seed=1), mlp(seed=2)
    x = data.inputs(data.x_train)
    before = [w.copy() for w in teacher.get_weights()]
    wrong = np.zeros(len(x), int)  # of weight 0
    taught = tfold.distill(student, teacher, 1.0, 2.0)
    taught.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = taught.fit(x, wrong, epochs=12, verbose=0).history
    assert history["distillation"][-1] < 0.2 * history["distillation"][0]
    agree = student.predict(x, verbose=0).argmax(-1) == teacher.predict(x, verbose=0).argmax(-1)
    assert agree.mean() > 0.9
    assert all(np.array_equal(a, b) for a, b in zip(before, teacher.get_weights(), strict=True))
    assert len(taught.weights) == len(student.weights)


def test_validation_is_judged_by_the_labels_alone(mlp, data):
    student, teacher = mlp(seed=1), mlp(seed=2)
    x, y = data.inputs(data.x_test), data.y_test
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    taught = tfold.distill(student, teacher, 0.9)
    for model in (student, taught):
        model.compile("sgd", loss)
    losses = [model.evaluate(x, y, verbose=0, return_dict=True)["loss"] for model in (student, taught)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_alpha_callbacks_see_the_student(mlp, data):
    f_alpha = tfold.prefold(mlp())
    taught = tfold.distill(f_alpha, mlp(), 0.5)
    taught.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    logs = taught.fit(data.inputs(data.x_test), data.y_test, verbose=0, callbacks=[tfold.callbacks.AlphaLogger()])
    assert logs.history["depth"] == [3]


@pytest.mark.parametrize("change, words", [
    ({"weight": 1.5}, "from 0 to 1"), ({"weight": float("nan")}, "from 0 to 1"), ({"temperature": 0}, "above 0"),
])
def test_bad_numbers_are_refused(mlp, change, words):
    with pytest.raises(BadInputError, match=words):
        tfold.distill(mlp(), mlp(), **change)


def test_networks_that_do_not_fit_are_refused(mlp):
    other = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(4)])
    with pytest.raises(BadInputError, match="same classes"):
        tfold.distill(mlp(), other)
