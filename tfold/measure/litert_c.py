"""The part of LiteRT's C interface that its profiler needs, called through ctypes.

    Library(folder)  ─▶ libLiteRt.so ─▶ library.new("LiteRtCreateOptions")        a handle
                                        library.call("LiteRtStartProfiler", …)    checked: 0, or ProfilerError

A shared library tells neither its functions' arguments nor its structures: they come from LiteRT's headers
(litert/c/*.h) and change from version to version, under the same names: LiteRtCreateModelFromFile, for one, came to
take an environment. Called with other arguments than it has, a function crashes, or writes where it should not; so
only versions that this file was written for are let through.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

VERSIONS = ("2.3",)
CPU = 1  # kLiteRtHwAcceleratorCpu
WRITE = 1  # kLiteRtTensorBufferLockModeWrite

CUT_OUT = "Measure the ops cut out instead: tfold.tflite.op_times."

_FILES = ("libLiteRt.so", "libLiteRt.dylib")
_UNTOUCHED = b"\xa5"
_ROOM = 4  # for events larger than they should be


class ProfilerError(RuntimeError):
    """This LiteRT has no profiler that could be used, or it failed."""


class TensorType(Structure):
    """LiteRtRankedTensorType: `rank` holds the rank in its lower 7 bits, and whether there are strides in the 8th."""

    _fields_ = (("element", c_int), ("rank", c_uint32), ("sizes", c_int32 * 8), ("strides", c_uint32 * 8))


class _Memory(Structure):
    _fields_ = (("footprint_kb", c_int64), ("allocated", c_uint64), ("in_use", c_uint64))


class Event(Structure):
    """ProfiledEventData: what was done (`tag`, `type`), for how long, and which op of which subgraph it was."""

    _fields_ = (
        ("tag", c_char_p), ("type", c_int), ("start_us", c_uint64), ("elapsed_us", c_uint64), ("before", _Memory),
        ("after", _Memory), ("op", c_int64), ("subgraph", c_int64), ("source", c_int),
    )


FREE = ctypes.CFUNCTYPE(None, c_void_p)
_HANDLE = POINTER(c_void_p)  # where a function puts the handle it makes
_ARGUMENTS = {
    "LiteRtCreateEnvironment": (c_int, c_void_p, _HANDLE),
    "LiteRtCreateModelFromFile": (c_void_p, c_char_p, _HANDLE),
    "LiteRtCreateOptions": (_HANDLE,),
    "LiteRtSetOptionsHardwareAccelerators": (c_void_p, c_int),
    "LiteRtCreateOpaqueOptions": (c_char_p, c_void_p, FREE, _HANDLE),
    "LiteRtAddOpaqueOptions": (c_void_p, c_void_p),
    "LiteRtCreateCompiledModel": (c_void_p, c_void_p, c_void_p, _HANDLE),
    "LiteRtGetNumModelSignatures": (c_void_p, POINTER(c_size_t)),
    "LiteRtGetModelSignature": (c_void_p, c_size_t, _HANDLE),
    "LiteRtGetNumSignatureInputs": (c_void_p, POINTER(c_size_t)),
    "LiteRtGetNumSignatureOutputs": (c_void_p, POINTER(c_size_t)),
    "LiteRtGetSignatureInputTensorByIndex": (c_void_p, c_size_t, _HANDLE),
    "LiteRtGetSignatureOutputTensorByIndex": (c_void_p, c_size_t, _HANDLE),
    "LiteRtGetTensorIndex": (c_void_p, POINTER(c_uint32)),
    "LiteRtGetRankedTensorType": (c_void_p, POINTER(TensorType)),
    "LiteRtGetCompiledModelInputBufferRequirements": (c_void_p, c_size_t, c_size_t, _HANDLE),
    "LiteRtGetCompiledModelOutputBufferRequirements": (c_void_p, c_size_t, c_size_t, _HANDLE),
    "LiteRtCreateManagedTensorBufferFromRequirements": (c_void_p, POINTER(TensorType), c_void_p, _HANDLE),
    "LiteRtGetTensorBufferPackedSize": (c_void_p, POINTER(c_size_t)),
    "LiteRtLockTensorBuffer": (c_void_p, _HANDLE, c_int),
    "LiteRtUnlockTensorBuffer": (c_void_p,),
    "LiteRtRunCompiledModel": (c_void_p, c_size_t, c_size_t, _HANDLE, c_size_t, _HANDLE),
    "LiteRtCompiledModelGetProfiler": (c_void_p, _HANDLE),
    "LiteRtStartProfiler": (c_void_p,),
    "LiteRtStopProfiler": (c_void_p,),
    "LiteRtGetNumProfilerEvents": (c_void_p, POINTER(c_int)),
    "LiteRtGetProfilerEvents": (c_void_p, c_int, c_void_p),
}


def check_version(version: str) -> None:
    """Raises `ProfilerError` for a LiteRT that this file was not written for.

    Examples:
        check_version("2.3.0")
    """
    if ".".join(version.split(".")[:2]) not in VERSIONS:
        known = ", ".join(f"{known}.*" for known in VERSIONS)
        raise ProfilerError(f"LiteRT's profiler is known for ai-edge-litert {known}. Received: ai-edge-litert "
                            f"{version}. {CUT_OUT}")


class Library:
    """LiteRT's shared library.

    Args:
        folder: of the Python package ai_edge_litert.
    """

    def __init__(self, folder: Path):
        path = next((folder / name for name in _FILES if (folder / name).is_file()), None)
        if path is None:
            raise ProfilerError(f"LiteRT's profiler is in its library, {' or '.join(_FILES)}. Received: {folder}, "
                                f"without it. {CUT_OUT}")
        try:
            self._library = ctypes.CDLL(str(path))
            self._functions = {name: getattr(self._library, name) for name in _ARGUMENTS}
        except (OSError, AttributeError) as error:  # no library, or one that lacks a function
            raise ProfilerError(f"LiteRT's library must load and have a profiler. Received: {error}. Install "
                                "ai-edge-litert again, or measure the ops cut out: tfold.tflite.op_times.") from None
        for name, function in self._functions.items():
            function.argtypes = _ARGUMENTS[name]
            function.restype = c_int

    def call(self, name: str, *arguments) -> None:
        """Calls a function. Raises `ProfilerError` unless it answers that all went well."""
        status = self._functions[name](*arguments)
        if status:
            raise ProfilerError("LiteRT's CompiledModel, which has the profiler, must be able to run the model. "
                                f"Received: status {status} of {name}. {CUT_OUT}")

    def new(self, name: str, *arguments, kind=c_void_p):
        """What a function puts into its last argument, a handle or a number."""
        made = kind()
        self.call(name, *arguments, ctypes.byref(made))
        return made

    def events(self, profiler: c_void_p) -> list[Event]:
        """What the profiler has recorded; the texts in it are its own, and last until it is started again."""
        number = self.new("LiteRtGetNumProfilerEvents", profiler, kind=c_int).value
        if number == 0:
            return []
        size = number * ctypes.sizeof(Event)
        room = ctypes.create_string_buffer(_UNTOUCHED * (_ROOM * size), _ROOM * size)
        self.call("LiteRtGetProfilerEvents", profiler, number, room)
        last_number = room.raw[size - 8 : size - 4]  # the last event's source; behind it only padding
        if last_number == _UNTOUCHED * 4 or room.raw[size:] != _UNTOUCHED * len(room.raw[size:]):
            raise ProfilerError(f"An event of LiteRT's profiler has {ctypes.sizeof(Event)} bytes. Received: another "
                                f"size. {CUT_OUT}")
        return list((Event * number).from_buffer_copy(room))
