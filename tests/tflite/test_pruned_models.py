"""Networks that TFMOT has pruned or clustered: stripped of that, they fold and export like any other."""
from importlib.util import find_spec

import numpy as np
import pytest

import tfold
from tfold.graph.family import family_of

tf_keras = pytest.importorskip("tf_keras")
# Not pytest.importorskip, which would import it, and turn `tf.keras` into tf_keras for all tests of this process.
pytestmark = pytest.mark.skipif(find_spec("tensorflow_model_optimization") is None, reason="TFMOT is not installed")
L = tf_keras.layers


@pytest.fixture(scope="module")
def tfmot():
    from tfold.keras2.tfmot import tfmot

    return tfmot


@pytest.fixture
def network(randomize):
    x = tf_keras.Input((8, 8, 3), name="image")
    y = L.ReLU(6.0)(L.BatchNormalization()(L.Conv2D(6, 3, padding="same", use_bias=False, name="conv")(x)))
    y = L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same", name="depthwise")(y))
    y = L.Add()([y, L.BatchNormalization()(L.Conv2D(6, 1, name="project")(y))])
    return randomize(tf_keras.Model(x, L.Dense(4, name="digit")(L.GlobalAveragePooling2D()(y)), name="net"))


def pruned(tfmot, model):
    sparsity = tfmot.sparsity.keras
    schedule = sparsity.ConstantSparsity(0.5, 0, frequency=1)
    wrapped = sparsity.prune_low_magnitude(model, pruning_schedule=schedule)
    trained(wrapped, [sparsity.UpdatePruningStep()])
    return wrapped, sparsity.strip_pruning(wrapped)


def clustered(tfmot, model):
    clustering = tfmot.clustering.keras
    start = clustering.CentroidInitialization.LINEAR
    # A depthwise layer has no weights that TFMOT clusters.
    wrapped = tf_keras.models.clone_model(model, clone_function=lambda layer: layer if "wise" in layer.name else (
        clustering.cluster_weights(layer, number_of_clusters=4, cluster_centroids_init=start)))
    wrapped.set_weights(wrapped.get_weights())
    trained(wrapped, [])
    return wrapped, clustering.strip_clustering(wrapped)


def trained(model, callbacks):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 8, 8, 3)).astype("float32"), rng.normal(size=(16, 4)).astype("float32")
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(x, y, epochs=1, verbose=0, callbacks=callbacks)


@pytest.mark.parametrize("slim", [pruned, clustered])
def test_a_stripped_network_folds_and_exports(slim, tfmot, network, relative_difference, tmp_path):
    wrapped, stripped = slim(tfmot, network)
    with pytest.raises(tfold.BadInputError, match="stripped of that then. Received: .*strip_(pruning|clustering)"):
        tfold.fold(wrapped)
    kernel = stripped.get_layer("conv").get_weights()[0]
    assert (kernel == 0).mean() == 0.5 if slim is pruned else len(np.unique(kernel)) <= 4
    result = tfold.fold(stripped)
    assert family_of(result.model).name == "tf_keras"
    assert not [layer for layer in result.model.layers if "BatchNorm" in type(layer).__name__]
    x = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    assert relative_difference(stripped, result.model, x) <= 1e-5
    # What is zero stays zero: a batch norm scales a kernel.
    folded = result.model.get_layer("conv").get_weights()[0]
    assert np.array_equal(folded == 0, kernel == 0)
    assert tfold.export(result.model, tmp_path / "model.tflite").parity <= 1e-4
