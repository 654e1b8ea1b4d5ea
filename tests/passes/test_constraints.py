"""A constraint goes with the weights that it was for: it would force a folded kernel back at the first step."""
import json

import numpy as np
import pytest

import tfold

KINDS = {
    "dense": ((6,), lambda L, **settings: L.Dense(4, **settings)),
    "conv 1": ((9, 3), lambda L, **settings: L.Conv1D(4, 3, **settings)),
    "conv 2": ((9, 9, 3), lambda L, **settings: L.Conv2D(4, 3, **settings)),
    "conv 3": ((5, 5, 5, 2), lambda L, **settings: L.Conv3D(4, 3, **settings)),
    "transposed": ((5, 5, 3), lambda L, **settings: L.Conv2DTranspose(4, 3, **settings)),
    "depthwise": ((9, 9, 3), lambda L, **settings: L.DepthwiseConv2D(3, **_renamed(settings, "depthwise"))),
    "separable": ((9, 9, 16), lambda L, **settings: L.SeparableConv2D(16, 3, **_renamed(settings, "pointwise"))),
}
HELD = "kernel_constraint", "depthwise_constraint", "pointwise_constraint", "bias_constraint"


def _renamed(settings, kernel):
    return {name.replace("kernel_", f"{kernel}_"): value for name, value in settings.items()}


def network(family, kind, **settings):
    """The layer twice, in front of a batch norm and in front of a ReLU."""
    shape, make = KINDS[kind]
    L = family.layers
    x = family.Input(shape)
    y = L.ReLU()(L.BatchNormalization(name="norm")(make(L, name="folded", **settings)(x)))
    z = L.ReLU()(make(L, name="as_it_was", **settings)(x))
    return family.Model(x, [y, z])


def constraints(model):
    """`(layer, setting)` of each constraint that a model has."""
    return [(layer.name, name) for layer in model.layers for name in HELD if getattr(layer, name, None) is not None]


@pytest.mark.parametrize("family", ["keras", "tf_keras"])
@pytest.mark.parametrize("kind", KINDS)
def test_they_stay_where_the_weights_are_what_they_were(kind, family, randomize):
    family = pytest.importorskip(family)
    max_norm, not_negative = family.constraints.MaxNorm(0.1), family.constraints.NonNeg()
    model = randomize(network(family, kind, kernel_constraint=max_norm, bias_constraint=not_negative))
    result = tfold.fold(model)
    assert result.report.after.batch_norms == 0
    assert {name for name, _ in constraints(result.model)} == {"as_it_was"}
    assert len(constraints(result.model)) == 2
    dropped = {(each.layer, each.weight, each.constraint) for each in result.report.constraints}
    kernel = kind if kind == "depthwise" else "pointwise" if kind == "separable" else "kernel"
    assert dropped == {("folded", kernel, "MaxNorm"), ("folded", "bias", "NonNeg")}


def test_a_step_of_training_does_not_undo_the_fold(randomize):
    keras = pytest.importorskip("keras")
    settings = {"kernel_constraint": keras.constraints.UnitNorm(axis=(0, 1, 2)), "kernel_regularizer": "l2"}
    folded = tfold.fold(randomize(network(keras, "conv 2", **settings))).model
    x = np.random.default_rng(0).normal(size=(4, 9, 9, 3)).astype("float32")
    before = folded.predict(x, verbose=0)
    folded.compile(keras.optimizers.SGD(0.0), ["mse", "mse"])
    folded.get_layer("as_it_was").trainable = False
    folded.fit(x, [0 * each for each in before], verbose=0)
    for a, b in zip(before, folded.predict(x, verbose=0), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    assert folded.get_layer("folded").kernel_regularizer is not None  # it adds to the loss, and forces nothing


def test_the_report_says_so_and_a_merged_layer_has_none(randomize):
    keras = pytest.importorskip("keras")
    L, norm = keras.layers, keras.constraints.MaxNorm(0.5)
    x = keras.Input((8, 8, 3))
    y = L.Conv2D(4, 1, name="a", kernel_constraint=norm)(x)
    y = L.Conv2D(4, 3, name="b", kernel_constraint=norm)(y)
    model = randomize(keras.Model(x, y))
    result = tfold.fold(model, policy="always")
    assert constraints(result.model) == []
    assert [(each.layer, each.home, each.weight) for each in result.report.constraints] == [
        ("a", "a-b", "kernel"), ("b", "a-b", "kernel")]
    assert "a, now in a-b: MaxNorm of its kernel" in str(result.report)
    assert json.loads(json.dumps(result.report.to_json()))["constraints"][0] == {
        "layer": "a", "home": "a-b", "weight": "kernel", "constraint": "MaxNorm"}


def test_padding_that_moves_into_a_layer_changes_none_of_its_weights(randomize):
    keras = pytest.importorskip("keras")
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(4, 3, kernel_constraint="non_neg", name="conv")(keras.layers.ZeroPadding2D(1)(x))
    result = tfold.fold(randomize(keras.Model(x, y)))
    assert constraints(result.model) == [("conv", "kernel_constraint")] and result.report.constraints == ()


def test_a_batch_norm_that_stays_in_another_form_has_none(randomize):
    """The sum lets no two scales pass: one batch norm stays, and its scale is another one then."""
    keras = pytest.importorskip("keras")
    L = keras.layers
    x = keras.Input((8, 8, 3))
    y = L.Conv2D(4, 3, name="conv")(x)
    norms = [L.BatchNormalization(name=f"norm_{i}", gamma_constraint="non_neg", beta_constraint="non_neg")
             for i in range(2)]
    model = keras.Model(x, L.Conv2D(2, 1)(L.Concatenate()([L.ReLU()(norm(y)) for norm in norms])))
    rng = np.random.default_rng(0)
    for norm in norms:
        norm.set_weights([rng.uniform(0.5, 2, 4) for _ in range(4)])
    result = tfold.fold(model, policy="macs")
    left = [layer for layer in result.model.layers if isinstance(layer, L.BatchNormalization)]
    dropped = {(each.layer, each.weight) for each in result.report.constraints}
    assert len(left) == 1 and left[0].gamma_constraint is None and left[0].beta_constraint is None
    assert dropped == {(left[0].name, "gamma"), (left[0].name, "beta")}
