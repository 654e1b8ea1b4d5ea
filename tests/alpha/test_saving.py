import json
import subprocess
import sys

import keras
import numpy as np

from tfold.alpha import AlphaPenalty, alpha_layers, alphas, prefold

LOAD = """
import json, sys
import tfold
import keras
model = keras.models.load_model(sys.argv[1])
import tfold.alpha
strengths = [layer.alpha_regularizer.strength for layer in tfold.alpha.alpha_layers(model).values()]
losses = [float(loss) for loss in model.losses]
print(json.dumps({"alphas": tfold.alpha.alphas(model), "strengths": strengths, "losses": losses}))
"""


def test_a_fresh_process_needs_no_custom_objects(make, set_alphas, tmp_path):
    model = prefold(make("nested"), AlphaPenalty(0.5, p=3), costs={"elu": 2.0})
    set_alphas(model, 0.25, 0.5, 0.75)
    alpha_layers(model)["middle/last"].strength.assign(0.125)
    path = str(tmp_path / "f_alpha.keras")
    model.save(path)
    done = subprocess.run([sys.executable, "-c", LOAD, path], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["alphas"] == {"middle/inner/first_alpha": 0.25, "middle/inner/elu": 0.5, "middle/last": 0.75}
    assert found["strengths"] == [0.5, 0.5, 0.125]
    expected = [0.5 * (1 - 0.25**3), 2 * 0.5 * (1 - 0.5**3), 0.125 * (1 - 0.75**3)]
    np.testing.assert_allclose(found["losses"], expected, rtol=1e-6)


def test_every_kind_of_model(model, set_alphas, outputs_of, tmp_path):
    f_alpha = prefold(model)
    set_alphas(f_alpha, 0.25, 0.5)
    path = str(tmp_path / "f_alpha.keras")
    f_alpha.save(path)
    loaded = keras.models.load_model(path, safe_mode=False)  # one of them holds a Lambda
    assert alphas(loaded) == alphas(f_alpha)
    for old, new in zip(outputs_of(f_alpha), outputs_of(loaded), strict=True):
        np.testing.assert_array_equal(old, new)


def test_copies_have_weights_of_their_own(make, set_alphas):
    f_alpha = prefold(make("functional"), AlphaPenalty(0.5))
    set_alphas(f_alpha, 0.25)
    clone = keras.models.clone_model(f_alpha)
    clone.set_weights(f_alpha.get_weights())
    assert alphas(clone) == alphas(f_alpha)
    set_alphas(clone, 0.75)
    next(iter(alpha_layers(clone).values())).strength.assign(0.0)
    assert set(alphas(f_alpha).values()) == {0.25}
    assert {layer.alpha_regularizer.strength for layer in alpha_layers(f_alpha).values()} == {0.5}


def test_a_file_has_stock_layers_beside_the_alphas(make, outputs_of, set_alphas, tmp_path):
    f_alpha = prefold(make("sequential"))
    set_alphas(f_alpha, 0.25, 0.5)
    f_alpha.save(tmp_path / "f_alpha.keras")
    loaded = keras.models.load_model(tmp_path / "f_alpha.keras")
    assert type(loaded.get_layer("bn")) is keras.layers.BatchNormalization is not type(f_alpha.get_layer("bn"))
    again = prefold(loaded)  # all its activations have their α: only the batch norm changes
    assert type(again.get_layer("bn")) is type(f_alpha.get_layer("bn")) and alphas(again) == alphas(f_alpha)
    np.testing.assert_array_equal(outputs_of(again)[0], outputs_of(f_alpha)[0])
