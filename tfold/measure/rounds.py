"""Blocks of several models in turns: the same rules for this machine and for a phone.

    settle            A B          thrown away: files into the page cache, processor up to its clock; errors show here
    round 0           A B A′
    round 1           A′ B A       each letter is a block:  fresh process ▸ load ▸ warm up ▸ timed inferences
    round 2           A B A′       only one of them is alive at a time
    …                              until `blocks` rounds, or `max_seconds`

Turns that change direction cancel a steady drift. A fresh process for each block matters as much: where memory comes
to lie differs from process to process, and with it the latency by a percent or two. One process a model would measure
that luck, with a narrow interval around it. A′ is A once more, where the machine is to be checked against itself.

A round in which something went wrong (a hot phone slowed down) is thrown away as a whole and measured again: what is
left are rounds whose blocks have seen the same conditions.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tfold.errors import TfoldError
from tfold.measure.block import Block
from tfold.measure.schedule import Schedule
from tfold.measure.statistics import MIN_BLOCKS
from tfold.measure.steps import Steps

Take = Callable[[int, int], Block]


class Disturbed(Exception):
    """A block that must not count, raised by whatever measures it; its text is the reason, without measured numbers."""


class NoMoreBlocksError(TfoldError):
    """No further block can be measured now; those that are measured count."""


@dataclass
class Rounds:
    """What has been measured.

    Attributes:
        blocks: for each subject its blocks; the k-th blocks of all subjects are of one round.
        discarded: reason → how many blocks were thrown away for it, those of the same round included.
        earlier: how many of the rounds are from an earlier run.
        ended: why there are fewer rounds than were asked for, where that is neither time nor an error.
    """

    blocks: list[list[Block]]
    discarded: Counter = field(default_factory=Counter)
    earlier: int = 0
    ended: str | None = None

    def __len__(self) -> int:
        return len(self.blocks[0])


def measure_in_turns(
    subjects: Sequence[int],
    take: Take,
    schedule: Schedule,
    *,
    page=None,
    steps: Steps | None = None,
) -> Rounds:
    """Measures blocks in turns.

    Args:
        subjects: the model of each place in a round: `(0, 1)`, or `(0, 1, 0)` with A′.
        take: measures one block of a model, given its number and that of the turn, which blocks of a round share and
            which also counts rounds that are thrown away. Raises `Disturbed` for a block that must not count, and
            `NoMoreBlocksError`.
        schedule: how many rounds.
        page: the part of a `Record` that keeps these blocks, and may hold rounds of an earlier run.
        steps: tells a progress display which block comes.

    Returns:
        Rounds: those of an earlier run included.

    Raises:
        TfoldError: too few rounds for a comparison, as too many had to be thrown away; or what `take` raises.
    """
    steps = steps or Steps()
    rounds = page.rounds if page else Rounds([[] for _ in subjects])
    rounds.earlier = len(rounds)
    steps.skip(len(rounds) * len(subjects))
    if len(rounds) >= schedule.blocks:
        return rounds
    for model in sorted(set(subjects)):
        steps.next(model)
        with suppress(Disturbed):  # it is thrown away anyhow
            take(model, 0)
    until, thrown_away = time.monotonic() + schedule.max_seconds, 0
    while len(rounds) < schedule.blocks:
        number = len(rounds)
        if number >= MIN_BLOCKS and number % 2 == 0 and time.monotonic() > until:
            steps.skip((schedule.blocks - number) * len(subjects))
            break
        places = range(len(subjects)) if number % 2 == 0 else reversed(range(len(subjects)))
        taken: dict[int, Block] = {}
        try:
            for place in places:
                steps.next(subjects[place])
                taken[place] = take(subjects[place], 1 + len(rounds) + thrown_away)
        except NoMoreBlocksError as error:
            if number < MIN_BLOCKS:
                raise
            rounds.ended = str(error)
            break
        except Disturbed as reason:
            lost = len(taken) + 1
            steps.skip(-lost)
            rounds.discarded[str(reason)] += lost
            if page:
                page.discard(str(reason), lost)
            thrown_away += 1
            if thrown_away <= schedule.blocks:
                continue
            rounds.ended = _never_calm(rounds, thrown_away)
            if number < MIN_BLOCKS:
                raise TfoldError(rounds.ended) from None
            break
        for place, block in taken.items():
            rounds.blocks[place].append(block)
        if page:
            page.write(number, taken)
    return rounds


def _never_calm(rounds: Rounds, thrown_away: int) -> str:
    reasons = "; ".join(f"{reason} ({count} blocks)" for reason, count in rounds.discarded.most_common())
    return (f"Most rounds must be undisturbed. Received: {thrown_away} rounds thrown away, {len(rounds)} kept: "
            f"{reasons}. Let it cool down, end other programs, and measure again.")
