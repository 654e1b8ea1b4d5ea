"""Latency of .tflite files on Android phones that people can believe. The guide is README.md beside this file.

    from mobile_bench import Settings, bench_phones

    result = bench_phones(["base.tflite", "folded.tflite"], settings=Settings(binary="tools/"))
    print(result.ratio)                     # 0.815 [0.808, 0.823]: folded takes 81 % of base's time

    bench ─▶ phone ─▶ run_tool, apk ─▶ outputs      the tool's run, and what it prints
               │  └─▶ gate ─▶ condition             warm? throttled? capped?
               └────▶ phone_info, cores, binary     what is it, which cores, which tool
             all of them ─▶ device ─▶ adb           commands and files

The rules of the comparison are those of the host: `tfold.measure`. TensorFlow and Keras are never imported.
"""

from mobile_bench.adb import connected
from mobile_bench.bench import bench_phones, profile_phones
from mobile_bench.device import open_device
from mobile_bench.flags import Options
from mobile_bench.gate import Gate
from mobile_bench.phone import Settings

__all__ = ["Gate", "Options", "Settings", "bench_phones", "connected", "open_device", "profile_phones"]
