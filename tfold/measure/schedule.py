"""How long a comparison measures.

Counts and durations together fit models of any speed: a block of a 20 µs model is 50 ms long and holds thousands of
inferences, one of a 20 ms model holds 10. Of a 500 ms model, 10 a block would take minutes: there `max_seconds` rules,
first by shorter blocks, then by fewer rounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tfold.errors import BadInputError
from tfold.measure.statistics import MIN_BLOCKS


@dataclass(frozen=True)
class Schedule:
    """How long to measure; all durations in seconds.

    Args:
        blocks: rounds, hence blocks of each model.
        runs: least number of timed samples in a block.
        min_time: least duration of a block's timed part.
        warmup: least duration of a block's warm-up.
        max_seconds: for one runtime and number of threads; when it is over, rounds stop (after at least 6).
    """

    blocks: int = 20
    runs: int = 10
    min_time: float = 0.05
    warmup: float = 0.05
    max_seconds: float = 60.0

    def check(self, models: int) -> None:
        """Raises: BadInputError where these numbers cannot be kept."""
        least = MIN_BLOCKS if models == 2 else 1
        if self.blocks < least:
            raise BadInputError(f"{models} model(s) need at least {least} blocks. Received: blocks={self.blocks}. "
                                "Use the default, blocks=20.")
        for name in ("blocks", "runs"):
            if not isinstance(getattr(self, name), int):
                raise BadInputError(f"{name} is a whole number. Received: {name}={getattr(self, name)!r}.")
        endless = not all(map(math.isfinite, (self.max_seconds, self.min_time, self.warmup)))
        if self.runs < 1 or endless or self.max_seconds <= 0 or self.min_time < 0 or self.warmup < 0:
            raise BadInputError(f"A block has at least 1 run, and durations are finite, not below 0. Received: {self}. "
                                "Leave them at their defaults.")

    def longest_block(self, models: int) -> float:
        """So long that all rounds still fit into `max_seconds`."""
        return max(self.min_time, self.max_seconds / (self.blocks * models))
