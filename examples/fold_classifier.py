"""Layer Folding for a classifier of your own, from a saved model to two .tflite files and their ratio.

    python examples/fold_classifier.py base.keras data.npz -o out --strength 0.25 --epochs 20

The data are an .npz with x_train, y_train, x_test and y_test (class numbers), a folder of images, or a set of
keras.datasets; the model's outputs are logits or a softmax. The recipe is the paper's (Layer Folding, arXiv
2106.09309): SGD with momentum, α trained with the penalty, everything above τ = 0.9 folded, then fine-tuning. Raise
--strength for a shallower network, lower it for a more accurate one.

What the other examples do by `tfold.recipe` stands here in `compile` and `fit`, to be copied and changed.
"""
import argparse
from pathlib import Path

import common

import tfold


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a trained .keras file")
    parser.add_argument("data", help="an .npz file with x_train, y_train, x_test, y_test, or what else load_data takes")
    parser.add_argument("--scale", type=common.pair, metavar="LOW,HIGH",
                        help=f"{common.SCALE}; as they are stored by default")
    parser.add_argument("-o", "--output", type=Path, default=Path("folded"), help="folder for the files")
    parser.add_argument("--strength", type=float, default=0.25, help="λ_c of the penalty")
    parser.add_argument("--epochs", type=common.at_least(1), default=20, help="with α, and again after folding")
    parser.add_argument("--rate", type=float, default=0.01, help="learning rate")
    parser.add_argument("--tie", nargs="+", action="append", default=[], metavar="NAME",
                        help="activations that share one α; once for each inverted residual")
    parser.add_argument("--seed", type=common.at_least(0), default=0, help="of the order of the images")
    parser.add_argument("--allow-unsafe", action="store_true", help="load Python code stored in the model")
    parser.add_argument("--custom-objects", metavar="MODULE", action="append", default=[],
                        help="a module that has the model's own layers")
    arguments = parser.parse_args()
    common.import_keras()  # without what TensorFlow greets with
    import keras

    from tfold.files import check_output
    from tfold.loading import load_model, save_model
    from tfold.recipe.data import load_data
    from tfold.recipe.fitting import accuracy
    from tfold.recipe.identity import check_fits

    base = load_model(arguments.model, arguments.allow_unsafe, arguments.custom_objects)
    data = load_data(arguments.data, arguments.scale, size=base.input_shape[1:])
    check_fits(base, data)
    common.prepare(arguments.output, pictures=False)
    check_output(arguments.output / "folded.keras", ".keras", force=True, source=arguments.model)
    keras.utils.set_random_seed(arguments.seed)

    def validation(model):
        return accuracy(model, data.x_validation, data.y_validation, data)

    # Were they read as it was trained? With a --scale forgotten it would be no better than chance.
    print(f"the base network's accuracy on the validation images: {validation(base):.2%}", flush=True)

    f_alpha = tfold.prefold(base, tfold.AlphaPenalty(arguments.strength), tie=arguments.tie)
    train(f_alpha, data, arguments.epochs, arguments.rate, [
        tfold.callbacks.AlphaSchedule(arguments.strength, warmup=min(1, arguments.epochs - 1)),
        tfold.callbacks.AlphaLogger(),
        keras.callbacks.CSVLogger(arguments.output / "alpha.csv"),
    ])
    result = tfold.fold(f_alpha, preprocessing="keep")  # folded now, it would make the first steps far too long
    print(result.report)
    print(f"accuracy on the validation images before it is trained on: {validation(result.model):.2%}")
    # The folded network has no batch norm to absorb large steps.
    train(result.model, data, arguments.epochs, arguments.rate / 10)

    folded = tfold.fold(result.model).model  # the preprocessing, too
    save_model(folded, arguments.output / "folded.keras", force=True)
    paths = [arguments.output / "base.tflite", arguments.output / "folded.tflite"]
    for model, path in zip((base, folded), paths, strict=True):
        tfold.export(model, path, force=True)
        test = accuracy(model, data.x_test, data.y_test, data)
        print(f"{path}: accuracy {test:.2%} on the test images, {path.stat().st_size:,} bytes")
    print(f"folded ÷ base on LiteRT, 1 thread: {tfold.bench(paths).ratio}")


def train(model, data, epochs, rate, callbacks=()):
    import keras

    from tfold.recipe.scores import classification_loss

    model.compile(keras.optimizers.SGD(rate, momentum=0.9), classification_loss(model), metrics=["accuracy"])
    model.fit(
        data.inputs(data.x_train), data.y_train, batch_size=128, epochs=epochs, verbose=2, callbacks=list(callbacks),
        validation_data=(data.inputs(data.x_validation), data.y_validation),
    )


if __name__ == "__main__":
    common.run(main)
