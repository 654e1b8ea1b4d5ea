"""In which chains prefold(padding="forward") moves padding, and which it leaves as they are."""

import keras
import pytest
from keras import layers

from tfold.alpha import prefold
from tfold.alpha.padding import segments


def conv(filters, name, window=3, **kwargs):
    return layers.Conv2D(filters, window, **{"padding": "same", "name": name, **kwargs})


def chain(*stack, shape=(18, 17, 4)):
    x = y = keras.Input(shape)
    for layer in stack:
        y = layer(y)
    return keras.Model(x, y)


def five():
    return chain(
        conv(4, "a"), layers.ReLU(name="r"), conv(4, "b"), layers.ReLU(name="s"), conv(4, "c", activation="relu"),
        conv(4, "d"), conv(4, "e"),
    )


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, ["abcde"]),
        ({"skip": "r"}, ["bcde"]),
        ({"skip": "s"}, ["ab", "cde"]),
        ({"skip": "c"}, ["abc", "de"]),
        ({"only": "r"}, ["ab", "de"]),
    ],
)
def test_an_activation_without_alpha_ends_a_segment(options, expected):
    model = five()
    assert ["".join(segment.convolutions) for segment in segments(model, **options)] == expected
    f_alpha = prefold(model, padding="forward", **options)
    assert [layer.name[0] for layer in f_alpha.layers if "_padding" in layer.name] == [names[0] for names in expected]
    padded = {layer.name for layer in f_alpha.layers if getattr(layer, "padding", None) == "same"}
    assert padded == set("abcde") - set("".join(expected))


def left_alone():
    """Networks in which there is nothing to move: name → model."""
    shared = conv(4, "shared")
    yield "shared convolution", chain(shared, layers.ReLU(), shared, layers.Flatten(), layers.Dense(2))
    yield "one", chain(conv(4, "a"), layers.ReLU(), layers.Flatten(), layers.Dense(2))
    yield "only the first", chain(conv(4, "a"), layers.ReLU(), conv(4, "b", 1), conv(4, "c", padding="valid"))
    yield "pooling", chain(conv(4, "a"), layers.ReLU(), layers.MaxPooling2D(), conv(4, "b"))
    yield "unknown size", chain(conv(4, "a"), layers.ReLU(), conv(4, "b", strides=2), shape=(None, None, 4))
    yield "dense between", chain(conv(4, "a"), layers.Dense(4, activation="relu"), conv(4, "b"))
    yield "transposed", chain(conv(4, "a"), layers.ReLU(), layers.Conv2DTranspose(4, 3, padding="same"))
    yield "channels first", chain(
        conv(4, "a", data_format="channels_first"), layers.ReLU(), conv(4, "b", data_format="channels_first"))
    yield "sized noise", chain(conv(4, "a"), layers.ReLU(), layers.Dropout(0.1, (None, 18, 17, 1)), conv(4, "b"))
    x = keras.Input((9, 8, 4))
    y = layers.ReLU()(conv(4, "a")(x))
    yield "several consumers", keras.Model(x, layers.Concatenate()([conv(4, "b")(y), conv(4, "c")(y)]))
    between = conv(4, "d")(x)
    yield "output between", keras.Model(x, [between, conv(4, "i")(layers.ReLU()(between))])
    z = layers.ReLU()(layers.Add()([y, conv(4, "e", 1)(x)]))
    yield "addition", keras.Model(x, layers.Flatten()(conv(4, "f")(z)))
    inner = chain(conv(4, "inner"), layers.ReLU())
    yield "half in a nested model", chain(conv(4, "a"), inner, conv(4, "b"))
    twice = chain(conv(4, "g"), layers.ReLU(), conv(4, "h"))
    yield "a nested model called twice", chain(twice, twice)


def test_left_as_it_is():
    def look(model):
        return [(type(layer), getattr(layer, "padding", None)) for layer in model.layers]

    for name, model in left_alone():
        assert segments(model) == [], name
        assert look(prefold(model, padding="forward")) == look(prefold(model)), name


def test_a_layer_that_also_stands_inside_a_wall():
    """A nested model called with training=True is one layer here; its convolutions must not change under it."""
    x = keras.Input((9, 8, 4))
    first = conv(4, "a")
    inner = keras.Model(x, layers.ReLU()(first(x)), name="inner")
    y = conv(4, "b")(layers.ReLU(name="outer")(first(x)))
    model = keras.Model(x, layers.Flatten()(layers.Add()([y, inner(x, training=True)])))
    assert segments(model) == []
