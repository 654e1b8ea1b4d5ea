"""How wide kernels are, and what merging made of them."""
import json

import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.algebra.linear_map import LinearMap
from tfold.passes.ranges import kernel_range


def dense(kernel):
    return kernel_range("k", LinearMap(np.asarray(kernel, float)))


def test_a_kernel_by_hand():
    found = dense([[1.0, 4.0, -2.0], [0.5, 4.0, 0.0]])
    assert (found.name, found.largest, found.spread) == ("k", 4.0, 2.0)


def test_decibels_are_of_real_rounding():
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(500, 3)) * [1, 100, 0.01]  # each channel has its own steps
    step = np.abs(kernel).max(0) / 127
    error = kernel - step * np.round(kernel / step)
    expected = np.mean(10 * np.log10((kernel**2).mean(0) / (error**2).mean(0)))
    assert dense(kernel).decibels == pytest.approx(expected)
    # A step's square ÷ 12 for uniform rounding: 45 dB or so for a normal distribution that reaches 3 σ.
    assert dense(kernel).decibels == pytest.approx(10 * np.log10(1 / np.mean((step / kernel.std(0)) ** 2 / 12)), abs=1)


def test_one_weight_that_stands_out_costs_bits():
    kernel = np.random.default_rng(0).normal(size=(100, 4))
    outlier = kernel.copy()
    outlier[0] = 40
    louder = 10 * np.log10((outlier**2).mean() / (kernel**2).mean())
    assert dense(outlier).decibels < dense(kernel).decibels + louder - 15


@pytest.mark.parametrize("kernel", [np.zeros((3, 3)), np.zeros((0, 3))])
def test_nothing_to_say_of_a_kernel_of_zeros(kernel):
    assert dense(kernel) is None


def test_channels_of_zeros_and_of_one_weight_are_no_trouble():
    found = dense([[0.0, 3.0], [0.0, 0.0]])
    assert np.isfinite([found.spread, found.decibels]).all() and found.spread == 1.0


def test_the_report_has_merged_kernels_beside_their_parts(randomize):
    x = keras.Input((8, 8, 6))
    y = layers.Conv2D(24, 1, name="expand")(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y)
    y = layers.Add(name="add")([x, layers.Conv2D(6, 1, name="project")(y)])
    y = layers.Conv2D(5, 3, name="alone")(layers.ReLU()(y))
    report = tfold.fold(randomize(keras.Model(x, y)), policy="always").report
    (merged,) = report.ranges
    assert [part.name for part in merged.parts] == ["expand", "depthwise", "project"]
    assert merged.kernel.name.startswith("expand+depthwise+project")
    assert merged.kernel.decibels < min(part.decibels for part in merged.parts)  # products spread wider
    document = json.loads(json.dumps(report.to_json()))["ranges"]
    assert document[0]["parts"][1]["name"] == "depthwise"
    assert f"  {merged.kernel.name}: largest weight" in str(report) and "(parts " in str(report)
    assert not tfold.fold_batch_norm(keras.Model(x, y)).report.ranges
