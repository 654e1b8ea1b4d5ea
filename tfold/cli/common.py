"""What every command shares: options, exit codes, and where text goes.

With `--json`, stdout holds one JSON document and nothing else; progress and text for people go to stderr.
"""
import functools
import json
import os
import sys

import click

VERSION = 1
FAILED, PARITY = 1, 3

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, text on stderr.")
force_option = click.option("--force", is_flag=True, help="Replace an existing output.")


def model_options(command):
    """Options of every command that loads a Keras model."""
    command = click.option(
        "--custom-objects", multiple=True, metavar="MODULE",
        help="Import this Python module for the classes that the model uses. May be given several times.",
    )(command)
    return click.option(
        "--allow-unsafe", is_flag=True, help="Run Python code that the file brings along (Lambda layers)."
    )(command)


def fold_options(command):
    """Options that decide what folds."""
    command = click.option(
        "--policy", type=click.Choice(["latency", "macs", "always"]), default="latency", show_default=True,
        help="Which merges pay.",
    )(command)
    return click.option(
        "--threshold", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.9, show_default=True,
        help="τ: activations whose α lies above it are removed.",
    )(command)


def reported(command):
    """Turn tfold's errors into one sentence on stderr and the design's exit codes."""

    @functools.wraps(command)
    def run(*args, **kwargs):
        from tfold.errors import ParityError, TfoldError

        try:
            return command(*args, **kwargs)
        except TfoldError as error:
            code = PARITY if isinstance(error, ParityError) else FAILED
            message = str(error)
        except (MemoryError, OSError) as error:  # a full disk, no permission
            code, message = FAILED, f"{type(error).__name__}: {error}"
        except KeyboardInterrupt:
            code, message = 130, "stopped"
        if kwargs.get("as_json"):
            write_json("error", {"error": message, "exit_code": code})
        click.echo(f"tfold: {message}", err=True)
        sys.exit(code)

    return run


def write_json(kind, document):
    click.echo(json.dumps({"version": VERSION, "kind": kind, **document}, indent=2, ensure_ascii=False))


def say(text, as_json=False):
    """Text for people: stdout, or stderr where stdout belongs to a JSON document."""
    click.echo(text, err=as_json)


def import_keras():
    """Import Keras and TensorFlow without their greetings."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from tfold.quiet import quiet

    with quiet():
        import keras

        if keras.backend.backend() == "tensorflow":
            # What it prints about the machine it prints when it is first used.
            keras.ops.zeros(())


def load(path, allow_unsafe, custom_objects):
    """Load a model."""
    import_keras()
    from tfold import loading

    return loading.load_model(path, allow_unsafe, custom_objects)
