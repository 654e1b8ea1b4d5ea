"""Random networks: whatever is folded, the network computes the same, and folding again finds nothing more."""
import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.folding import fold_plan

NETWORKS = 36


class RandomNetwork:
    """Grows a network of convolutions, batch norms, additions… tensor by tensor."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.rank = self.choose(1, 2, 2, 2, 3)
        self.inputs = keras.Input((*(self.choose(6, 7, 8, 9) for _ in range(self.rank)), self.choose(1, 2, 3)))
        self.tensors = [self.inputs]
        self.shared = []

    def choose(self, *options):
        return options[int(self.rng.integers(len(options)))]

    def layer(self, kind, *args, **kwargs):
        return getattr(layers, f"{kind}{self.rank}D")(*args, **kwargs)

    def conv(self, filters, window, **kwargs):
        return self.layer("Conv", filters, window, use_bias=self.choose(True, False), **kwargs)

    def model(self, steps=8):
        grow = [self.convolution, self.convolution, self.pointwise, self.depthwise, self.dense, self.norm, self.norm,
                self.residual, self.residual, self.branches, self.addition, self.concatenation, self.pool,
                self.activation, self.alpha, self.alpha, self.padding, self.dropout, self.shared_layer,
                self.transposed,
                self.nested, self.wall, self.arithmetic, self.arithmetic, self.rescaling, self.crop, self.upsample,
                self.slice, self.gate, self.separable, self.grouped, self.global_pool]
        for _ in range(steps):
            x = self.tensors[-1] if self.rng.random() < 0.7 else self.choose(*self.tensors)
            y = self.choose(*grow)(x)
            if y is not None and max(y.shape[1:-1]) <= 24 and y.shape[-1] <= 16:
                self.tensors.append(y)
        outputs = [self.tensors[-1], self.choose(*self.tensors)][: self.choose(1, 1, 2)]
        return keras.Model(self.inputs, outputs)

    def convolution(self, x):
        step = self.choose({}, {"strides": 2}, {"dilation_rate": 2})
        padding = "same" if min(x.shape[1:-1]) < 5 else self.choose("same", "valid")
        window = tuple(self.choose(1, 2, 3) for _ in range(self.rank))
        return self.conv(self.choose(2, 3, 4), window, padding=padding, activation=self.choose(None, None, "relu"),
                         **step)(x)

    def pointwise(self, x):
        return self.conv(self.choose(1, 2, 4), 1, strides=self.choose(1, 1, 2))(x)

    def depthwise(self, x):
        if self.rank < 3:
            return self.layer("DepthwiseConv", 3, padding="same", strides=self.choose(1, 2),
                              depth_multiplier=self.choose(1, 2))(x)

    def dense(self, x):
        return layers.Dense(self.choose(2, 3))(x)

    def norm(self, x):
        return layers.BatchNormalization(center=self.choose(True, True, False))(x)

    def residual(self, x):
        y = self.conv(5, 1)(x)
        y = self.conv(5, self.choose(1, 3), padding="same")(y)
        return layers.Add()([self.norm(self.conv(x.shape[-1], 1)(y)), x])

    def branches(self, x):
        filters, strides = self.choose(2, 3), self.choose(1, 2)
        return self.choose(layers.Add, layers.Add, layers.Average)()([
            self.conv(filters, window, padding="same", strides=strides)(x)
            for window in (1, 2, 3)[: self.choose(2, 3)]])

    def addition(self, x):
        other = self.choose(*[t for t in self.tensors if t.shape == x.shape])
        return self.choose(layers.Add(), layers.Add(), layers.Subtract(), layers.Average())([x, other])

    def concatenation(self, x):
        return layers.Concatenate()([x, self.choose(*[t for t in self.tensors if t.shape[:-1] == x.shape[:-1]])])

    def pool(self, x):
        return self.layer(self.choose("MaxPooling", "AveragePooling"), self.choose(2, 3), self.choose(1, 2),
                          padding="same" if min(x.shape[1:-1]) < 3 else self.choose("same", "valid"))(x)

    def activation(self, x):
        return self.choose(layers.ReLU(6.0), layers.Activation("swish"), layers.LeakyReLU(0.1))(x)

    def alpha(self, x):
        alpha = keras.initializers.Constant(self.choose(0.0, 1.0, 1.0))
        return tfold.AlphaActivation("relu", alpha_initializer=alpha)(x)

    def padding(self, x):
        pairs = tuple((self.choose(0, 1, 2), self.choose(0, 1)) for _ in range(self.rank))
        return self.layer("ZeroPadding", pairs[0] if self.rank == 1 else pairs)(x)

    def dropout(self, x):
        return layers.Dropout(0.3)(x)

    def shared_layer(self, x):
        layer = self.choose(self.conv(x.shape[-1], 3, padding="same"), layers.Dense(x.shape[-1]),
                            layers.BatchNormalization())
        return layer(layer(x))

    def transposed(self, x):
        layer = getattr(layers, f"Conv{self.rank}DTranspose")
        return layer(2, 3, strides=self.choose(1, 2), padding="same")(x)

    def nested(self, x):
        inner = keras.Sequential([keras.Input(x.shape[1:]), layers.Dense(x.shape[-1]), layers.BatchNormalization()])
        return inner(inner(x)) if self.choose(True, False) else inner(x)

    def arithmetic(self, x):
        constant = self.choose(2.0, -0.5, self.rng.normal(size=x.shape[-1:]).astype("float32"))
        return self.choose(lambda: x * constant, lambda: x + constant, lambda: keras.ops.subtract(constant, x),
                           lambda: x / 3.0, lambda: -x, lambda: x - constant)()

    def rescaling(self, x):
        n = x.shape[-1]
        statistics = {"mean": self.rng.normal(size=n), "variance": self.rng.uniform(0.5, 2, n)}
        return self.choose(
            lambda: layers.Rescaling(1 / 2, -1)(x),
            lambda: layers.Rescaling([0.5] * n, self.rng.normal(size=n).tolist())(x),
            lambda: layers.Normalization(axis=-1, invert=self.choose(False, True), **statistics)(x))()

    def crop(self, x):
        if min(x.shape[1:-1]) > 4:
            return self.layer("Cropping", 1)(x)

    def upsample(self, x):
        if max(x.shape[1:-1]) < 8:
            return self.layer("UpSampling", 2)(x)

    def slice(self, x):
        return x[..., : self.choose(1, 2)]

    def gate(self, x):
        y = self.layer("GlobalAveragePooling", keepdims=True)(x)
        y = self.conv(x.shape[-1], 1)(y)
        return layers.Multiply()([x, self.choose(lambda: keras.ops.sigmoid(y),
                                                 lambda: layers.ReLU(6.0)(y + 3.0) * (1 / 6))()])

    def global_pool(self, x):
        y = self.choose(lambda t: t, layers.Dense(3))(x)
        return self.layer(self.choose("GlobalAveragePooling", "GlobalMaxPooling"), keepdims=True)(y)

    def separable(self, x):
        if self.rank < 3:
            return self.layer("SeparableConv", 3, self.choose(1, 3), padding="same")(x)

    def grouped(self, x):
        n = x.shape[-1]
        return self.layer("Conv", n * self.choose(1, 2), 3, padding="same", groups=n)(x)

    def wall(self, x):
        return layers.PReLU(shared_axes=list(range(1, self.rank + 1)), alpha_initializer="random_normal")(x)


@pytest.mark.parametrize("policy", ["latency", "macs", "always"])
@pytest.mark.parametrize("first", range(0, NETWORKS, 6))
def test_random_networks(first, policy, fold_checked):
    for seed in range(first + ["latency", "macs", "always"].index(policy), first + 6, 3):
        keras.backend.clear_session()
        model = RandomNetwork(seed).model()
        result = fold_checked(model, seed=seed, policy=policy)
        report = result.report
        assert report.after.depth <= report.before.depth, seed
        assert policy != "macs" or report.after.macs <= report.before.macs, seed
        assert not any(isinstance(layer, tfold.AlphaActivation) for layer in result.model.layers), seed
        again = fold_plan(result.model, policy=policy)
        # What has become a depthwise layer is no batch norm any more.
        norms = report.after.batch_norms - sum(entry.rule == "cheapest_form" for entry in report.folded)
        assert (again.after.depth, again.after.batch_norms) == (report.after.depth, norms), seed


def test_the_networks_are_worth_folding():
    """The random networks must reach the rules, or the test above says nothing."""
    done, reasons = set(), set()
    for seed in range(12):
        keras.backend.clear_session()
        report = fold_plan(RandomNetwork(seed).model(), policy="always")
        done |= {(entry.rule, entry.detail.split(" ")[0]) for entry in report.folded}
        reasons |= {entry.reason for entry in report.refusals}
    assert {("fold_batch_norm", "folded"), ("merge_linear", "merged"), ("settle_alpha", "activation")} <= done
    assert len(reasons) >= 4
