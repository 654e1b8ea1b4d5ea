"""Latencies on phones, by the rules that hold for the host too; several phones at once, one worker each.

    phone 1   settle A B, round A B A′, round A′ B A, …  ─▶ Comparison ┐
    phone 2   settle A B, round A B A′, …                ─▶ Comparison ├─▶ BenchResult: one table, one document
    phone 3   goes away in the middle                    ─▶ failed     ┘   the others are not disturbed
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace

from mobile_bench.adb import connected
from mobile_bench.device import open_device
from mobile_bench.errors import NoDeviceError, PhoneError
from mobile_bench.outputs import OpProfile
from mobile_bench.phone import Phone, Settings
from mobile_bench.states import check_state
from tfold.errors import BadInputError, TfoldError
from tfold.measure.display import Show
from tfold.measure.machine import describe_machine
from tfold.measure.protocol import Rules, check_models, compare
from tfold.measure.record import Record
from tfold.measure.result import BenchResult, Comparison
from tfold.measure.run import check_thread_counts
from tfold.measure.schedule import Schedule
from tfold.measure.steps import Steps

ALL = "all"
STOP_S = 15.0  # for a phone to end what it is doing
OWN_SERIAL = "own=$(getprop ro.serialno 2>/dev/null); echo ${own:-$(getprop ro.boot.serialno 2>/dev/null)}"


def bench_phones(
    paths: str | os.PathLike | Iterable[str | os.PathLike],
    serials: str | Sequence[str] = (),
    threads: int | Iterable[int] = 1,
    *,
    settings: Settings | None = None,
    blocks: int = 20,
    runs: int = 50,
    min_time: float = 0.5,
    warmup: float = 0.5,
    max_seconds: float = 900.0,
    self_check: bool = True,
    confidence: float = 0.95,
    seed: int = 0,
    record: str | os.PathLike | None = None,
    progress: Show | None = None,
) -> BenchResult:
    """Measures .tflite files on Android phones, and compares them if they are two.

    Args:
        paths: one file or several.
        serials: of the phones; none for the only one that is connected, `("all",)` for all that are ready.
        threads: how many threads, or several such numbers.
        settings: the tool, the gate, the folder, …; its options' threads, runs and times are set from here.
        blocks, runs, min_time, warmup, max_seconds: see `tfold.measure.schedule.Schedule`.
        self_check: of two models, measure the first one twice in every round.
        confidence: of the intervals.
        seed: of the bootstrap.
        record: a .jsonl file that keeps the raw blocks; if it is there already, the measurement goes on where it ended.
        progress: called with (serial, blocks done, blocks planned, what is being measured).

    Returns:
        BenchResult: with `devices`, and `failed` for phones that were lost while others went on.

    Raises:
        BadInputError: an unusable file or number.
        PhoneError, TfoldError: the only phone failed, or all have.

    Examples:
        result = bench_phones(["base.tflite", "folded.tflite"], settings=Settings(binary="benchmark_model"))
        print(result.ratio)     # 0.712 [0.705, 0.720]
    """
    files, counts = check_models(paths), check_thread_counts(threads)
    rules = Rules(Schedule(blocks, runs, min_time, warmup, max_seconds), self_check, confidence, seed)
    rules.schedule.check(len(files))
    settings = settings or Settings()
    longest = max(rules.schedule.longest_block(len(rules.subjects(len(files)))), min_time + 1)
    options = replace(settings.options, runs=runs, min_secs=min_time, max_secs=longest, warmup_secs=warmup)
    settings = replace(settings, options=options)
    settings.check()
    wanted, failed = _phones(serials, settings)
    with Record(record) if record else nullcontext() as kept:
        def measure(serial: str, stop: threading.Event) -> PhoneResult:
            return _on_phone(serial, files, counts, rules, settings, kept, progress, stop)

        done, lost = _at_once(wanted, measure)
    results = {serial: done[serial] for serial in wanted if serial in done}
    failed |= lost | {serial: result.error for serial, result in results.items() if result.error}
    comparisons = tuple(comparison for result in results.values() for comparison in result.comparisons)
    devices = {serial: result.device for serial, result in results.items()}
    return BenchResult(comparisons, describe_machine(), devices=devices, failed=failed)


def profile_phones(
    paths: Iterable[str | os.PathLike], serials: Sequence[str] = (), threads: int = 1, *,
    settings: Settings | None = None,
) -> dict[str, list[OpProfile]]:
    """The time of every op of each model, on each phone, one after the other.

    Telling it slows the tool down: the times say where an inference's time goes, and not how long it takes.

    Args:
        paths, serials, threads, settings: as of `bench_phones`.

    Returns:
        dict: serial → an `OpProfile` for each model.
    """
    files, settings = check_models(paths), settings or Settings()
    profiles = {}
    for serial in _phones(serials, settings)[0]:
        phone = Phone(serial, files, settings)
        profiles[serial] = [phone.profile(model, threads) for model in range(len(files))]
    return profiles


def _phones(serials: str | Sequence[str], settings: Settings) -> tuple[list[str], dict[str, str]]:
    """The serials of the phones that are meant, and of all phones those that cannot be used and why."""
    serials = [serials] if isinstance(serials, str) else list(serials)
    if not serials:
        return [open_device(None, settings.adb).serial], {}
    if ALL not in serials:
        named = list(dict.fromkeys(serials))
        twice = [f"{first} and {other}" for first, *others in _alike(named, settings) for other in others]
        if twice:
            raise BadInputError(f"A phone is named once. Received: {', '.join(twice)}, the same phone by cable and by "
                                "Wi-Fi, or by two names. Leave one out.")
        return named, {}
    ready, failed = [], {}
    for phone in connected(settings.adb):
        try:
            check_state(phone)
            ready.append(phone.serial)
        except TfoldError as error:
            failed[phone.serial] = str(error)
    if not ready:
        told = " ".join(failed.values()) or "Connect one, with USB debugging switched on."
        raise NoDeviceError(f"At least one phone must be ready. Received: {len(failed)} connected, none ready. {told}")
    return [first for first, *_ in _alike(ready, settings)], failed


def _alike(serials: list[str], settings: Settings) -> list[list[str]]:
    """The serials, those of one phone together, the one of its cable first."""
    if len(serials) == 1:
        return [serials]
    phones: dict[str, list[str]] = {}
    for serial in sorted(serials, key=lambda serial: ":" in serial or serial.startswith("adb-")):
        with suppress(PhoneError):  # what is wrong with it is said when it is measured
            own = open_device(serial, settings.adb).script(OWN_SERIAL).out.strip()
            phones.setdefault(own or serial, []).append(serial)
            continue
        phones[serial] = [serial]
    return sorted(phones.values(), key=lambda names: min(map(serials.index, names)))


@dataclass(frozen=True)
class PhoneResult:
    """What one phone has brought: `comparisons`, one for each number of threads; `device`, what it is and how it was
    measured; `error`, why further numbers of threads are missing."""

    comparisons: list[Comparison]
    device: dict
    error: str | None = None


def _on_phone(serial, files, counts, rules, settings, record, progress, stop) -> PhoneResult:
    phone = Phone(serial, files, settings, stop)
    told = progress and _for_phone(progress, phone.serial)
    comparisons, planned = [], rules.blocks(len(files))
    for index, count in enumerate(counts):
        words = [f"{file.path.name}, {count} thread{'s' * (count > 1)}" for file in files]
        steps = Steps(told, words, index * planned, len(counts) * planned)

        def take(model: int, turn: int, count=count, steps=steps):
            return phone.block(model, count, turn, say=steps.remark)

        try:
            compared = compare(files, phone.place(count), take, rules, settings=phone.run_settings(count),
                               record=record, steps=steps)
        except TfoldError as error:
            if not comparisons:
                raise
            return PhoneResult(comparisons, phone.to_json(counts), str(error))  # what is measured already counts
        comparisons.append(replace(compared, notes=(*compared.notes, *phone.comments(count))))
    if told:
        told(len(counts) * planned, len(counts) * planned, "done")
    return PhoneResult(comparisons, phone.to_json(counts))


def _for_phone(progress: Show, serial: str):
    return lambda done, total, text: progress(serial, done, total, text)


def _at_once(serials: list[str], measure) -> tuple[dict, dict[str, str]]:
    """What `measure` returns for each phone, and why others have nothing; one phone's error is raised as it is."""
    stop = threading.Event()
    if len(serials) == 1:  # in this thread, where Ctrl-C arrives
        return {serials[0]: measure(serials[0], stop)}, {}
    done, errors, ended = {}, {}, queue.SimpleQueue()

    def work(serial: str) -> None:
        try:
            done[serial] = measure(serial, stop)
        except BaseException as error:  # told by the thread that waits
            errors[serial] = error
        ended.put(serial)

    for serial in serials:
        threading.Thread(target=work, args=(serial,), daemon=True).start()
    try:
        for _ in serials:  # not Thread.join: interrupted by Ctrl-C, it takes a thread that runs for one that has ended
            ended.get()
    finally:
        stop.set()
        with suppress(queue.Empty):  # each ends what runs on its phone
            while len(done) + len(errors) < len(serials):
                ended.get(timeout=STOP_S)
    for error in errors.values():
        if not isinstance(error, TfoldError):
            raise error
    if not done:
        raise TfoldError(" ".join(f"{serial}: {error}" for serial, error in errors.items()))
    return done, {serial: str(error) for serial, error in errors.items()}
