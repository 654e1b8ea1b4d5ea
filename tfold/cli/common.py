"""What every command shares: options, exit codes, and where text goes.

With `--json`, stdout holds one JSON document and nothing else; progress and text for people go to stderr.
"""
import functools
import json
import logging
import math
import os
import re
import shlex
import sys
import traceback
import warnings
from contextlib import suppress
from pathlib import Path

import click

from tfold.cli import streams

VERSION = 1
FAILED, USAGE, PARITY = 1, 2, 3
STOPPED, TERMINATED = 130, 143  # what a shell says of a command that SIGINT or SIGTERM has ended

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, text on stderr.")
force_option = click.option("--force", is_flag=True, help="Replace an existing output.")


def data_options(name, what, required=False, default="200"):
    """Options that say which inputs to take, and how to read them; `name` is the first one's."""

    def options(command):
        command = click.option(
            "--resize", type=click.Choice(["stretch", "crop"]), default="stretch", show_default=True,
            help="How images get the input's size.",
        )(command)
        command = click.option("--scale", type=Scale(), help="What pixels 0 and 255 become: --scale=-1,1.")(command)
        command = click.option(
            "--samples", type=click.IntRange(2), help=f"How many to take.  [default: {default}]")(command)
        return click.option(
            name, type=click.Path(), required=required, help=f"{what}: a .npz, a .npy or a folder of images.")(command)

    return options


def data_words(name, path, samples, scale, resize):
    """The same options for the next command."""
    words = [name, path_word(path)]
    words += ["--samples", samples] if samples else []
    words += [f"--scale={scale[0]:g},{scale[1]:g}"] if scale else []
    return words + (["--resize", resize] if resize != "stretch" else [])


class Scale(click.ParamType):
    """-1,1; or none"""

    name = "LOW,HIGH"

    def convert(self, value, param, context):
        if value == "none":
            return None
        try:
            low, high = (float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"Two numbers with a comma between them. Received: {value!r}. Use --scale=-1,1.", param, context)
        return low, high


def _check_number(context, param, value):
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"A number from 0 on. Received: {value}.")
    return value


tolerance_option = click.option(
    "--tolerance", type=click.FloatRange(0), callback=_check_number,
    help="Allowed difference from Keras, relative to the largest output.")


def model_options(command):
    """Options of every command that loads a Keras model."""
    command = click.option(
        "--custom-objects", multiple=True, metavar="MODULE",
        help="Import this Python module for the classes that the model uses. May be given several times.",
    )(command)
    return click.option(
        "--allow-unsafe", is_flag=True,
        help="Run code that the file brings along (Lambda layers), and read files that it names.",
    )(command)


def fold_options(command):
    """Options that decide what folds: the keyword arguments of `tfold.fold`."""
    command = click.option(
        "--preprocessing", type=click.Choice(["fold", "keep"]), default="fold", show_default=True,
        help="Keep the scaling of the input where the network is to be trained further.",
    )(command)
    command = click.option(
        "--border", type=click.Choice(["exact", "approximate"]), default="exact", show_default=True,
        help="Whether to merge across zero padding where the pixels near the border then differ.",
    )(command)
    command = click.option(
        "--policy", type=click.Choice(["latency", "macs", "always"]), default="latency", show_default=True,
        help="Which merges pay.",
    )(command)
    return click.option(
        "--threshold", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.9, show_default=True,
        help="τ: activations whose α lies above it are removed.",
    )(command)


def reported(command):
    """Turn errors into one sentence on stderr and the design's exit codes; write the JSON document at the very end."""

    @functools.wraps(command)
    def run(*args, as_json, **kwargs):
        context = click.get_current_context()
        code, message = 0, None
        try:
            with streams.terminable(), streams.stdout_reserved(as_json):
                code = command(*args, as_json=as_json, **kwargs) or 0
        except click.ClickException:  # click explains a usage error better: it knows the command
            raise
        except BrokenPipeError:  # who read our text has heard enough: `| head`
            raise
        except (Exception, KeyboardInterrupt) as error:
            code, message = _verdict(error)
        if message:
            click.echo(f"tfold: {printable(message)}", err=True)
            write_json("error", {"error": message, "exit_code": code})
        if as_json:
            try:
                click.echo(json.dumps(context.meta["tfold.document"], indent=2))
            except BrokenPipeError:
                raise
            except OSError as error:
                code = FAILED
                click.echo(f"tfold: {printable(_verdict(error)[1])}", err=True)
                streams.abandon_stdout()
        context.exit(code)

    return run


def _verdict(error):
    """Exit code and sentence for an exception."""
    from tfold.errors import ParityError, TfoldError, no_room

    if isinstance(error, TfoldError):
        return (PARITY if isinstance(error, ParityError) else FAILED), str(error)
    if isinstance(error, KeyboardInterrupt):
        code = TERMINATED if isinstance(error, streams.Terminated) else STOPPED
        return code, "stopped; nothing half-written is left"
    if isinstance(error, MemoryError):
        return FAILED, f"The work must fit into memory. Received: {str(error) or 'too little'}. Close other programs."
    reason = no_room(error)
    if reason:
        return FAILED, (f"There must be room for what is written. Received: {reason} ({error}). Make room, or choose "
                        "another place; for temporary files: TMPDIR=/path")
    if isinstance(error, OSError):  # no permission
        return FAILED, f"Files must be readable and writable. Received: {error}. Make room, or choose another place."
    # Whatever else comes up is our mistake: nobody can tell us about it without the traceback.
    click.echo(printable("".join(traceback.format_exception(error))), err=True)
    return FAILED, f"this is a fault of tfold ({type(error).__name__}). Please report it with the lines above."


def write_json(kind, document):
    """Set the document that stdout gets with `--json`, once the command is through. Without it, nothing happens."""
    click.get_current_context().meta["tfold.document"] = {"version": VERSION, "kind": kind, **document}


def say(text, as_json=False):
    """Text for people: stdout, or stderr where stdout belongs to a JSON document."""
    click.echo(printable(text), err=as_json)


def printable(text):
    """Return text with its control characters spelled out: a layer's name must not move a terminal's cursor.

    Example:

    >>> printable("conv\\x1b[2J")
    'conv\\\\x1b[2J'
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


# Unicode's control characters but for the tabulator and the end of a line, and those that turn the text's direction.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def command_line(*words):
    """A command to type in, quoted where the shell needs it."""
    return shlex.join(str(word) for word in words)


def path_word(path):
    """A path as a command takes it: "./-x.keras" for "-x.keras", which would be read as options."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def model_words(allow_unsafe, custom_objects):
    """The options that the next command will need as well to load the model."""
    words = ["--allow-unsafe"] if allow_unsafe else []
    for module in custom_objects:
        words += ["--custom-objects", module]
    return words


def fold_line(model, choices, needed):
    """The `tfold fold` that does what `inspect` and `--dry-run` have shown, into a file beside the model."""
    usual = {"threshold": 0.9, "policy": "latency", "border": "exact", "preprocessing": "fold"}
    changed = [(name, value) for name, value in choices.items() if value != usual[name]]
    options = [word for name, value in changed for word in (f"--{name}", value)]
    output = Path(model).with_name(f"{Path(model).stem}-folded.keras")
    return command_line("tfold", "fold", path_word(model), "-o", path_word(output), *options, *needed)


def import_keras():
    """Import Keras and its backend without their greetings, on the processor."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Folds are checked to 1e-5, which a GPU's 19-bit convolutions (TF32) miss, and the work is small.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    for name in ("absl", "tensorflow", "jax"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not sys.warnoptions:  # advice to programmers; `python -W default -m tfold` shows it
        warnings.simplefilter("ignore")
    from tfold.errors import TfoldError
    from tfold.importing import uncollected
    from tfold.quiet import quiet

    try:
        with quiet(), uncollected():
            import keras

            # What a backend prints about the machine it prints when it is first used.
            keras.ops.zeros(())
            # On another backend too Keras imports TensorFlow, where it is, to write a model's config.
            with suppress(ImportError):
                import tensorflow  # noqa: F401
    except Exception as error:  # a broken installation fails in many ways
        backend = os.environ.get("KERAS_BACKEND", "tensorflow, or what ~/.keras/keras.json says")
        raise TfoldError(
            f"Keras and its backend must be importable. Received: {type(error).__name__}: {error} "
            f"(backend: {backend}). Look what is missing with: tfold doctor"
        ) from error


def load(path, allow_unsafe, custom_objects):
    """Load a model."""
    import_keras()
    from tfold import loading
    from tfold.model_file.read import read

    file = read(path)
    if file.is_quantize_aware:  # a model of tf_keras, with layers of tfold's that only these files have
        from tfold.tflite.quantize_aware import load_file

        return load_file(file, allow_unsafe, loading.objects_of(custom_objects))
    return loading.load_file(file, allow_unsafe, custom_objects)
