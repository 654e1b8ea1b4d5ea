"""`--android [SERIAL …]`: an option that takes no value, one, or several, which click has not."""
import os

import click

OPTION = "--android"


class AndroidCommand(click.Command):
    """A command that reads `--android`, `--android S1 S2` and `--android S1,S2` alike.

    The words behind the option are serials up to the next option or model: a model ends in .tflite, or is there.
    """

    def parse_args(self, context, words):
        return super().parse_args(context, joined(words))


def joined(words):
    """The words with the serials of --android as its one value.

    >>> joined(["--android", "S1", "S2", "a.tflite"])
    ["--android=S1,S2", "a.tflite"]
    """
    words, done = list(words), []
    while words:
        word = words.pop(0)
        if word == OPTION:
            serials = []
            while words and not words[0].startswith("-") and not _is_model(words[0]):
                serials.append(words.pop(0))
            word = f"{OPTION}={','.join(serials)}"
        done.append(word)
    return done


def _is_model(word):
    return word.endswith(".tflite") or os.path.exists(word)
