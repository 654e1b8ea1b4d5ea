import json
import shutil
import sys

import numpy as np
import pytest

from tfold.errors import BadInputError
from tfold.measure.errors import ProfilerNotAvailableError, UnsupportedModelError
from tfold.measure.litert_c import Library, ProfilerError, check_version
from tfold.measure.profile import profile
from tfold.tflite.contents import read
from tfold.tflite.cut import Cut


def test_ops_come_in_run_order_with_the_kernels_that_were_chosen(models):
    found = profile(models / "conv.tflite", runs=3, warmup=0)
    assert [op.kind.split(" (")[0] for op in found.ops] == [
        "Convolution", "Convolution", "Mean", "Static Reshape", "Fully Connected",
    ]
    assert found.ops[0].kind.endswith("IGEMM") and found.ops[1].kind.endswith("DWConv")
    assert all(op.index is None and op.average_us >= 0 and op.times == 3 for op in found.ops)
    assert found.total_us == sum(op.average_us for op in found.ops)
    assert 0 < found.whole_us < 1e6
    assert found.runtime == "litert" and found.version.startswith("2.") and found.threads == 1


def test_an_int8_model_has_int8_kernels_with_two_threads_too(models):
    found = profile(models / "int8.tflite", threads=2, runs=1, warmup=0)
    assert [op.kind for op in found.ops if "QC8" in op.kind] == [found.ops[k].kind for k in (0, 1, 4)]
    document = json.loads(json.dumps(found.to_json()))
    assert document["threads"] == found.threads == 2
    assert [op["kind"] for op in document["ops"]] == [op.kind for op in found.ops]


def test_an_op_that_runs_by_itself_has_its_index(models, tmp_path):
    contents = read(models / "two.tflite")
    gather = next(op for op in contents.ops if op.kind == "GATHER")
    (tmp_path / "gather.tflite").write_bytes(Cut(contents, gather).content())
    found = profile(tmp_path / "gather.tflite", runs=1, warmup=0)
    assert [(op.kind, op.index) for op in found.ops] == [("GATHER", 0)]


def test_an_op_the_runtime_lacks_is_named(models):
    with pytest.raises(UnsupportedModelError, match="FlexMatrixInverse"):
        profile(models / "flex.tflite")


def test_an_output_of_unknown_size_has_no_profile(models):
    with pytest.raises(ProfilerNotAvailableError, match=r"CompiledModel.*Received: status \d+.*two\.tflite"):
        profile(models / "two.tflite")


@pytest.mark.parametrize("setting", [{"runs": 0}, {"runs": True}, {"runs": 2.0}, {"warmup": -1}, {"warmup": np.nan},
                                     {"warmup": "1"}, {"threads": 0}, {"runtime": "all"}, {"runtime": "onnx"}])
def test_impossible_settings_are_refused(models, setting):
    with pytest.raises(BadInputError, match="Received: "):
        profile(models / "conv.tflite", **setting)


def test_other_runtimes_have_no_profiler(models):
    with pytest.raises(ProfilerNotAvailableError, match="Received: runtime='tflite-runtime'.*litert"):
        profile(models / "conv.tflite", runtime="tflite-runtime")


@pytest.mark.parametrize("version", ["2.2.1", "2.4.0", "3.0", "2.30.0", "nightly"])
def test_an_unknown_version_is_not_called(version):
    check_version("2.3.0")
    with pytest.raises(ProfilerError, match=f"Received: ai-edge-litert {version}"):
        check_version(version)


def test_an_unknown_version_is_told_by_the_worker(models, tmp_path, monkeypatch):
    distribution = tmp_path / "ai_edge_litert-9.9.9.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: ai-edge-litert\nVersion: 9.9.9\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ProfilerNotAvailableError, match=r"Received: ai-edge-litert 9\.9\.9"):
        profile(models / "conv.tflite")


@pytest.mark.parametrize(("content", "message"), [
    (None, "Received: .*without it"),
    (b"\x7fELF, cut short", "Received: .*too short"),
])
def test_a_library_must_be_there_and_whole(tmp_path, content, message):
    if content:
        (tmp_path / "libLiteRt.so").write_bytes(content)
    with pytest.raises(ProfilerError, match=message):
        Library(tmp_path)


def test_a_library_must_have_the_functions(tmp_path):
    shutil.copy(sys.modules["numpy.random.mtrand"].__file__, tmp_path / "libLiteRt.so")
    with pytest.raises(ProfilerError, match=r"have a profiler\. Received: .*LiteRtCreateEnvironment"):
        Library(tmp_path)
