"""The rules by which models are compared, whatever runs them: this machine's runtimes or a phone's benchmark tool.

    rounds of blocks in turns ─▶ a Measurement for each model ─▶ ratio second ÷ first, with its interval
    (tfold.measure.rounds)                                     └▶ A ÷ A: how small a difference shows here, today
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from tfold.errors import BadInputError
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
    page = record and _page(record, files, place, rules, settings or {})
    rounds = measure_in_turns(subjects, take, rules.schedule, page=page, steps=steps)
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
        notes=_notes(rounds),
    )


def _notes(rounds: Rounds) -> tuple[str, ...]:
    notes = [f"{rounds.earlier} of {len(rounds)} rounds are of an earlier run"] if rounds.earlier else []
    return (*notes, *([f"ended after {len(rounds)} rounds: {rounds.ended}"] if rounds.ended else []))


def _page(record: Record, files: list[TFLiteFile], place: Place, rules: Rules, settings: dict) -> Page:
    # More rounds, or more time for them, may be asked for when a record is continued; but blocks stay as long.
    schedule = {name: value for name, value in asdict(rules.schedule).items() if name not in ("blocks", "max_seconds")}
    schedule["longest_block"] = rules.schedule.longest_block(len(rules.subjects(len(files))))
    plan = {
        "models": [{"sha256": _sha256(file)} for file in files],
        "subjects": list(rules.subjects(len(files))),
        "schedule": schedule,
        "settings": settings,
        "about": {"paths": [str(file.path) for file in files]},
    }
    return record.page(place.key, plan)


def _sha256(file: TFLiteFile) -> str:
    with open(file.path, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def check_models(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> list[TFLiteFile]:
    """One model or several, each checked. Raises: BadInputError, also where there is none."""
    files = [check_tflite(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    if not files:
        raise BadInputError("A measurement needs at least one model. Received: none. Pass the path of a .tflite file.")
    return files
