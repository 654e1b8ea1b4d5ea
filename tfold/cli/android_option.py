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
    """The words with the serials of every --android as one value, in front.

    >>> joined(["--android", "S1", "S2", "a.tflite"])
    ["--android=S1,S2", "a.tflite"]
    """
    words, done, serials = list(words), [], None
    while words:
        word = words.pop(0)
        option, _, value = word.partition("=")
        if option != OPTION:
            done.append(word)
            continue
        serials = (serials or []) + ([value] if value else [])
        while word == OPTION and words and not words[0].startswith("-") and not _is_model(words[0]):
            serials.append(words.pop(0))
    return done if serials is None else [f"{OPTION}={','.join(serials)}", *done]


def _is_model(word):
    return word.endswith(".tflite") or (os.path.isfile(word) and word != "all")
