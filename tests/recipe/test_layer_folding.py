"""The recipe from images to a folded network, cut off and gone on with."""
import json
from dataclasses import replace

import keras
import numpy as np
import pytest

import tfold
from tfold.errors import BadInputError, TfoldError
from tfold.recipe.base import train_base
from tfold.recipe.layer_folding import Recipe, layer_folding
from tfold.recipe.settings import Training


class Cut(Exception):
    """What a kill is like for the code that is running."""


def quiet(text):
    pass


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


@pytest.fixture(scope="session")
def base(convolutional, data, tmp_path_factory):
    return train_base(convolutional, data, Training(8, 0.1, 32), tmp_path_factory.mktemp("base"), quiet)[0]


RECIPE = Recipe(strength=2.0, p=1.1, alpha_epochs=2, alpha_rate=0.05, post_epochs=2, batch=32, clip=1.0)


def test_a_base_goes_on_exactly_where_it_was_cut_off(convolutional, data, tmp_path):
    training = Training(4, 0.05, 32, augment="shift+flip", warmup=0.1, nesterov=True, weight_decay=1e-3)
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole, history = train_base(convolutional, data, training, tmp_path / "whole", quiet)

    def cut(epoch, logs):
        if epoch == 1:
            raise Cut

    with pytest.raises(Cut):
        train_base(convolutional, data, training, tmp_path / "cut", quiet, cut)
    assert not (tmp_path / "cut" / "base.keras").exists()
    resumed, logs = train_base(convolutional, data, training, tmp_path / "cut", quiet)
    assert same(whole, resumed) and history == logs and len(logs) == 4
    assert history[-1]["loss"] < history[0]["loss"]


@pytest.mark.parametrize("phase", ["alpha", "post"])
def test_a_fold_goes_on_exactly_where_it_was_cut_off(base, data, tmp_path, phase):
    whole = layer_folding(base, data, RECIPE, tmp_path / "whole", quiet)

    def cut(at, epoch, logs):
        if (at, epoch) == (phase, 0):
            raise Cut

    with pytest.raises(Cut):
        layer_folding(base, data, RECIPE, tmp_path / "cut", quiet, cut)
    resumed = layer_folding(base, data, RECIPE, tmp_path / "cut", quiet)
    assert same(whole.folded, resumed.folded)
    assert json.loads(json.dumps(whole.to_json())) == json.loads(json.dumps(resumed.to_json()))


def test_a_finished_fold_returns_at_once_with_the_same(base, data, tmp_path):
    first = layer_folding(base, data, RECIPE, tmp_path / "a", quiet)

    def never(*args):
        raise AssertionError("it trained again")

    again = layer_folding(base, data, RECIPE, tmp_path / "a", quiet, never)
    assert json.loads(json.dumps(first.to_json())) == again.to_json()
    assert same(first.folded, again.folded)
    assert first.depth == tfold.nonlinear_depth(again.folded)


def test_other_settings_in_the_same_folder_are_refused(base, data, tmp_path):
    layer_folding(base, data, RECIPE, tmp_path / "a", quiet)
    with pytest.raises(BadInputError, match="strength=2.0, now 1.0"):
        layer_folding(base, data, replace(RECIPE, strength=1.0), tmp_path / "a", quiet)
    (tmp_path / "a" / "outcome.json").unlink()
    with pytest.raises(BadInputError, match="strength=2.0, now 1.0"):
        layer_folding(base, data, replace(RECIPE, strength=1.0), tmp_path / "a", quiet)
    (tmp_path / "a" / "outcome.json").write_text("{")
    with pytest.raises(BadInputError, match=r"outcome\.json"):
        layer_folding(base, data, RECIPE, tmp_path / "a", quiet)


def test_a_damaged_checkpoint_is_refused(base, data, tmp_path):
    layer_folding(base, data, RECIPE, tmp_path / "a", quiet)
    (tmp_path / "a" / "outcome.json").unlink()
    path = tmp_path / "a" / "alpha.checkpoint.npz"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(BadInputError, match="cannot be read"):
        layer_folding(base, data, RECIPE, tmp_path / "a", quiet)


def test_the_merge_changes_no_answer(base, data, tmp_path):
    recipe = replace(RECIPE, alpha_epochs=4, alpha_rate=0.2, padding="forward", policy="always")
    outcome = layer_folding(base, data, recipe, tmp_path / "a", quiet)
    assert outcome.depth < 3 and outcome.layers < 3 and max(outcome.alphas.values()) > 0.9
    assert outcome.accuracy["fold"]["before"] == outcome.accuracy["fold"]["after"]
    assert outcome.accuracy["test"] == outcome.accuracy["fold"]["after"][1]


def test_merged_first_and_trained_then_with_the_base_as_its_teacher(base, data, tmp_path):
    layer_folding(base, data, RECIPE, tmp_path / "a", quiet)
    recipe = replace(RECIPE, post="folded", policy="always", border="approximate", distill=0.5)

    phases = []
    outcome = layer_folding(base, data, recipe, tmp_path / "b", quiet, lambda phase, *_: phases.append(phase),
                            prefolded_in=tmp_path / "a")
    assert phases == ["post", "post"]  # pre-folding is the other run's
    assert "distillation" in outcome.history["post"][0]
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in outcome.folded.layers)


def test_bfloat16_trains_and_leaves_float32(base, data, tmp_path):
    outcome = layer_folding(base, data, replace(RECIPE, precision="bfloat16"), tmp_path / "a", quiet)
    assert {layer.dtype_policy.name for layer in outcome.folded.layers} == {"float32"}
    assert outcome.accuracy["test"] > 0.5


def test_a_diverged_training_ends_with_a_reason(convolutional, data, tmp_path):
    with pytest.raises(TfoldError, match="diverged"):
        train_base(convolutional, data, Training(2, 1e30, 32), tmp_path, quiet)
    assert not list(tmp_path.iterdir())


def test_networks_and_images_that_do_not_fit_are_refused(base, data, mlp, tmp_path):
    with pytest.raises(BadInputError, match="shape that the network takes"):
        layer_folding(base, replace(data, x_train=data.x_train[:, :5]), RECIPE, tmp_path / "a", quiet)
    with pytest.raises(BadInputError, match="tells all classes apart"):
        layer_folding(base, replace(data, classes=4), RECIPE, tmp_path / "a", quiet)


@pytest.mark.parametrize("change, words", [
    ({"strength": -1}, "at least 0"), ({"p": 1}, "p > 1"), ({"threshold": 1}, "threshold"),
    ({"post": "later"}, "post is"),
    ({"alpha_epochs": 0}, "from 1 on"), ({"post_epochs": -1}, "from 0 on"), ({"alpha_rate": float("nan")}, "from 0 on"),
    ({"augment": "turn"}, "augment is"), ({"precision": "float16"}, "precision is"), ({"distill": 2}, "from 0 to 1"),
    ({"border": "approximate"}, 'post="folded"'), ({"clip": -1}, "clip is"),
])
def test_recipes_out_of_range_are_refused(change, words):
    with pytest.raises(BadInputError, match=words):
        Recipe(**change)


@pytest.mark.parametrize("change", [{"epochs": 0}, {"rate": -1}, {"warmup": 1}, {"seed": 0, "batch": True}])
def test_trainings_out_of_range_are_refused(change):
    with pytest.raises(BadInputError):
        Training(**change)
