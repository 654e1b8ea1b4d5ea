"""Raw blocks as JSON lines: kept for whoever doubts the result, and continued after an interruption.

    {"kind": "plan", "version": 1, "key": {"device": "host", "runtime": "litert", …}, "models": [{"sha256": …}, …], …}
    {"kind": "round", "key": {…}, "round": 0, "time": "…", "blocks": [{"value_ms": 2.1, "runs": 24, …}, …]}
    {"kind": "discarded", "key": {…}, "reason": "thermal status 2", "blocks": 2}

A round is one line, written when it is complete, so that an interrupted run leaves whole rounds behind and at most one
cut line at the end, which counts as not written. Blocks come in the order of the subjects, whatever order they were
measured in.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from tfold import documents
from tfold.errors import BadInputError, InUseError
from tfold.locks import take
from tfold.measure.block import MEAN, MEDIAN, Block
from tfold.measure.rounds import Rounds

VERSION = 1


class Record:
    """A file of raw blocks; a context manager.

    Args:
        path: a .jsonl file; made if it is not there, continued if it is.

    Raises:
        BadInputError: it is something else, damaged, or another run is writing to it.

    Examples:
        with Record("blocks.jsonl") as record:
            page = record.page({"device": "host", "runtime": "litert", "threads": 1}, plan)
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._lock = threading.Lock()  # several phones write to one file
        self._lines: list[dict] = []
        self._file = None

    def __enter__(self) -> Record:
        if self.path.exists() and not self.path.is_file():
            raise BadInputError(
                f"A record is a file. Received: {self.path}, a directory, device or pipe. Choose another.")
        try:
            self._file = open(self.path, "a+b")
        except OSError as error:
            raise BadInputError(f"A record must be writable. Received: {self.path}: {error.strerror}. "
                                "Choose another place.") from None
        try:
            self._only_ours()
            self._lines = self._read()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def page(self, key: dict, plan: dict) -> Page:
        """The part of the record for one device, runtime and number of threads.

        Args:
            key: what tells it from other parts.
            plan: what an earlier run must have had in common: models, schedule, …; and `about`, what is only told.

        Raises:
            BadInputError: the record's part with this key was measured by another plan.
        """
        with self._lock:
            mine = [line for line in self._lines if line["key"] == key]
            plans = [line for line in mine if line["kind"] == "plan"]
            if mine and mine[0]["kind"] != "plan":
                raise BadInputError(f"A record begins with what was to be measured. Received: {self.path}, in which "
                                    "that line is missing. Choose another file; this one is left as it is.")
            for earlier in plans:
                differing = _differing(earlier, plan)
                if differing:
                    raise BadInputError(
                        "A record is continued with the models and settings that it was begun with. Received: "
                        f"{self.path} with other {', '.join(differing)}. Give the new measurement another file."
                    )
            if not plans:
                self._write({"kind": "plan", "version": VERSION, "key": key, **plan})
            try:
                rounds = _rounds(mine, len(plan["subjects"]))
            except ValueError:
                raise BadInputError("A record has every round once, with a block for each model. Received: "
                                    f"{self.path} with others. Choose another file; this one is left as it is."
                                    ) from None
        return Page(self, key, rounds)

    def append(self, line: dict) -> None:
        """Writes one line, so that it is there even if the next moment brings the end."""
        with self._lock:
            self._write({**line, "time": datetime.now(UTC).isoformat(timespec="seconds")})

    def _write(self, line: dict) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _only_ours(self) -> None:
        if take(self._file) is False:
            raise InUseError(f"One run at a time writes a record. Received: {self.path}, which another run is "
                             "writing. Wait for it, or choose another file.")

    def _read(self) -> list[dict]:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        texts, lines = content[:whole].split(b"\n")[:-1], []
        for number, text in enumerate([*texts, content[whole:]], 1):
            try:
                if number <= len(texts):
                    lines.append(_checked(documents.parse(text)))
                elif not _could_be_cut(text):
                    raise ValueError
            except (ValueError, KeyError, TypeError, AttributeError):
                raise BadInputError("A record holds the JSON lines that a measurement wrote. Received: "
                                    f"{self.path}, of which line {number} is none. Choose another file; this one is "
                                    "left as it is.") from None
        if whole < len(content):  # cut off in the middle of a line: that round was not complete
            self._file.truncate(whole)
        return lines


class Page:
    """One part of a record.

    Attributes:
        rounds: what is there already.
    """

    def __init__(self, record: Record, key: dict, rounds: Rounds):
        self.record, self.key, self.rounds = record, key, rounds

    def write(self, number: int, blocks: dict[int, Block]) -> None:
        """Keeps a complete round: place → block."""
        content = [blocks[place].to_json() for place in sorted(blocks)]
        self.record.append({"kind": "round", "key": self.key, "round": number, "blocks": content})

    def discard(self, reason: str, blocks: int) -> None:
        """Keeps that blocks were thrown away."""
        self.record.append({"kind": "discarded", "key": self.key, "reason": reason, "blocks": blocks})


def _differing(earlier: dict, plan: dict) -> list[str]:
    """What differs between two plans, in words: "settings (mask f0, now 80)"."""
    words = []
    for name in sorted(set(plan) - {"about"}):
        was, now = earlier.get(name), plan[name]
        if isinstance(was, dict) and isinstance(now, dict):
            inner = [f"{key} {was.get(key)}, now {now.get(key)}" for key in sorted({*was, *now})
                     if was.get(key) != now.get(key)]
            words += [f"{name} ({'; '.join(inner)})"] if inner else []
        elif was != now:
            words.append(name)
    return words


def _could_be_cut(rest: bytes) -> bool:
    """Whether what follows the last whole line is the beginning of one: nothing else may be cut off."""
    begin = b'{"kind": "'
    return rest.startswith(begin) or begin.startswith(rest)


def _rounds(lines: list[dict], subjects: int) -> Rounds:
    rounds = Rounds([[] for _ in range(subjects)], Counter())
    for line in lines:
        if line["kind"] == "round":
            if line["round"] != len(rounds):
                raise ValueError
            for blocks, block in zip(rounds.blocks, line["blocks"], strict=True):
                blocks.append(Block.from_json(block))
        elif line["kind"] == "discarded":
            rounds.discarded[line["reason"]] += line["blocks"]
    return rounds


_LONGEST_MS = 1e12  # 30 years; a whole number may have any length, and be no float


def _checked(line: dict) -> dict:
    kind = line["kind"]
    if not isinstance(line["key"], dict) or kind not in ("plan", "round", "discarded"):
        raise ValueError
    if kind == "plan" and line["version"] != VERSION:
        raise ValueError
    if kind == "round":
        if type(line["round"]) is not int:
            raise ValueError
        for block in map(Block.from_json, line["blocks"]):
            numbers = (block.value_ms, block.runs, *block.samples_ms)
            if not all(type(number) in (int, float) and 0 <= number < _LONGEST_MS for number in numbers) \
                    or block.value_ms == 0 or block.statistic not in (MEDIAN, MEAN):
                raise ValueError
    if kind == "discarded" and (type(line["blocks"]) is not int or not isinstance(line["reason"], str)):
        raise ValueError
    return line
