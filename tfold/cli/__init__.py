"""The command line: `tfold`, one command a file, each loaded only when it is called.

`tfold --help` must answer at once, so nothing here imports TensorFlow, Keras or NumPy.

Exit codes: 0 done, 1 failed, 2 usage, 3 parity failed.
"""
import difflib
import importlib
import json

import click

from tfold.version import __version__

COMMANDS = {
    "inspect": "What is in a model: what would fold, what would not and why.",
    "fold": "Make a model shallower, exactly.",
    "equalize": "Even out a model's channels before int8, exactly.",
    "export": "Convert a model to .tflite and check it against Keras.",
    "parity": "Compare .tflite files with the Keras model they are made of.",
    "losses": "Where a quantised .tflite file loses its accuracy, layer by layer.",
    "sweep": "Fold with many λ_c: how shallow may it become?",
    "bench": "Measure .tflite files on this machine, side by side.",
    "demo": "The whole way once, on handwritten digits.",
    "doctor": "Versions, runtimes and tools: what is there, what is missing.",
}


class Lazy(click.Group):
    """A group whose commands live in modules of their own, imported when they are called."""

    def list_commands(self, context):
        return list(COMMANDS)

    def get_command(self, context, name):
        if name not in COMMANDS:
            return None
        return getattr(importlib.import_module(f"tfold.cli.{name}_command"), f"{name}_command")

    def resolve_command(self, context, args):
        near = difflib.get_close_matches(args[0], COMMANDS, 1)
        if args[0] not in COMMANDS and near:
            context.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(context, args)

    def main(self, *args, **kwargs):
        from tfold.cli import streams

        streams.prepare()
        return super().main(*args, **kwargs)

    def invoke(self, context):
        as_json = "--json" in context.args
        try:
            return super().invoke(context)
        except click.UsageError as error:
            if as_json:  # whoever reads the document learns it there too
                document = {"version": 1, "kind": "error", "error": error.format_message(), "exit_code": 2}
                click.echo(json.dumps(document, indent=2))
            raise

    def format_commands(self, context, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tfold")
def main():
    """Make a trained Keras network shallower, so that it runs faster on a phone, and prove it.

    \b
      tfold inspect model.keras
      tfold fold model.keras -o folded.keras
      tfold export model.keras -o model.tflite
      tfold export folded.keras -o folded.tflite
      tfold bench model.tflite folded.tflite
    """
