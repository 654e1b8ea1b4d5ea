"""Layer Folding for a classifier of your own, from a saved model to two .tflite files and their ratio.

    python examples/fold_classifier.py base.keras data.npz -o out --strength 0.25 --epochs 20

`data.npz` holds `x_train`, `y_train`, `x_test`, `y_test` as numpy.savez writes them; the labels are integers, as the
model's loss is sparse categorical cross-entropy. The recipe is the paper's (Layer Folding, arXiv 2106.09309): SGD with
momentum, α trained with the penalty, everything above τ = 0.9 folded, then fine-tuning. Raise --strength for a
shallower network, lower it for a more accurate one.
"""
import argparse
from pathlib import Path

import keras
import numpy as np

import tfold


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a trained .keras file")
    parser.add_argument("data", type=Path, help="an .npz file with x_train, y_train, x_test, y_test")
    parser.add_argument("-o", "--output", type=Path, default=Path("folded"), help="folder for the files")
    parser.add_argument("--strength", type=float, default=0.25, help="λ_c of the penalty")
    parser.add_argument("--epochs", type=int, default=20, help="with α, and again after folding")
    parser.add_argument("--rate", type=float, default=0.01, help="learning rate")
    parser.add_argument("--tie", nargs="+", action="append", default=[], metavar="NAME",
                        help="activations that share one α; once for each inverted residual")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    data = np.load(arguments.data)
    base = keras.models.load_model(arguments.model)

    f_alpha = tfold.prefold(base, tfold.AlphaPenalty(arguments.strength), tie=arguments.tie)
    train(f_alpha, data, arguments.epochs, arguments.rate, [
        tfold.callbacks.AlphaSchedule(arguments.strength, warmup=1),
        tfold.callbacks.AlphaLogger(),
        keras.callbacks.CSVLogger(arguments.output / "alpha.csv"),
    ])
    result = tfold.fold(f_alpha)
    print(result.report)
    # The folded network has no batch norm to absorb large steps.
    train(result.model, data, arguments.epochs, arguments.rate / 10)

    result.model.save(arguments.output / "folded.keras")
    paths = [arguments.output / "base.tflite", arguments.output / "folded.tflite"]
    for model, path in zip((base, result.model), paths, strict=True):
        tfold.export(model, path, force=True)
        print(f"{path}: accuracy {accuracy(model, data):.2%}, {path.stat().st_size:,} bytes")
    print(f"folded ÷ base on LiteRT, 1 thread: {tfold.bench(paths).ratio}")


def train(model, data, epochs, rate, callbacks=()):
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        data["x_train"], data["y_train"], batch_size=128, epochs=epochs, verbose=2, callbacks=list(callbacks),
        validation_data=(data["x_test"], data["y_test"]),
    )


def accuracy(model, data):
    predicted = model.predict(data["x_test"], verbose=0).argmax(axis=-1)
    return float(np.mean(predicted == data["y_test"].ravel()))


if __name__ == "__main__":
    main()
