"""Counts blocks for a progress display: which one comes, and how many are not needed after all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Progress = Callable[[int, int, str], None]


class Steps:
    """The blocks of one comparison.

    Args:
        progress: called with (blocks done, blocks planned, what is being measured), or None.
        words: of each model, for people.
        done: blocks before these.
        total: blocks planned.
    """

    def __init__(self, progress: Progress | None = None, words: Sequence[str] = (), done: int = 0, total: int = 0):
        self.progress, self.words, self.done, self.total = progress, words, done, total

    def next(self, model: int) -> None:
        """A block of this model begins."""
        if self.progress:
            self.progress(self.done, self.total, self.words[model])
        self.done += 1

    def remark(self, text: str) -> None:
        """Something else is done before the block begins."""
        if self.progress:
            self.progress(max(0, self.done - 1), self.total, text)

    def skip(self, blocks: int) -> None:
        """So many blocks need not be measured; below 0, so many have to be measured again."""
        self.done += blocks
