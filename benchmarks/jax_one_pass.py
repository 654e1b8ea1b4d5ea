"""On JAX: what does batch norm gain from statistics in one sweep, and does XLA make one loop of them?

    python benchmarks/jax_one_pass.py [--networks MobileNetV2,ResNet50,DenseNet121] [--kinds "stock,both ways,nothing"]

    stock      jnp.mean, jnp.var
    shifted    mean(x - s) and mean((x - s)^2), with s the first pixel; derivatives by JAX
    pairs      the same two sums as one reduction of pairs, lax.reduce((d, d*d), ...), with its derivative by hand
    both ways  all of batch norm by hand: the two sums of its gradient are one reduction of pairs, too
    nothing    no batch norm: what no batch norm can beat

Whole training steps (`train_on_batch`: Keras's own, jitted), measured in turns; ratios are medians (quartiles). Seconds
of the processor are told beside those of the clock, for others' work on the same cores disturbs them less.

XLA for CPUs never merges two reductions of one tensor: "shifted" stays two loops, and in large tensors (48 x 48 x 96,
batch 32) x - s is even written out, 6 sweeps where stock makes 4. A reduction of pairs is one loop. The statistics of
one tensor, to stock: shifted 0.9 to 1.6, pairs 0.33 to 0.6, as the mean alone.

Two cores (EPYC, family 26), jax 0.7.1, Keras 3.15.1, float32, batch 32 at 96 x 96; steps to stock, processor seconds:

                 shifted              pairs                both ways            nothing
    MobileNetV2                       0.969 (0.963-0.979)  0.960 (0.954-0.972)  0.913 (0.900-0.922)
    ResNet50     0.979 (0.972-0.980)  0.844 (0.836-0.854)  0.684 (0.683-0.691)  0.557 (0.549-0.559)
    DenseNet121                                            0.801 (0.780-0.811)  0.540 (0.537-0.551)

By the clock: MobileNetV2 0.966, 0.960, 0.906; ResNet50 both ways 0.690, nothing 0.549; DenseNet121 0.816 and 0.557. One
sweep as one would write it gains next to nothing; reductions of pairs both ways take away 43 to 71 % of what batch norm
costs. A step differs from stock's by 1 to 1.5 times what stock's own does after a change of 1e-6 in its inputs.
"""
import argparse
import os
import time

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import lax

from tfold.measure import describe_machine

BATCH, SIZE, CLASSES = 32, 96, 10


def sums(a, b):
    """Sums over all axes but the last, of two tensors in one loop: a reduction of pairs."""
    zero = np.float32(0)
    return lax.reduce((a, b), (zero, zero), lambda p, q: (p[0] + q[0], p[1] + q[1]), tuple(range(a.ndim - 1)))


def shifted_moments(x, shift):
    """One sweep as one would write it."""
    axes = tuple(range(x.ndim - 1))
    deviation = x - lax.stop_gradient(shift)
    mean = jnp.mean(deviation, axes)
    return shift + mean, jnp.mean(deviation * deviation, axes) - mean * mean


def pair_sums_moments(x, shift):
    deviation = x - shift
    total, squares = sums(deviation, deviation * deviation)
    mean = total / (x.size // x.shape[-1])
    return shift + mean, jnp.maximum(squares / (x.size // x.shape[-1]) - mean * mean, 0)


# Reductions of pairs have no derivative in JAX: it is given by hand.
@jax.custom_vjp
def pair_moments(x, shift):
    """One sweep as XLA keeps it."""
    return pair_sums_moments(x, shift)


def _moments_forward(x, shift):
    mean, variance = pair_sums_moments(x, shift)
    return (mean, variance), (x, mean)


def _moments_backward(kept, upstream):
    x, mean = kept
    d_mean, d_variance = upstream
    return (d_mean + 2 * d_variance * (x - mean)) / (x.size // x.shape[-1]), jnp.zeros_like(mean)


pair_moments.defvjp(_moments_forward, _moments_backward)


@jax.custom_vjp
def pair_normalize(x, shift, gamma, beta, epsilon):
    """All of batch norm, so that both sums of its gradient are one sweep, too. Also mean and variance."""
    return _normalize_forward(x, shift, gamma, beta, epsilon)[0]


def _normalize_forward(x, shift, gamma, beta, epsilon):
    mean, variance = pair_sums_moments(x, shift)
    inverse = lax.rsqrt(variance + epsilon)
    y = (x - mean) * (inverse * gamma) + beta
    return (y, mean, variance), (x, mean, inverse, gamma)


def _normalize_backward(kept, upstream):
    x, mean, inverse, gamma = kept
    dy = upstream[0]  # nothing flows back through the moving averages
    total, product = sums(dy, dy * (x - mean))
    slope = inverse * inverse * product / (x.size // x.shape[-1])
    dx = (gamma * inverse) * (dy - total / (x.size // x.shape[-1]) - (x - mean) * slope)
    return dx, jnp.zeros_like(mean), product * inverse, total, 0.0


pair_normalize.defvjp(_normalize_forward, _normalize_backward)


def first_pixel(x):
    """A shift near the mean, however large that is; moving averages start at zero."""
    return lax.stop_gradient(x[(0,) * (x.ndim - 1)])


class Shifted(keras.layers.BatchNormalization):
    def _moments(self, inputs, mask):
        return shifted_moments(inputs, first_pixel(inputs))


class Pairs(keras.layers.BatchNormalization):
    def _moments(self, inputs, mask):
        return pair_moments(inputs, first_pixel(inputs))


class PairsBothWays(keras.layers.BatchNormalization):
    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        size = inputs.shape[-1]
        gamma = self.gamma.value if self.scale else jnp.ones(size, inputs.dtype)
        beta = self.beta.value if self.center else jnp.zeros(size, inputs.dtype)
        y, mean, variance = pair_normalize(inputs, first_pixel(inputs), gamma, beta, self.epsilon)
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + lax.stop_gradient(value) * (1 - self.momentum))
        return y


class Nothing(keras.layers.Layer):
    """Batch norm left out: what any speed-up of it cannot exceed."""

    def call(self, inputs, training=None, mask=None):
        return inputs


KINDS = {"stock": keras.layers.BatchNormalization, "shifted": Shifted, "pairs": Pairs, "both ways": PairsBothWays,
         "nothing": Nothing}


def networks(name, kinds):
    """The same network with each kind of batch norm, ready to train."""
    keras.utils.set_random_seed(0)
    original = getattr(keras.applications, name)(weights=None, input_shape=(SIZE, SIZE, 3), classes=CLASSES)
    models = {}
    for kind in kinds:
        replacement = KINDS[kind]

        def swap(layer, replacement=replacement):
            if type(layer) is not keras.layers.BatchNormalization:
                return layer.__class__.from_config(layer.get_config())
            if replacement is Nothing:
                return Nothing(name=layer.name)
            return replacement.from_config(layer.get_config())

        models[kind] = keras.models.clone_model(original, clone_function=swap)
        if replacement is not Nothing:
            models[kind].set_weights(original.get_weights())
        models[kind].compile(keras.optimizers.SGD(1e-3), "sparse_categorical_crossentropy", jit_compile=True)
    return models


def changed(before, after, other):
    """Median over the weights of the largest difference of two steps, to the largest change that the first makes."""
    pairs = zip(before, after, other, strict=True)
    return np.median([np.abs(b - c).max() / np.abs(b - a).max() for a, b, c in pairs if np.abs(b - a).max() > 0])


def quartiles(values):
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.3f} ({low:.3f}-{high:.3f})"


def layer_times(repeat):
    """Sweeps, and time beside the mean alone, of the statistics of one tensor."""
    random = np.random.default_rng(0)
    forms = {"mean": lambda x, s: jnp.mean(x, (0, 1, 2)),
             "stock": lambda x, s: (jnp.mean(x, (0, 1, 2)), jnp.var(x, (0, 1, 2))),
             "shifted": shifted_moments, "pairs": pair_sums_moments}
    for shape in ((BATCH, 48, 48, 96), (BATCH, 24, 24, 144), (BATCH, 6, 6, 384)):
        x = jnp.asarray(random.normal(size=shape).astype(np.float32))
        compiled = {name: jax.jit(form).lower(x, x[0, 0, 0]).compile() for name, form in forms.items()}
        times = {name: [] for name in forms}
        for number in range(repeat):
            for name in forms if number % 2 == 0 else reversed(forms):
                begin = time.perf_counter()
                jax.block_until_ready(compiled[name](x, x[0, 0, 0]))
                times[name].append(time.perf_counter() - begin)
        for name in forms:
            sweeps = compiled[name].cost_analysis()["bytes accessed"] / x.nbytes
            print(f"{shape!s:<20} {name:<8} {sweeps:.0f} sweeps by XLA's count, ÷ stock "
                  + quartiles(np.array(times[name]) / np.array(times["stock"])))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="MobileNetV2")
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--kinds", default=",".join(KINDS), help="stock first")
    parser.add_argument("--pause", type=float, default=0, help="seconds between repetitions")
    chosen = parser.parse_args()
    print(describe_machine(), "jax", jax.__version__, "keras", keras.__version__)
    layer_times(chosen.repeat)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(BATCH, SIZE, SIZE, 3)).astype(np.float32), random.integers(0, CLASSES, BATCH)
    for name in chosen.networks.split(","):
        models = networks(name, chosen.kinds.split(","))
        before = models["stock"].get_weights()
        noise = (1e-6 * random.normal(size=x.shape)).astype(np.float32)
        models["stock"].train_on_batch(x + noise, y)
        disturbed = models["stock"].get_weights()
        models["stock"].set_weights(before)
        for kind, model in models.items():
            begin = time.perf_counter()
            model.train_on_batch(x, y)
            print(f"{name} {kind:<10} first step in {time.perf_counter() - begin:.0f} s", flush=True)
            if kind == "stock":
                after = model.get_weights()
                print(f"  with inputs changed by 1e-6, the step changes by {changed(before, after, disturbed):.3f}")
            elif kind != "nothing":
                print(f"  its step differs from stock by {changed(before, after, model.get_weights()):.3f}")
            model.train_on_batch(x, y)
        times, work = ({kind: [] for kind in models} for _ in range(2))
        for number in range(chosen.repeat):
            time.sleep(chosen.pause)
            for kind in models if number % 2 == 0 else reversed(models):
                begin, begin_work = time.perf_counter(), time.process_time()
                models[kind].train_on_batch(x, y)
                times[kind].append(time.perf_counter() - begin)
                work[kind].append(time.process_time() - begin_work)
        for kind in models:
            seconds, processor = (np.array(which[kind]) / np.array(which["stock"]) for which in (times, work))
            print(f"{name} {kind:<10} {np.median(times[kind]):6.2f} s, ÷ stock {quartiles(seconds)}; processor "
                  f"{np.median(work[kind]):6.2f} s, ÷ stock {quartiles(processor)}")



if __name__ == "__main__":
    main()
