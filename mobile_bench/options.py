"""The command line's options for phones: the same for `tfold bench --android` and `python -m mobile_bench`."""

from __future__ import annotations

import math

import click

FOLDER = "/data/local/tmp/tfold"


def _finite(context, parameter, value):
    if not math.isfinite(value):
        raise click.BadParameter(f"A number. Received: {value}.")
    return value


_OPTIONS = (
    click.option("--benchmark-binary", type=click.Path(),
                 help="TFLite's benchmark_model for the phone, or a folder with one for each ABI."),
    click.option("--benchmark-url", help="Where to fetch it, http, https or file; needs --benchmark-sha256."),
    click.option("--benchmark-sha256", help="What the benchmark tool must be, hexadecimal."),
    click.option("--app", is_flag=True, help="Measure in TFLite's benchmark app, which Android schedules as an app."),
    click.option("--apk", type=click.Path(), help="Install that app from this file first."),
    click.option("--gpu", is_flag=True, help="On the GPU; a fall-back to the CPU is an error."),
    click.option("--nnapi", is_flag=True, help="On NNAPI; a fall-back to the CPU is an error."),
    click.option("--nnapi-accelerator", metavar="NAME", help="On this one of NNAPI's accelerators."),
    click.option("--fp16", is_flag=True, help="Compute float32 models in float16."),
    click.option("--xnnpack/--no-xnnpack", default=None, help="Apply XNNPACK, or TFLite's own kernels.  "
                                                              "[default: as the tool does]"),
    click.option("--allow-partial", is_flag=True, help="With --gpu or --nnapi: the CPU may run a part of the model."),
    click.option("--affinity", default="big", show_default=True,
                 help="big: the fastest cores; none: wherever Android likes; or a mask of cores like f0."),
    click.option("--tool-flag", multiple=True, metavar="--NAME=VALUE", help="A further flag for the benchmark tool."),
    click.option("--max-celsius", type=click.FloatRange(0, min_open=True), callback=_finite, default=40.0,
                 show_default=True, help="How warm a phone may be before a block."),
    click.option("--cool-wait", type=click.FloatRange(0), callback=_finite, default=600.0, show_default=True,
                 help="How long to wait until it is, seconds."),
    click.option("--min-battery", type=click.FloatRange(0, 100), callback=_finite, default=20.0, show_default=True,
                 help="Least charge of its battery, percent."),
    click.option("--phone-folder", default=FOLDER, show_default=True, help="Where models and tool lie on the phone."),
    click.option("--adb", type=click.Path(), help="The adb program.  [default: the one that is found]"),
)


def phone_options(command):
    """Gives a click command the options; `settings_of` takes what they bring."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _names() -> tuple[str, ...]:
    return tuple(parameter.name for parameter in click.command()(phone_options(lambda **given: None)).params)


def settings_of(given: dict):
    """The `Settings` that a command's parameters mean; other parameters are left alone."""
    from mobile_bench.flags import Options  # here: a command that only says its help needs none of this
    from mobile_bench.gate import Gate
    from mobile_bench.phone import Settings

    options = Options(
        gpu=given["gpu"], nnapi=given["nnapi_accelerator"] or given["nnapi"], fp16=given["fp16"],
        xnnpack=given["xnnpack"], allow_partial=given["allow_partial"], affinity=given["affinity"],
        extra=tuple(given["tool_flag"]),
    )
    return Settings(
        options=options,
        gate=Gate(max_celsius=given["max_celsius"], wait_s=given["cool_wait"], min_battery=given["min_battery"]),
        binary=given["benchmark_binary"], url=given["benchmark_url"], sha256=given["benchmark_sha256"],
        app=given["app"] or bool(given["apk"]), apk=given["apk"],
        folder=given["phone_folder"].rstrip("/") or "/", adb=given["adb"],
    )


NAMES = _names()  # of the parameters: a command that has other places to measure refuses them there
