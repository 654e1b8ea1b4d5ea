"""The loss of a distilled network is the one of the formula, and only the student learns."""
import subprocess
import sys

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


def test_two_outputs_are_the_least_and_sigmoids_are_no_distribution(mlp):
    def network(outputs, activation):
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(outputs, activation=activation)])

    with pytest.raises(BadInputError, match="two classes or more"):
        tfold.distill(network(1, None), network(1, None))
    with pytest.raises(BadInputError, match="a teacher that gives sigmoid"):
        tfold.distill(network(3, None), network(3, "sigmoid"))


def test_what_is_saved_and_copied_is_the_student(mlp, data, tmp_path):
    student = mlp()
    taught = tfold.distill(student, mlp(seed=2))
    taught.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = data.inputs(data.x_test)
    logs = taught.fit(x, data.y_test, verbose=0, validation_data=(x, data.y_test),
                      callbacks=[keras.callbacks.ModelCheckpoint(tmp_path / "taught.keras")]).history
    assert logs["val_distillation"][0] > 0 and list(logs).count("distillation") == 1
    loaded = keras.models.load_model(tmp_path / "taught.keras")
    assert type(loaded) is type(student)
    assert np.array_equal(loaded.predict(x, verbose=0), student.predict(x, verbose=0))


def test_a_copy_learns_from_the_labels_alone(mlp, data):
    x, y = data.inputs(data.x_test), data.y_test
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    copy = keras.models.clone_model(tfold.distill(mlp(), mlp(seed=2)))
    plain = keras.models.clone_model(mlp())
    plain.set_weights(copy.get_weights())
    losses = []
    for model in (copy, plain):
        model.compile(keras.optimizers.SGD(0.1), loss)
        losses.append(model.fit(x, y, batch_size=len(x), verbose=0).history["loss"])
    assert losses[0] == losses[1]


REPLICAS = """
import keras, numpy as np, tensorflow as tf
[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import tfold

def network(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, kernel_regularizer="l2")])

x, y, found = np.random.default_rng(0).normal(size=(32, 6)).astype("float32"), np.arange(32) % 3, []
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    with strategy.scope():
        student = network(1)
        taught = tfold.distill(student, network(2), 0.3)
        taught.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    logs = taught.fit(x, y, batch_size=32, verbose=0).history
    weights = np.concatenate([weight.ravel() for weight in student.get_weights()])
    found.append([logs["loss"][0], logs["distillation"][0], *weights])
print(np.abs(np.subtract(*found)).max())
"""


def test_two_replicas_take_the_same_step_as_one():
    done = subprocess.run([sys.executable, "-c", REPLICAS], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout.split()[-1]) < 1e-6
