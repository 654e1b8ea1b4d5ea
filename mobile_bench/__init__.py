"""Latency of .tflite files on Android phones that people can believe. The guide is README.md beside this file.

    from mobile_bench import Settings, bench_phones

    result = bench_phones(["base.tflite", "folded.tflite"], settings=Settings(binary="tools/"))
    print(result.ratio)                     # 0.815 [0.808, 0.823]: folded takes 81 % of base's time

    bench ─▶ phone ─▶ run_tool, apk ─▶ outputs      the tool's run, and what it prints
               │  └─▶ gate ─▶ condition             warm? throttled? capped?
               └────▶ phone_info, cores, binary     what is it, which cores, which tool
             all of them ─▶ device ─▶ adb           commands and files

The rules of the comparison are those of the host: `tfold.measure`. TensorFlow and Keras are never imported, and each
name is loaded when it is first used.
"""

from importlib import import_module

_HOME = {
    "Gate": "gate",
    "Options": "flags",
    "Settings": "phone",
    "bench_phones": "bench",
    "connected": "adb",
    "open_device": "device",
    "profile_phones": "bench",
}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'mobile_bench' has no attribute {name!r}")
    return getattr(import_module(f"mobile_bench.{_HOME[name]}"), name)


def __dir__():
    return __all__
