"""Networks unlike keras.applications': they come back from capture → build, they fold, and what is folded is saved.

Language, segmentation, detection, comparison, sequences, video: each as small as its kind of wiring allows.
"""
import keras
import numpy as np
import pytest
from keras import layers, ops

import tfold
from tfold.graph.build import build
from tfold.graph.capture import capture

ARCHITECTURES = {}
WORDS = 11
# Batch norms that may be left: behind layers that are called several times.
LEFT_AT_MOST = {"siamese": 3, "detector": 1}


def architecture(function):
    ARCHITECTURES[function.__name__] = function
    return function


def conv(x, filters, size=3, strides=1, padding="same", activation="relu"):
    y = layers.Conv2D(filters, size, strides=strides, padding=padding, use_bias=False)(x)
    return layers.Activation(activation)(layers.BatchNormalization()(y))


def encoder_block(x, **options):
    """One block of a transformer, normalised behind each residual as BERT is."""
    y = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x, **options)
    x = layers.LayerNormalization(epsilon=1e-12)(layers.Add()([x, layers.Dropout(0.1)(y)]))
    y = layers.Dense(8)(layers.Dense(16, activation="gelu")(x))
    return layers.LayerNormalization(epsilon=1e-12)(layers.Add()([x, y]))


def embedded(tokens, **options):
    positions = ops.cumsum(ops.ones_like(tokens), axis=1) - 1
    y = layers.Embedding(WORDS, 8, **options)(tokens) + layers.Embedding(16, 8)(positions)
    return layers.LayerNormalization()(y)


@architecture
def bert():
    tokens = keras.Input((9,), dtype="int32", name="tokens")
    x = embedded(tokens)
    for _ in range(2):
        x = encoder_block(x)
    pooled = layers.Dense(8, activation="tanh")(x[:, 0])
    return keras.Model(tokens, {"words": layers.Dense(WORDS)(x), "class": layers.Dense(3)(pooled)})


@architecture
def bert_with_a_mask_as_an_input():
    tokens, mask = keras.Input((9,), dtype="int32"), keras.Input((9,), dtype="bool")
    x = embedded(tokens)
    for _ in range(2):
        x = encoder_block(x, attention_mask=mask[:, None, :])
    return keras.Model([tokens, mask], layers.Dense(3)(layers.GlobalMaxPooling1D()(x)))


@architecture
def bert_with_the_masks_of_keras():
    tokens = keras.Input((9,), dtype="int32")
    x = layers.Dropout(0.1)(layers.Embedding(WORDS, 8, mask_zero=True)(tokens))
    x = encoder_block(encoder_block(x))
    return keras.Model(tokens, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


@architecture
def vision_transformer():
    image = keras.Input((12, 12, 3))
    x = layers.Reshape((9, 8))(layers.Conv2D(8, 4, strides=4, name="patches")(image))
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(2, 4)(query=y, value=y)
        y = layers.Dense(16)(layers.LayerNormalization()(x))
        x = x + layers.Dense(8)(ops.gelu(y, approximate=True))
    return keras.Model(image, layers.Dense(3)(ops.mean(x, axis=1)))


@architecture
def unet():
    image = x = keras.Input((16, 24, 3))
    skips = []
    for filters in (4, 8):
        skips.append(x := conv(conv(x, filters), filters))
        x = layers.MaxPooling2D()(x)
    x = conv(x, 16)
    for filters in (8, 4):
        x = layers.Conv2DTranspose(filters, 2, strides=2, padding="same")(x)
        x = conv(layers.Concatenate()([layers.BatchNormalization()(x), skips.pop()]), filters)
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(x))


@architecture
def unet_that_crops():
    """The first U-Net: convolutions without padding, so that the skips have to be cropped."""
    image = keras.Input((28, 28, 1))
    skip = conv(conv(image, 4, padding="valid"), 4, padding="valid")
    x = conv(layers.AveragePooling2D(2)(skip), 8, padding="valid")
    x = conv(layers.UpSampling2D(interpolation="bilinear")(x), 4, padding="valid")
    x = layers.Concatenate()([layers.Cropping2D(((3, 3), (3, 3)))(skip), x])
    return keras.Model(image, layers.Conv2D(2, 1)(conv(x, 4, padding="valid")))


@architecture
def unet_with_attention_gates():
    image = keras.Input((16, 16, 3))
    skip = conv(image, 4)
    signal = conv(layers.MaxPooling2D()(skip), 8)
    y = layers.Conv2D(4, 1)(signal) + layers.BatchNormalization()(layers.Conv2D(4, 2, strides=2, use_bias=False)(skip))
    gate = layers.Conv2D(1, 1, activation="sigmoid")(layers.ReLU()(y))
    skip = layers.Multiply()([skip, layers.UpSampling2D()(gate)])
    return keras.Model(image, conv(layers.Concatenate()([layers.UpSampling2D()(signal), skip]), 4))


@architecture
def siamese():
    image = keras.Input((12, 12, 3))
    features = layers.GlobalAveragePooling2D()(conv(conv(image, 4, strides=2), 8))
    encoder = keras.Model(image, layers.BatchNormalization()(layers.Dense(6)(features)), name="encoder")
    left, right = keras.Input((12, 12, 3), name="left"), keras.Input((12, 12, 3), name="right")
    a, b = encoder(left), encoder(right)
    y = layers.Concatenate()([ops.abs(a - b), layers.Dot(axes=1, normalize=True)([a, b])])
    return keras.Model({"left": left, "right": right}, layers.Dense(1, activation="sigmoid")(y))


@architecture
def detector():
    """A feature pyramid, and heads that all scales share."""
    image = keras.Input((32, 32, 3))
    x, scales = conv(image, 4, strides=2), []
    for filters in (4, 6, 8):
        scales.append(x := conv(x, filters, strides=2))
    sides = [layers.BatchNormalization()(layers.Conv2D(6, 1)(x)) for x in scales]
    pyramid = [sides.pop()]
    while sides:
        pyramid.append(layers.Add()([layers.UpSampling2D()(pyramid[-1]), sides.pop()]))
    smooth = [layers.Conv2D(6, 3, padding="same")(x) for x in pyramid]
    head, norm, boxes, scores = layers.Conv2D(6, 3, padding="same"), layers.BatchNormalization(), layers.Conv2D(
        8, 3, padding="same"), layers.Conv2D(2 * 5, 3, padding="same", activation="sigmoid")
    features = [layers.ReLU()(norm(head(x))) for x in smooth]
    outputs = {
        "boxes": layers.Concatenate(axis=1)([layers.Reshape((-1, 4))(boxes(x)) for x in features]),
        "scores": layers.Concatenate(axis=1)([layers.Reshape((-1, 5))(scores(x)) for x in features]),
        "features": tuple(smooth),
    }
    return keras.Model(image, outputs)


@architecture
def text():
    tokens = keras.Input((7,), dtype="int32")
    x = layers.Embedding(WORDS, 6, mask_zero=True)(tokens)
    x = layers.Bidirectional(layers.GRU(4, return_sequences=True))(x)
    tags = layers.TimeDistributed(layers.Dense(5, activation="relu"))(x)
    x = layers.BatchNormalization()(layers.Dense(6)(layers.LSTM(4)(tags)))
    return keras.Model(tokens, [layers.TimeDistributed(layers.Dense(3, activation="softmax"))(tags), x])


@architecture
def video():
    frames = keras.Input((4, 10, 10, 2))
    x = layers.TimeDistributed(keras.Sequential([layers.Conv2D(3, 3), layers.BatchNormalization(), layers.ReLU()]))(
        frames)
    x = layers.BatchNormalization()(layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)(x))
    x = layers.BatchNormalization()(layers.Conv3D(3, (2, 3, 3), use_bias=False)(x))
    x = layers.ConvLSTM2D(2, 3)(layers.ReLU()(x))
    return keras.Model(frames, layers.Dense(2)(layers.Flatten()(x)))


@architecture
def wavenet():
    x = sound = keras.Input((24, 4))
    sums = []
    for dilation in (1, 2, 4):
        y = layers.BatchNormalization()(layers.Conv1D(8, 2, dilation_rate=dilation, padding="causal")(x))
        a, b = ops.split(y, 2, axis=-1)
        y = ops.tanh(a) * ops.sigmoid(b)
        sums.append(layers.Conv1D(5, 1)(y))
        x = layers.Add()([x, layers.Conv1D(4, 1)(y)])
    return keras.Model(sound, layers.BatchNormalization()(layers.Conv1D(3, 1)(layers.ReLU()(layers.Add()(sums)))))


def example(model):
    """Random input for two, with all words of the vocabulary, 0 among them."""
    rng = np.random.default_rng(0)

    def one(tensor):
        shape = (2, *tensor.shape[1:])
        if tensor.dtype in ("int32", "bool"):
            return rng.integers(0, WORDS if tensor.dtype == "int32" else 2, shape).astype(tensor.dtype)
        return rng.normal(size=shape).astype("float32")

    return keras.tree.map_structure(one, model.input)


@pytest.fixture(params=ARCHITECTURES)
def name(request):
    return request.param


@pytest.fixture
def model(name, randomize):
    keras.utils.set_random_seed(0)
    return randomize(ARCHITECTURES[name]())


def test_it_comes_back(model, relative_difference):
    weights = [w.copy() for w in model.get_weights()]
    again = build(capture(model))
    assert relative_difference(model, again, example(model)) <= 1e-6
    assert again.output_names == model.output_names
    keras.tree.assert_same_structure(again.output, model.output)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))


def test_it_folds_and_what_is_folded_is_saved(model, name, relative_difference, tmp_path):
    x = example(model)
    result = tfold.fold(model)
    folded = result.model
    assert result.report.after.batch_norms <= LEFT_AT_MOST.get(name, 0)
    assert relative_difference(model, folded, x) <= 1e-5
    folded.save(tmp_path / "folded.keras")
    assert relative_difference(folded, keras.saving.load_model(tmp_path / "folded.keras"), x) == 0
