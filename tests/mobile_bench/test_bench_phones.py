"""The whole way on phones: the real command line, the real adb client, a daemon, and a stand-in for the tool."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mobile_bench.bench import bench_phones, profile_phones
from mobile_bench.errors import DeviceGoneError, PhoneError
from mobile_bench.flags import Options
from mobile_bench.gate import Gate
from mobile_bench.phone import Settings
from mobile_bench.tool_errors import MissingFlagError, NoBinaryError, TooHotError
from tfold.errors import BadInputError
from tfold.tflite.cut import of_one_number

STAND_IN = Path(__file__).with_name("stand_in_benchmark_model.py")
SHORT = {"runs": 5, "min_time": 0, "warmup": 0}
COOL = "Thermal Status: 0"


@pytest.fixture
def tool(tmp_path):
    """Writes a benchmark tool: tool(noise=0.01)."""

    def write(name="benchmark_model", **config):
        path = tmp_path / name
        path.write_text(f"#!{sys.executable} -IS\nCONFIG = {config!r}\n{STAND_IN.read_text()}")
        return str(path)

    return write


@pytest.fixture
def models(tmp_path):
    """Two models whose latency the stand-in reads in them: 8 and 6 ms; the second has a hostile name."""
    paths = [tmp_path / "base.tflite", tmp_path / "folded $(touch hacked); 'é\".tflite"]
    for path, latency in zip(paths, (8000, 6000), strict=True):
        path.write_bytes(of_one_number() + f"latency_us={latency} ".encode())
    return paths


def settings(phone, binary, **others):
    return Settings(binary=binary, folder=f"{phone.folder}/tfold", **others)


def mobile_bench(*words, code=0):
    """`python -m mobile_bench` in a process of its own; returns its document and what it said."""
    done = subprocess.run([sys.executable, "-m", "mobile_bench", *map(str, words)], capture_output=True, text=True,
                          timeout=120, stdin=subprocess.DEVNULL, cwd=Path(__file__).parents[2])
    assert done.returncode == code, done.stderr
    return (json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout), done.stderr


def test_two_models_on_a_phone(phone, tool, models, tmp_path):
    said, record = [], tmp_path / "blocks.jsonl"
    how = {"settings": settings(phone, tool(noise=0.01, seed=None)), "blocks": 6, "record": record, **SHORT}
    result = bench_phones(models, progress=lambda *event: said.append(event), **how)
    assert 0.7 < result.ratio.low <= result.ratio.value <= result.ratio.high < 0.8
    document = result.to_json()
    ratio = document["ratio"][phone.serial]
    assert (ratio["verdict"], ratio["runtime"], ratio["threads"]) == ("faster", "benchmark_model", 1)
    assert ratio["self_check"]["resolution"] < 0.1
    assert [one["device"] for one in document["results"]] == [phone.serial] * 2
    assert document["results"][0]["median_ms"] == pytest.approx(8.0, rel=0.05)
    told = document["devices"][phone.serial]
    assert told["tool_version"].startswith("sha256 ") and told["before"]["time"] < told["after"]["time"]
    assert [event[1:3] for event in said] == [(done, 20) for done in range(21)]
    assert not (phone.folder / "hacked").exists() and not Path("hacked").exists()

    kept = {path: path.stat().st_mtime_ns for path in (phone.folder / "tfold").iterdir()}
    again = bench_phones(models, **how)  # nothing is pushed or measured again
    assert again.comparisons[0].ratio == result.ratio
    assert {path: path.stat().st_mtime_ns for path in (phone.folder / "tfold").iterdir()} == kept
    assert len(kept) == 3  # the tool, two models, and nothing that a run has left


def test_a_phone_that_throttles_loses_those_blocks_and_says_so(phone, tool, models):
    phone.fake("dumpsys", f"""
        [ "$1" = thermalservice ] || exit 0
        n=$(cat {phone.folder}/n 2>/dev/null); n=$((n + 1)); echo $n > {phone.folder}/n
        if [ $n = 6 ]; then echo 'Thermal Status: 3'; else echo '{COOL}'; fi""")
    result = bench_phones(models[:1], blocks=2, settings=settings(phone, tool()), **SHORT)
    assert result.comparisons[0].discarded == {"the phone got too hot: thermal status 3 (severe), above 0": 1}
    assert len(result.measurements[0].blocks) == 2
    told = result.to_json()
    assert told["discarded_blocks"] == 1 and told["devices"][phone.serial]["before"]["thermal_status"] == 0


def test_a_phone_that_does_not_cool_down_is_not_measured(phone, tool, models):
    phone.fake("dumpsys", "echo 'Thermal Status: 3'")
    with pytest.raises(TooHotError, match=r"thermal status 3 \(severe\)"):
        bench_phones(models[:1], settings=settings(phone, tool(), gate=Gate(wait_s=0.05, poll_s=0.02)), **SHORT)


def test_an_old_phone_without_exit_codes(plug_in, tool, models):
    old = plug_in(features="cmd")
    older = tool(percentiles=False, noise=0, remove=["result_file_path"])
    result = bench_phones(models[1:], [old.serial], threads=[1, 4], blocks=1, settings=settings(old, older), **SHORT)
    assert [(m.threads, m.statistic) for m in result.measurements] == [(1, "mean"), (4, "mean")]
    assert result.measurements[1].median_ms == pytest.approx(1.5, rel=0.1)


def test_a_phone_that_vanishes_in_the_middle(phone, tool, models):
    def progress(serial, done, total, what):
        if done == 3:
            phone.vanish()

    with pytest.raises(DeviceGoneError, match=phone.serial):
        bench_phones(models, blocks=6, settings=settings(phone, tool()), progress=progress, **SHORT)


def test_several_phones_at_once_and_one_is_lost(plug_in, tool, models):
    phones = [plug_in(model="First"), plug_in(model="Second")]
    folder = phones[0].folder

    def progress(serial, done, total, what):
        if (serial, done) == (phones[1].serial, 3):
            phones[1].vanish()

    result = bench_phones(models[:1], ["all"], blocks=3, settings=Settings(binary=tool(), folder=str(folder)),
                          progress=progress, **SHORT)
    assert [m.device for m in result.measurements] == [phones[0].serial]
    assert list(result.failed) == [phones[1].serial] and phones[1].serial in result.failed[phones[1].serial]
    assert result.to_json()["failed"] == result.failed


def test_the_module_by_itself(plug_in, tool, models, tmp_path):
    phones = [plug_in(model="First"), plug_in(model="Second")]
    listed, _ = mobile_bench("--list", "--json")
    assert {one["serial"]: one["state"] for one in listed["phones"]} == {each.serial: "device" for each in phones}
    common = ("--benchmark-binary", tool(), "--phone-folder", tmp_path / "on phone", "--runs", 5, "--min-time", 0,
              "--blocks", 1, "--json")
    document, said = mobile_bench(models[0], "--all", *common)
    assert sorted(document["devices"]) == sorted(each.serial for each in phones)
    assert len(document["results"]) == 2 and said.count("base.tflite") == 2
    _, said = mobile_bench(models[0], *common, code=1)
    assert "First" in said and "Second" in said and said.startswith("mobile_bench: ")


def test_the_command_line(phone, tool, models):
    words = ["bench", *models, "--android", phone.serial, "--benchmark-binary", tool(), "--blocks", "6", "--runs", "5",
             "--min-time", "0", "--warmup", "0", "--no-self-check", "--phone-folder", f"{phone.folder}/tfold", "--json",
             "--profile"]
    start = [sys.executable, "-m", "tfold"]
    done = subprocess.run([*start, *map(str, words)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    ratio = document["ratio"][phone.serial]
    assert 0.6 < ratio["low"] <= ratio["value"] <= ratio["high"] < 0.9
    profile = document["profile"][phone.serial]
    assert [len(unknown) for unknown in profile["unknown"]] == [4, 4]  # the stand-in's ops are none of the model's
    assert "changes" not in profile and "fits too few" in done.stderr


def test_what_is_wrong_is_said_before_anything_runs(phone, tool, models, monkeypatch, tmp_path):
    monkeypatch.delenv("TFOLD_BENCHMARK_BINARY", raising=False)
    monkeypatch.setenv("TFOLD_BENCHMARK_URL", "")
    one = {"blocks": 1, **SHORT}
    with pytest.raises(NoBinaryError, match="--benchmark-binary"):
        bench_phones(models, settings=Settings(folder=str(phone.folder)), **one | {"blocks": 6})
    with pytest.raises(MissingFlagError, match="--use_gpu=true"):
        bench_phones(models[:1], settings=settings(phone, tool(), options=Options(gpu=True)), **one)
    with pytest.raises(BadInputError, match="not both|Leave one out"):
        bench_phones(models[:1], settings=settings(phone, tool(), app=True), **one)
    with pytest.raises(BadInputError, match="absolute path"):
        bench_phones(models[:1], settings=Settings(binary=tool(), folder="here"), **one)
    with pytest.raises(BadInputError, match="not found"):
        bench_phones([tmp_path / "missing.tflite"], settings=settings(phone, tool()), **one)
    with pytest.raises(PhoneError, match="nowhere"):
        bench_phones(models[:1], ["nowhere"], settings=settings(phone, tool()), **one)
    assert not any(phone.folder.rglob("*.tflite"))


def test_a_core_that_is_capped_between_two_blocks_costs_the_round(phone, tool, models, tmp_path):
    cpu = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    cpu.mkdir(parents=True)
    (cpu.parent.parent / "online").write_text("0\n")
    for name, khz in (("cpuinfo_max_freq", 2_800_000), ("scaling_max_freq", 2_800_000), ("scaling_cur_freq", 1)):
        (cpu / name).write_text(f"{khz}\n")

    def progress(serial, done, total, what):
        if done in (3, 5):  # down before the first round's second block, up before a later one
            (cpu / "scaling_max_freq").write_text(f"{2_800_000 - 800_000 * (done == 3)}\n")

    result = bench_phones(models, blocks=6, self_check=False, progress=progress,
                          settings=settings(phone, tool(), sysfs=str(tmp_path / "sys")), **SHORT)
    reasons = result.comparisons[0].discarded
    assert "core 0 may clock lower than before" in reasons and reasons["core 0 may clock lower than before"] == 2
    assert result.devices[phone.serial]["cores_used"] == {"1": [0]}
    assert "cores 0: the fastest, 2.80 GHz" in result.comparisons[0].notes


def test_one_phone_by_two_names_is_one_phone(plug_in, tool, models):
    phones = [plug_in(fake={"getprop": '[ "$1" = ro.serialno ] && echo 8A1X; exit 0'}) for _ in range(2)]
    how = {"blocks": 1, "settings": Settings(binary=tool(), folder=str(phones[0].folder)), **SHORT}
    result = bench_phones(models[:1], ["all"], **how)
    assert len(result.devices) == 1 and not result.failed
    with pytest.raises(BadInputError, match="the same phone"):
        bench_phones(models[:1], [each.serial for each in phones], **how)


def test_phones_share_a_record_and_a_later_name_goes_on_with_it(plug_in, tool, models, tmp_path):
    def named(own):
        return plug_in(fake={"getprop": f'[ "$1" = ro.serialno ] && echo {own}; exit 0'})

    phones, record = [named("A"), named("B")], tmp_path / "blocks.jsonl"
    how = {"blocks": 2, "record": record, **SHORT}
    both = Settings(binary=tool(), folder=str(phones[0].folder))
    first = bench_phones(models[:1], [each.serial for each in phones], settings=both, **how)
    assert [len(m.blocks) for m in first.measurements] == [2, 2]
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert sorted(line["key"]["device"] for line in lines) == ["A"] * 3 + ["B"] * 3
    phones[0].vanish()
    again = named("A")  # at another address, as over Wi-Fi
    result = bench_phones(models[:1], [again.serial], settings=both, **how)
    assert result.measurements[0].blocks == first.measurements[0].blocks
    assert "2 of 2 rounds are of an earlier run" in result.comparisons[0].notes


def test_ctrl_c_ends_what_runs_on_all_phones(plug_in, tool, models, tmp_path):
    phones = [plug_in(), plug_in()]
    slow = tmp_path / "slow"
    slow.write_text(f"""#!/bin/sh
case "$*" in *--help*) exec {tool()} --help;; esac
echo $$ >> {tmp_path}/pids
sleep 600
""")
    (tmp_path / "benchmark_model").chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "mobile_bench", str(models[0]), "--all", "--benchmark-binary", str(slow),
         "--phone-folder", str(phones[0].folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), cwd=Path(__file__).parents[2])
    pids = tmp_path / "pids"
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130 and said == "mobile_bench: stopped\n"
    wait_until(lambda: not any(Path("/proc", pid).exists() for pid in pids.read_text().split()))


def test_a_profile_that_fails_costs_only_itself(phone, tool, models):
    words = ["bench", models[0], "--android", "--benchmark-binary", tool(remove=["enable_op_profiling"]), "--blocks", 1,
             "--phone-folder", phone.folder, "--json", "--profile"]
    start = [sys.executable, "-m", "tfold"]
    done = subprocess.run([*start, *map(str, words)], capture_output=True, text=True, timeout=120)
    document = json.loads(done.stdout)
    assert done.returncode == 1 and len(document["results"]) == 1
    assert "op profiling" in document["profile"]["error"] and "no times of ops" in done.stderr


def wait_until(done):
    for _ in range(2400):
        if done():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def test_profiles(phone, tool, models):
    profiles = profile_phones(models, settings=settings(phone, tool(noise=0)))
    first, second = profiles[phone.serial]
    assert [op.kind for op in first.run_order] == [op.kind for op in second.run_order]
    assert second.total_ms == pytest.approx(0.75 * first.total_ms, rel=0.2)
    assert sum(op.run_ms for op in first.run_order) == pytest.approx(first.total_ms, abs=0.01)
    own = profile_phones(models[:1], settings=settings(phone, tool(noise=0), options=Options(xnnpack=False)))
    assert [op.node for op in own[phone.serial][0].run_order] == [0, 1, 2, 3]
    names = sorted(path.suffix for path in (phone.folder / "tfold").iterdir())
    assert names == ["", ".tflite", ".tflite"]  # the tool and the models alone
