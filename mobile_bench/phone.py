"""One phone, made ready to measure: the tool and the models are on it, and it is known what both can do.

    open ▸ what is it? ▸ tool for its ABI ▸ tool and models onto it ▸ what can the tool do? ▸ which cores?
    block:  wait until cool ▸ run the tool once ▸ still cool, cores as at the round's first block? ─no─▶ Disturbed
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Event

from mobile_bench.apk import PACKAGE, install_apk, run_apk
from mobile_bench.binary import find_binary
from mobile_bench.capabilities import Capabilities, read_capabilities
from mobile_bench.condition import Condition, read_condition
from mobile_bench.cores import CoreChoice, choose_cores
from mobile_bench.device import Device, open_device
from mobile_bench.flags import Options, flags_for
from mobile_bench.gate import Gate, disturbed, not_told, wait_until_cool
from mobile_bench.options import FOLDER
from mobile_bench.outputs import OpProfile, RunOutput
from mobile_bench.phone_info import PhoneInfo, describe
from mobile_bench.run_tool import profile_once, run_once
from tfold.errors import BadInputError, TfoldError
from tfold.files import sha256_of
from tfold.measure.block import Block
from tfold.measure.protocol import Place
from tfold.measure.rounds import Disturbed
from tfold.measure.tflite_file import TFLiteFile

# What a run has left behind that was cut off goes after an hour; another computer may be measuring now.
PREPARE = 'mkdir -p "$1"; find "$1" -name "tfold-*" -mmin +60 -exec rm -f {} + 2>/dev/null'
APP, LITERT_TOOL, TFLITE_TOOL = "benchmark-app", "benchmark_litert_model", "benchmark_model"


@dataclass(frozen=True)
class Settings:
    """How phones are measured.

    Args:
        options: what to measure, see `Options`.
        gate: what state a phone must be in.
        binary: the benchmark tool, or a folder with one for each kind of phone; None looks further, see `find_binary`.
        url, sha256: where to fetch it instead, and what it must be.
        app: measure in TFLite's benchmark app instead of the tool; it is installed from `apk`, or there already.
        apk: the app's file on this computer.
        folder: on the phone, for the tool and the models.
        adb: the adb program; looked for if None.
        sysfs: where the phone's kernel tells of its cores.
    """

    options: Options = field(default_factory=Options)
    gate: Gate = field(default_factory=Gate)
    binary: str | None = None
    url: str | None = None
    sha256: str | None = None
    app: bool = False
    apk: str | None = None
    folder: str = FOLDER
    adb: str | None = None
    sysfs: str = "/sys"

    def check(self) -> None:
        """Raises: BadInputError for settings that contradict each other, before any phone is asked."""
        self.options.check()
        self.gate.check()
        if self.app and (self.binary or self.url):
            raise BadInputError("A phone is measured with the app or with the tool. Received: both. Leave one out.")
        if self.apk and not self.app:
            raise BadInputError(
                f"An .apk is for measuring in the app. Received: {self.apk} without app. Ask for the app, too.")
        if not self.folder.startswith("/"):
            raise BadInputError(f"A folder on the phone is an absolute path. Received: {self.folder!r}. Use {FOLDER}.")


class Phone:
    """A phone that is ready to measure these models.

    Args:
        serial: what adb calls it; None for the only one.
        files: the models.
        settings: how to measure.
        stop: when it is set, what the phone is doing ends as with Ctrl-C.

    Raises:
        PhoneError: there is no such phone, or it does not answer.
        TfoldError: the tool is missing, or not for this phone.

    Attributes:
        info: what the phone is.
        before, after: its condition at the first block and after the last one.
        delegation: what the tool says of the delegates that it has applied.
    """

    def __init__(self, serial: str | None, files: list[TFLiteFile], settings: Settings, stop: Event | None = None):
        settings.check()
        self.settings, self.files = settings, files
        self.device: Device = open_device(serial, settings.adb, stop)
        self.info: PhoneInfo = describe(self.device, settings.sysfs)
        self.before: Condition | None = None
        self.after: Condition | None = None
        self.notes: list[str] = []
        self.delegation: list[str] = []
        self._turn, self._first = None, None  # of the round that is being measured, and the condition it began in
        self.device.script(PREPARE, settings.folder)
        self._tool: str | None = None
        self._capabilities: Capabilities | None = None
        self._find_app() if settings.app else self._find_tool()
        self._graphs = [self.device.keep(file.path, settings.folder) for file in files]

    def _find_app(self) -> None:
        if self.settings.apk:
            install_apk(self.device, self.settings.apk)
        told = self.device.script('dumpsys package "$1" 2>/dev/null | grep -m1 versionName=', PACKAGE).out
        self._tool_version = told.strip().removeprefix("versionName=") or "?"

    def _find_tool(self) -> None:
        local: Path = find_binary(self.settings.binary, self.info.abis, self.settings.url, self.settings.sha256)
        self._tool_version = f"sha256 {sha256_of(local)[:12]}"
        self._tool = self.device.keep(local, self.settings.folder, executable=True)
        self._capabilities = read_capabilities(self.device, self._tool)
        flags_for(self._capabilities, self.settings.options, "model.tflite")  # what it lacks is said now

    @property
    def serial(self) -> str:
        return self.device.serial

    def place(self, threads: int) -> Place:
        """What the blocks of so many threads are told by."""
        litert = self._capabilities is not None and self._capabilities.variant == "litert"
        name = APP if self.settings.app else LITERT_TOOL if litert else TFLITE_TOOL
        how = self.settings.options.described()
        return Place(self.serial, ", ".join([name, *how]), self._tool_version, threads, self.info.hardware)

    def cores(self, threads: int) -> CoreChoice:
        """The cores that the tool is held on; an app is not."""
        if self.settings.app:
            return CoreChoice((), "Android chooses the cores of an app")
        affinity = self.settings.options.affinity
        if affinity == "big" and self._capabilities is not None and not self._capabilities.has_taskset:
            return CoreChoice((), "the phone has no taskset, so that the tool ran on whichever cores the phone liked")
        return choose_cores(affinity, self.info.cores, threads)

    def run_settings(self, threads: int) -> dict:
        """What decides about a latency on this phone, as a record keeps it."""
        options = asdict(replace(self.settings.options, threads=threads))
        build = self.info.fingerprint
        del options["max_secs"]  # follows from the schedule
        return {**options, "extra": list(options["extra"]), "mask": self.cores(threads).mask, "build": build}

    def block(self, model: int, threads: int, turn: int, say=None) -> Block:
        """Runs one model once, in a process of its own on the phone.

        Args:
            model: which of the files.
            threads: how many.
            turn: of the round that the block belongs to: all its blocks must see the same phone.
            say: is told, in words, while the phone has to cool down.

        Raises:
            Disturbed: the phone got too hot, or changed while it was measured.
            TooHotError: it did not cool down in time.
            TfoldError, PhoneError: the tool or the phone failed.
        """
        gate, used = self.settings.gate, self.cores(threads).numbers
        before = wait_until_cool(self.device, gate, say, sysfs=self.settings.sysfs)
        self.before = self.before or before
        if (turn, threads) != self._turn:
            self._turn, self._first = (turn, threads), before
        reason = disturbed(self._first, before, gate, used)
        if reason is None:
            try:
                run = self._run(model, threads)
            except TfoldError as error:
                error.args = (f"{error} (Model: {self.files[model].path}, as {self._graphs[model]} on {self.serial}.)",)
                raise
            self.after = read_condition(self.device, self.settings.sysfs)
            reason = disturbed(self._first, self.after, gate, used)
        if reason:
            raise Disturbed(reason)
        self.notes += [note for note in run.warnings if note not in self.notes]
        told = [f"{name}: {how}" for name, how, _ in run.delegation] + [f"{name}: created" for name in run.created]
        self.delegation += [words for words in told if words not in self.delegation]
        return run.block()

    def profile(self, model: int, threads: int) -> OpProfile:
        """The time of every op of a model, from a run that is slowed down by telling them."""
        if self.settings.app:
            raise BadInputError("The time of every op is told by the tool. Received: the app. Leave out app.")
        wait_until_cool(self.device, self.settings.gate, sysfs=self.settings.sysfs)
        return profile_once(self.device, self._tool, self._graphs[model], *self._how(threads))

    def _run(self, model: int, threads: int) -> RunOutput:
        if self.settings.app:
            return run_apk(self.device, self._graphs[model], replace(self.settings.options, threads=threads))
        return run_once(self.device, self._tool, self._graphs[model], *self._how(threads))

    def _how(self, threads: int):
        options = replace(self.settings.options, threads=threads)
        return self._capabilities, options, self.cores(threads).mask, self.settings.folder

    def comments(self, threads: int) -> tuple[str, ...]:
        """What people should know about the numbers of this phone, a sentence each."""
        choice = self.cores(threads)
        untold = not_told(self.before) if self.before else ()
        missing = [f"not told by this phone, and so not watched: {', '.join(untold)}"] if untold else []
        capped = sorted(set(self.before.capped_cores) & set(choice.numbers)) if self.before else []
        if capped:
            missing.append(f"already capped below their highest frequency: cores {', '.join(map(str, capped))}")
        return (self.info.label, choice.reason, *missing, *self.notes)

    def to_json(self, threads: list[int]) -> dict:
        """What the phone is, in which state it was, and what it was measured with."""
        return {
            **self.info.to_json(),
            "tool": self.place(threads[0]).runtime,
            "tool_version": self._tool_version,
            "cores_used": {str(count): list(self.cores(count).numbers) for count in threads},
            "settings": self.run_settings(threads[0]),
            "gate": asdict(self.settings.gate),
            "delegation": self.delegation,
            "capabilities": self._capabilities.to_json() if self._capabilities else None,
            "before": self.before.to_json() if self.before else None,
            "after": self.after.to_json() if self.after else None,
        }
