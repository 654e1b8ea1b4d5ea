import csv
import importlib.util
import warnings

import keras
import numpy as np
import pytest

from tfold.alpha import AlphaLogger, AlphaPenalty, AlphaSchedule, AlphaSettled, alpha_layers, alphas, prefold


@pytest.fixture
def f_alpha(make):
    model = prefold(make("functional"), AlphaPenalty(0.25))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    return model


@pytest.fixture
def depths(monkeypatch):
    """Stands in for the depth of a folded network, and counts how often it is asked for."""
    asked = []

    def effective_depth(model, threshold=0.9):
        asked.append(threshold)
        return 4 - sum(alpha > threshold for alpha in alphas(model).values())

    monkeypatch.setattr("tfold.alpha.callbacks.effective_depth", effective_depth)
    return asked


class Script(keras.callbacks.Callback):
    """Plays given α, one list an epoch."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        values = self.epochs[min(epoch, len(self.epochs) - 1)]
        for layer, value in zip(alpha_layers(self.model).values(), values, strict=True):
            layer.alpha.assign(value)


def fit(model, *callbacks, epochs=4):
    x, y = np.random.default_rng(0).normal(size=(8, 6)), np.zeros((8, 4))
    return model.fit(x, y, batch_size=4, epochs=epochs, verbose=0, callbacks=list(callbacks)).history


def test_schedule_curves():
    assert [AlphaSchedule(0.3).strength_at(epoch) for epoch in range(3)] == [0.3, 0.3, 0.3]
    curve = [AlphaSchedule(0.3, warmup=2, ramp=2).strength_at(epoch) for epoch in range(6)]
    np.testing.assert_allclose(curve, [0, 0, 0.1, 0.2, 0.3, 0.3])
    assert AlphaSchedule(lambda epoch: epoch / 4).strength_at(3) == 0.75


def test_schedule_moves_the_penalty_inside_fit(make):
    model = prefold(make("functional"), AlphaPenalty(9.0))
    for layer in alpha_layers(model).values():
        layer.alpha.assign(0.5)
    model.compile(keras.optimizers.SGD(0.0), loss=lambda y, prediction: 0.0 * keras.ops.mean(prediction))
    history = fit(model, AlphaSchedule(1.0, warmup=1, ramp=1))
    assert history["alpha/strength"] == [0.0, 0.5, 1.0, 1.0]
    np.testing.assert_allclose(history["loss"], [0, 0.5 * 2.25, 2.25, 2.25], rtol=1e-6)  # 3 · (1 − 0.5²) = 2.25


def test_a_fit_that_only_warms_up_is_told_of(make):
    model = prefold(make("functional"))
    model.compile("sgd", "mse")
    with pytest.warns(RuntimeWarning, match="λ_c is 0 in every epoch .* warmup=2, epochs=2"):
        assert fit(model, AlphaSchedule(0.3, warmup=2), epochs=2)["alpha/strength"] == [0.0, 0.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        fit(model, AlphaSchedule(0.3, warmup=2), epochs=3)


def test_schedule_in_a_loop_of_ones_own(make):
    model = prefold(make("functional"))
    callbacks = keras.callbacks.CallbackList([AlphaSchedule(0.3, warmup=1)], model=model)  # it knows of no epochs
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)


def test_schedule_moves_alpha(make):
    model = prefold(make("functional"))
    for layer in alpha_layers(model).values():
        layer.alpha.assign(0.25)
    model.compile(keras.optimizers.SGD(0.5), loss=lambda y, prediction: 0.0 * keras.ops.mean(prediction))
    fit(model, AlphaSchedule(lambda epoch: 0.0), epochs=2)
    assert set(alphas(model).values()) == {0.25}
    fit(model, AlphaSchedule(lambda epoch: 0.5 * (epoch == 1)), epochs=2)  # the second epoch only: two steps
    np.testing.assert_allclose(list(alphas(model).values()), 0.25 * 1.5**2, rtol=1e-5)  # α += 0.5 · 0.5 · 2α


def test_logger_reaches_history_csv_and_the_progress_bar(f_alpha, depths, tmp_path, capsys):
    script = Script([[0.95, 0.1, 0.0], [0.95, 0.1, 0.0], [0.95, 1.0, 0.0], [0.95, 1.0, 0.0]])
    logger = AlphaLogger(per_layer=True)
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    x, y = np.zeros((8, 6)), np.zeros((8, 4))
    history = f_alpha.fit(x, y, epochs=4, verbose=2, callbacks=[script, logger, log]).history
    assert history["alpha/folded"] == [1, 1, 2, 2] and history["depth"] == [3, 3, 2, 2]
    np.testing.assert_allclose(history["alpha/mean"], [0.35, 0.35, 0.65, 0.65], rtol=1e-6)
    np.testing.assert_allclose(history["alpha/b_alpha"], [0.1, 0.1, 1.0, 1.0], rtol=1e-6)
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["depth"] for row in rows] == ["3", "3", "2", "2"] and "alpha/mean" in rows[0]
    assert "alpha/folded: " in capsys.readouterr().out
    assert len(depths) == 3  # the start, and two patterns
    assert [entry["epoch"] for entry in logger.history] == [-1, 0, 1, 2, 3]
    assert logger.history[0]["alphas"] == {"relu6": 0.0, "b_alpha": 0.0, "leaky": 0.0}
    f_alpha.fit(x, y, epochs=1, verbose=0, callbacks=[logger])
    assert len(logger.history) == 6


@pytest.mark.skipif(importlib.util.find_spec("tfold.folding") is None, reason="tfold.folding is not there yet")
def test_logger_knows_the_depth(f_alpha):
    history = fit(f_alpha, Script([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]), AlphaLogger(), epochs=2)
    assert history["depth"][0] == 4 and history["depth"][1] < 4


@pytest.mark.parametrize(
    "epochs, kwargs, stopped",
    [
        ([[0.0, 0.0, 0.0]], {}, None),  # nothing has moved yet
        ([[0.5, 0, 0], [0.98, 0.02, 0]], {}, 2),
        ([[0.97, 0, 0]], {"patience": 3}, 2),
        ([[0.97, 0, 0], [0.5, 0, 0], [0.97, 0, 0]], {}, 3),
        ([[0.97, 0, 0], [0.0, 0.97, 0]], {}, 2),  # another one went: count again
        ([[0.97, 0, 0]], {"start_epoch": 2}, 3),
        ([[0.93, 0, 0]], {}, None),
        ([[0.93, 0, 0]], {"tolerance": 0.1}, 1),
    ],
)
def test_settled(f_alpha, epochs, kwargs, stopped, capsys):
    callback = AlphaSettled(**kwargs)
    history = fit(f_alpha, Script(epochs), callback, epochs=5)
    assert callback.stopped_epoch == stopped
    assert len(history["loss"]) == (5 if stopped is None else stopped + 1)
    assert ("has settled, 1 of 3 at 1" in capsys.readouterr().out) == (stopped is not None)


@pytest.mark.parametrize("callback", [AlphaSchedule(), AlphaLogger(), AlphaSettled()])
def test_refuses_a_model_without_alpha(make, callback):
    model = make("functional")
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=f"{type(callback).__name__} needs a model with α.*prefold"):
        fit(model, callback)


@pytest.mark.parametrize(
    "make_callback, message",
    [
        (lambda: AlphaSchedule(-1.0), "strength"),
        (lambda: AlphaSchedule(0.1, warmup=-1), "warmup"),
        (lambda: AlphaSchedule(0.1, ramp=1.5), "ramp"),
        (lambda: AlphaSchedule(lambda epoch: 0.1, ramp=2), "only with a number"),
        (lambda: AlphaLogger(threshold=1.0), "threshold"),
        (lambda: AlphaSettled(tolerance=0.5), "tolerance"),
        (lambda: AlphaSettled(patience=0), "patience"),
    ],
)
def test_refuses_arguments(make_callback, message):
    with pytest.raises(ValueError, match=f"{message}.*Received"):
        make_callback()
