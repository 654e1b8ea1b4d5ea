"""The recipe from images to a folded network, cut off and gone on with."""
import json
from dataclasses import replace

import keras
import numpy as np
import pytest

import tfold
from tfold.errors import BadInputError, TfoldError
from tfold.files import held
from tfold.recipe.base import train_base
from tfold.recipe.data import load_data
from tfold.recipe.fitting import fit
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


def test_each_phase_of_a_seed_sees_other_batches(convolutional, data, tmp_path):
    learned = []
    for folder, phase in (("one", "alpha"), ("two", "alpha"), ("three", "post")):
        (tmp_path / folder).mkdir()
        keras.utils.set_random_seed(0)
        model = convolutional()
        fit(model, data, Training(1, 0.05, 32), tmp_path / folder, phase, {}, quiet, "training")
        learned.append(model)
    assert same(learned[0], learned[1]) and not same(learned[0], learned[2])


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
    with pytest.raises(BadInputError, match="strength: 2.0, now 1.0"):
        layer_folding(base, data, replace(RECIPE, strength=1.0), tmp_path / "a", quiet)
    (tmp_path / "a" / "outcome.json").unlink()
    with pytest.raises(BadInputError, match="strength: 2.0, now 1.0"):
        layer_folding(base, data, replace(RECIPE, strength=1.0), tmp_path / "a", quiet)
    (tmp_path / "a" / "outcome.json").write_text("{")
    with pytest.raises(BadInputError, match=r"outcome\.json"):
        layer_folding(base, data, RECIPE, tmp_path / "a", quiet)


@pytest.mark.parametrize("changed", [
    {"depth": "3"}, {"depth": True}, {"accuracy": {"test": 0.5}}, {"accuracy": None}, {"alphas": [0.5]},
    {"history": {"alpha": [], "post": [5]}}, {"history": []}, {"recipe": None}, {"recipe": [1]}, {"base": 5},
    {"alphas": {"a": float("nan")}}, "[" * 100_000, '{"depth": 1, "depth": 2}', '{"a":' * 100_000,
], ids=range(14))
def test_an_outcome_that_is_damaged_is_refused_by_its_name(base, data, tmp_path, changed):
    good = {"recipe": RECIPE.to_json(), "base": "x", "data": "y", "strength": 2.0, "seed": 0, "depth": 3, "layers": 3,
            "macs": None, "parameters": 9, "alphas": {"a": 0.5}, "accuracy": {"validation": 0.5, "test": 0.5},
            "history": {"alpha": [{"val_accuracy": 0.5}], "post": []}}
    path = tmp_path / "outcome.json"
    path.write_text(json.dumps(good))
    with pytest.raises(BadInputError, match="base: x, now"):  # it is read, and is another run's
        layer_folding(base, data, RECIPE, tmp_path, quiet)
    path.write_text(changed if isinstance(changed, str) else json.dumps({**good, **changed}))
    with pytest.raises(BadInputError, match=r"outcome\.json is as this program writes it.*Remove it"):
        layer_folding(base, data, RECIPE, tmp_path, quiet)


@pytest.mark.parametrize("about", ["[" * 100_000, "[]", '{"settings": {}}', '{"settings": 5, "history": []}',
                                   '{"settings": {}, "history": {}}', '{"settings": {}, "history": [5]}'],
                         ids=range(6))
def test_a_checkpoint_whose_words_are_damaged_is_refused(base, data, tmp_path, about):
    np.savez(tmp_path / "alpha.checkpoint.npz", about=np.array(about))
    with pytest.raises(BadInputError, match=r"A checkpoint is as this program writes it.*alpha\.checkpoint\.npz"):
        layer_folding(base, data, RECIPE, tmp_path, quiet)


def test_other_images_base_or_teacher_in_the_same_folder_are_refused(base, data, mlp, tmp_path):
    recipe = replace(RECIPE, distill=0.5)
    layer_folding(base, data, recipe, tmp_path / "a", quiet)
    others = {"data:": {"data": replace(data, y_test=data.y_test[::-1])}, "base:": {"base": mlp()},
              "teacher:": {"teacher": mlp()}}
    for words, change in others.items():
        given = {"base": base, "data": data, "recipe": recipe, "folder": tmp_path / "a", "say": quiet, **change}
        with pytest.raises(BadInputError, match=words):
            layer_folding(**given)
    moved = replace(data, source="elsewhere.npz")
    assert layer_folding(base, moved, recipe, tmp_path / "a", quiet).accuracy["test"] >= 0


def test_post_folding_goes_on_only_behind_the_alpha_that_it_began_with(base, data, tmp_path):
    def cut(phase, epoch, logs):
        if (phase, epoch) == ("post", 0):
            raise Cut

    with pytest.raises(Cut):
        layer_folding(base, data, RECIPE, tmp_path / "a", quiet, cut)
    path = tmp_path / "a" / "alpha.checkpoint.npz"
    state = dict(np.load(path))
    first = next(name for name, value in state.items() if name != "about" and value.shape == () and value == 1.0)
    np.savez(path, **{**state, first: np.float32(0)})
    with pytest.raises(BadInputError, match="begun_with"):
        layer_folding(base, data, RECIPE, tmp_path / "a", quiet)


def test_one_process_works_in_a_folder(base, data, tmp_path):
    with held(tmp_path / "a"), pytest.raises(BadInputError, match="another is at work"):
        layer_folding(base, data, RECIPE, tmp_path / "a", quiet)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="folder that can be made"):
        layer_folding(base, data, RECIPE, tmp_path / "file" / "a", quiet)


def test_a_base_that_is_trained_anew_replaces_the_old_one(mlp, data, tmp_path):
    first, _ = train_base(mlp, data, Training(1, 0.05, 32), tmp_path, quiet)
    with pytest.raises(BadInputError, match="network:"):
        train_base(lambda: mlp(softmax=True), data, Training(1, 0.05, 32), tmp_path, quiet)
    with pytest.raises(BadInputError, match="data:"):
        train_base(mlp, replace(data, scale=(0.0, 255.0)), Training(1, 0.05, 32), tmp_path, quiet)
    (tmp_path / "base.checkpoint.npz").unlink()
    second, _ = train_base(mlp, data, Training(2, 0.05, 32, seed=7), tmp_path, quiet)
    assert not same(first, second) and same(second, keras.models.load_model(tmp_path / "base.keras"))


def test_a_damaged_checkpoint_is_refused(base, data, tmp_path):
    layer_folding(base, data, RECIPE, tmp_path / "a", quiet)
    (tmp_path / "a" / "outcome.json").unlink()
    path = tmp_path / "a" / "alpha.checkpoint.npz"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(BadInputError, match="cannot be read"):
        layer_folding(base, data, RECIPE, tmp_path / "a", quiet)


def test_the_merge_changes_no_answer(convolutional, data, tmp_path):
    keras.utils.set_random_seed(0)
    untrained = convolutional()  # a trained one has next to no gradient here, and the penalty none at α = 0
    recipe = replace(RECIPE, strength=20.0, alpha_epochs=4, alpha_rate=0.2, padding="forward", policy="always")
    outcome = layer_folding(untrained, data, recipe, tmp_path / "a", quiet)
    assert outcome.depth < 3 and outcome.layers < 3 and min(outcome.alphas.values()) > 0.9
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


def test_layers_that_need_leave_to_be_loaded(data, tmp_path):
    """Nothing is lost after the training: the network is in memory, and who calls again says how to load it."""
    def build():
        image = keras.Input((6, 6, 1))
        x = keras.layers.Dense(4, activation="relu", name="hidden")(keras.layers.Flatten()(image))
        return keras.Model(image, keras.layers.Dense(3)(keras.layers.Lambda(lambda x: 2 * x, name="twice")(x)))

    for _ in range(2):
        base, _ = train_base(build, data, Training(1, 0.1, 32), tmp_path, quiet)
    recipe = replace(RECIPE, alpha_epochs=1, post_epochs=0)
    first = layer_folding(base, data, recipe, tmp_path / "run", quiet)
    with pytest.raises(BadInputError, match="allow"):
        layer_folding(base, data, recipe, tmp_path / "run", quiet)
    again = layer_folding(base, data, recipe, tmp_path / "run", quiet, loading={"allow_unsafe": True})
    assert again.accuracy == first.accuracy and same(again.folded, first.folded)


def test_a_folded_network_keeps_its_preprocessing_while_it_is_trained(base, blobs, tmp_path):
    pixels = keras.Input((6, 6, 1))
    scaled = keras.Model(pixels, base(keras.layers.Rescaling(1 / 127.5, -1, name="scale")(pixels)), name="scaled")
    recipe = replace(RECIPE, strength=0.01, alpha_epochs=1, post_epochs=3, post="folded", post_rate=0.005)
    outcome = layer_folding(scaled, load_data(blobs), recipe, tmp_path, quiet)
    before, after = outcome.accuracy["fold"]["after"][0], outcome.accuracy["validation"]
    assert before > 0.8 and after >= before - 0.05  # with a folded first layer it falls to chance, a third
    assert [entry.nodes for entry in outcome.report.refusals if entry.reason == "preprocessing"] == [("scale",)]
    first = next(layer for layer in outcome.folded.layers if isinstance(layer, keras.layers.Conv2D))
    assert np.abs(first.get_weights()[0]).max() < 0.1  # and now it is folded


def test_a_teacher_that_cannot_be_is_refused_before_the_training(base, data, tmp_path):
    other = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(BadInputError, match="the same inputs"):
        layer_folding(base, data, replace(RECIPE, distill=0.5), tmp_path / "run", quiet, teacher=other)
    assert not (tmp_path / "run").exists()


def test_another_teacher_shares_the_pre_folding(convolutional, base, data, tmp_path):
    once = replace(RECIPE, alpha_epochs=1, post_epochs=1)
    first, said = layer_folding(base, data, once, tmp_path / "a", quiet), []
    second = layer_folding(base, data, replace(once, distill=0.5), tmp_path / "b", said.append, teacher=convolutional(),
                           prefolded_in=tmp_path / "a")
    assert second.alphas == first.alphas and not any("pre-folding, λ_c 2: epoch" in line for line in said)


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
    ({"border": "approximate"}, 'post="folded"'), ({"clip": -1}, "clip is"), ({"policy": "foo"}, "policy is"),
    ({"policy": len}, "policy is"), ({"border": "foo"}, "border is"), ({"padding": "foo"}, "padding is"),
    ({"warmup": 10, "ramp": 10}, "λ_c is at its strength"),
    ({"temperature": 0}, "above 0"), ({"seed": -1}, "seed is"), ({"seed": None}, "seed is"), ({"tie": 3}, "names"),
])
def test_recipes_out_of_range_are_refused(change, words):
    with pytest.raises(BadInputError, match=words):
        Recipe(**change)


@pytest.mark.parametrize("change", [{"epochs": 0}, {"rate": -1}, {"warmup": 1}, {"seed": 0, "batch": True}])
def test_trainings_out_of_range_are_refused(change):
    with pytest.raises(BadInputError):
        Training(**change)


def test_numbers_of_numpy_and_single_names_are_taken():
    recipe = Recipe(strength=np.float32(0.5), seed=np.int64(3), skip="relu_1", tie=[["a", "b"]])
    assert json.dumps(recipe.to_json()) and recipe.skip == ("relu_1",) and recipe.tie == (("a", "b"),)


def test_images_are_scaled_once(mlp, data, tmp_path):
    image = keras.Input((6, 6, 1))
    itself = keras.Model(image, mlp()(keras.layers.Rescaling(1 / 127.5, -1)(image)))
    with pytest.raises(BadInputError, match="scaled once"):
        layer_folding(itself, data, RECIPE, tmp_path / "a", quiet)
