"""The rules by which models are compared, whatever runs them: this machine's runtimes or a phone's benchmark tool.

    rounds of blocks in turns ─▶ a Measurement for each model ─▶ ratio second ÷ first, with its interval
    (tfold.measure.rounds)                                     └▶ A ÷ A: how small a difference shows here, today
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from tfold.errors import BadInputError, TfoldError
from tfold.files import sha256_of
from tfold.measure.measurement import Measurement
from tfold.measure.record import Page, Record
from tfold.measure.result import Comparison
from tfold.measure.rounds import Rounds, Take, measure_in_turns
from tfold.measure.schedule import Schedule
from tfold.measure.statistics import bootstrap_ratio
from tfold.measure.steps import Steps
from tfold.measure.tflite_file import TFLiteFile, check_tflite


@dataclass(frozen=True)
class Place:
    """Where blocks come from.

    Args:
        device: `"host"` or what adb calls a phone.
        runtime, runtime_version: what runs the models.
        threads: how many.
        hardware: what always tells the device from others, where `device` does not: a phone's name over Wi-Fi changes.
    """

    device: str
    runtime: str
    runtime_version: str
    threads: int
    hardware: str | None = None

    @property
    def key(self) -> dict:
        """What a record tells blocks by."""
        return {"device": self.hardware or self.device, "runtime": self.runtime,
                "runtime_version": self.runtime_version, "threads": self.threads}


@dataclass(frozen=True)
class Rules:
    """How a comparison is made.

    Args:
        schedule: how long.
        self_check: of two models, measure the first one twice, to see how small a difference shows.
        confidence: of the intervals.
        seed: of made-up inputs and of the bootstrap.
    """

    schedule: Schedule
    self_check: bool = True
    confidence: float = 0.95
    seed: int = 0

    def subjects(self, models: int) -> tuple[int, ...]:
        """The model of each place in a round: 0 1 0 for two models and the self-check."""
        return (*range(models), *((0,) if models == 2 and self.self_check else ()))

    def blocks(self, models: int) -> int:
        """How many blocks one comparison takes at most, the ones that settle included."""
        return self.schedule.blocks * len(self.subjects(models)) + models


def compare(
    files: list[TFLiteFile], place: Place, take: Take, rules: Rules, *, settings: dict | None = None,
    record: Record | None = None, steps: Steps | None = None,
) -> Comparison:
    """Compares models on one device.

    Args:
        files: the models, checked.
        place: where `take` measures.
        take: measures a block of the model with this number; may raise `Disturbed`.
        rules: how.
        settings: what else decides about the latency; a record is continued only if it is the same.
        record: keeps the raw blocks, and may hold rounds of an earlier run.
        steps: tells a progress display which block comes.

    Returns:
        Comparison: with ratio and self-check if there are two models.
    """
    subjects = rules.subjects(len(files))
    digests = [sha256_of(file.path) for file in files]
    page = record and _page(record, files, digests, place, rules, settings or {})
    try:
        rounds = measure_in_turns(subjects, take, rules.schedule, page=page, steps=steps)
    except TfoldError as error:
        if page and len(page.rounds):
            error.args = (f"{error} {len(page.rounds)} rounds are kept in {record.path}: the same command goes on.",)
        raise
    ran = (place.runtime, place.runtime_version, place.threads)
    measured = [
        Measurement(str(files[model].path), *ran, tuple(blocks), place.device)
        for model, blocks in zip(subjects, rounds.blocks, strict=True)
    ]

    def ratio(a: int, b: int):
        return bootstrap_ratio(measured[a].values, measured[b].values, confidence=rules.confidence, seed=rules.seed)

    return Comparison(
        measurements=tuple(measured[: len(files)]),
        ratio=ratio(0, 1) if len(files) == 2 else None,
        self_check=ratio(0, 2) if len(subjects) > len(files) else None,
        discarded=dict(rounds.discarded),
        notes=tuple(_notes(rounds, rules, subjects, digests)),
    )


def _notes(rounds: Rounds, rules: Rules, subjects: tuple[int, ...], digests: list[str]):
    """What people should know about these rounds, a sentence each."""
    wanted = rules.schedule
    if len(rounds) < wanted.blocks:
        yield f"{len(rounds)} of {wanted.blocks} rounds: {rounds.ended or f'{wanted.max_seconds:g} s were over'}"
    if rounds.earlier:
        yield f"{rounds.earlier} of {len(rounds)} rounds are of an earlier run"
    fewest = min((block.runs for blocks in rounds.blocks for block in blocks if block.runs), default=wanted.runs)
    if fewest < wanted.runs:
        longest = wanted.longest_block(len(subjects))
        yield (f"blocks were cut off after {longest:.3g} s, with as few as {fewest} of {wanted.runs} inferences: allow "
               "more with max_seconds")
    if len(digests) == 2 and digests[0] == digests[1]:
        yield "both models are the same file: a difference between them is noise"


def _page(
    record: Record, files: list[TFLiteFile], digests: list[str], place: Place, rules: Rules, settings: dict
) -> Page:
    plan = {
        "models": [{"sha256": digest} for digest in digests],
        "subjects": list(rules.subjects(len(files))),
        "schedule": asdict(rules.schedule),  # blocks and max_seconds too: they decide how long a block may last
        "settings": settings,
        "about": {"paths": [str(file.path) for file in files]},
    }
    return record.page(place.key, plan)


def check_models(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> list[TFLiteFile]:
    """One model or several, each checked. Raises: BadInputError, also where there is none."""
    files = [check_tflite(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    if not files:
        raise BadInputError("A measurement needs at least one model. Received: none. Pass the path of a .tflite file.")
    return files
