"""inspect on a .tflite file."""

import json

import numpy as np
import pytest

from tfold.measure import available_runtimes
from tfold.tflite.schema import schema
from tfold.tflite.write import packed


def changed(source, path, change):
    model = schema().ModelT.InitFromPackedBuf(source.read_bytes(), 0)
    change(model)
    path.write_bytes(packed(model))
    return path


def lines(ended):
    """What stands behind each label."""
    found = {}
    for line in ended.out.splitlines()[:-1]:
        found.setdefault(line[:12].rstrip(), []).append(line[13:])
    return found


def test_it_says_what_is_in_the_file_and_writes_nothing(here, files, tmp_path, monkeypatch, unchanged):
    monkeypatch.chdir(tmp_path)
    path = files / "small.tflite"
    ended = here("inspect", path)
    said = lines(ended)
    assert (ended.code, ended.err) == (0, "")
    assert said["size"][0].startswith(f"{path.stat().st_size:,} bytes")
    assert said["input"] == ["image (1, 12, 12, 3) float32"]
    assert len(said["output"]) == len(said["signature"]) == 1 and "(1, 4) float32" in said["output"][0]
    assert "CONV_2D 3" in said["ops"][0]
    assert said["format"] == ["float32"] and "float32" in said["constants"][0]
    assert said["XNNPACK"][0].startswith("6 of 6 ops in 1 partition (litert ")
    assert not {"not XNNPACK", "arithmetic", "custom ops", "float ops"} & set(said)
    assert ended.out.splitlines()[-1] == f"nothing written; next: tfold bench {path}"
    unchanged()


def test_the_document_holds_the_same(here, files):
    path = files / "small.tflite"
    ended = here("inspect", path, "--json")
    document = ended.document
    assert document["kind"] == "inspect-tflite" and document["bytes"] == path.stat().st_size
    assert document["ops"]["CONV_2D"] == 3 and sum(document["ops"].values()) == document["delegation"]["ops"] == 6
    assert document["delegation"]["partitions"] == [[0, 1, 2, 3, 4, 5]]
    assert document["inputs"][0]["shape"] == [1, 12, 12, 3]
    assert document["quantization"]["format"] == "float32" and document["leftovers"] == []
    assert "nothing written" in ended.err


def test_quantisation_metadata_and_arithmetic_are_told(here, files, tmp_path):
    def change(model):
        about = {"tfold": "0.1", "format": "int8", "fold": {"depth": [21, 11]}}
        data, entry = schema().BufferT(), schema().MetadataT()
        data.data = np.frombuffer(json.dumps(about).encode(), np.uint8)
        entry.name, entry.buffer = "tfold", len(model.buffers)
        model.buffers.append(data)
        model.metadata = [*model.metadata, entry]
        main = model.subgraphs[0]
        kernel = main.tensors[main.operators[0].inputs[1]]
        kernel.type, kernel.quantization = schema().TensorType.INT8, schema().QuantizationParametersT()
        kernel.quantization.scale, kernel.quantization.zeroPoint = [0.1] * kernel.shape[0], [0] * kernel.shape[0]
        model.buffers[kernel.buffer].data = model.buffers[kernel.buffer].data[::4]
        code = model.operatorCodes[main.operators[-1].opcodeIndex]
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode = schema().BuiltinOperator.CUSTOM, 32, "Mine"

    ended = here("inspect", changed(files / "small.tflite", tmp_path / "m.tflite", change))
    said = lines(ended)
    assert ended.code == 0
    assert said["tfold"] == ["tfold: 0.1", "format: int8", 'fold: {"depth": [21, 11]}']
    assert "tfold" not in said["metadata"][0]
    assert said["format"][0].startswith("dynamic; kernels float32 3, int8 1, 1 of 4 per channel")
    assert said["float layers"][0].startswith("CONV_2D 2 (")
    assert said["custom ops"] == ["Mine: the app must bring them along"]
    assert said["XNNPACK"][0].startswith("not known: ") and "Mine, which litert lacks" in said["XNNPACK"][0]
    assert ended.out.splitlines()[-1] == "nothing written; next: tfold export --help"


@pytest.mark.parametrize("options", [
    ["--threshold", "0.9"], ["--policy", "macs"], ["--border", "exact"], ["--graph"], ["--allow-unsafe"],
    ["--custom-objects", "os"],
])
def test_options_of_keras_models_are_refused(here, files, options):
    here("inspect", files / "small.tflite", *options).misused(f"{options[0]} is for a Keras model", "small.tflite")


def test_the_runtime_is_for_tflite_files(here, files):
    here("inspect", files / "small.keras", "--runtime", "litert").misused("--runtime is for a .tflite file")
    here("inspect", files / "small.tflite", "--runtime", "abacus").misused("'abacus'", "litert, tflite-runtime")
    version = available_runtimes()["tflite-runtime"].version
    ended = here("inspect", files / "small.tflite", "--runtime", "tflite-runtime")
    if version is None:
        assert ended.code == 1 and "not installed" in ended.err
    else:
        assert f"(tflite-runtime {version})" in lines(ended)["XNNPACK"][0]


def test_what_a_file_is_tells_its_content(here, files, tmp_path):
    (tmp_path / "m.keras").write_bytes((files / "small.tflite").read_bytes())
    assert "CONV_2D" in here("inspect", tmp_path / "m.keras").out
    here("inspect", files / "cut.tflite").refused("cut.tflite", "cut short or damaged")
    here("inspect", files / "text.tflite").refused("text.tflite", "TFL3")
    here("inspect", tmp_path / "missing.tflite").refused("missing.tflite", "not found")


def test_neither_tensorflow_nor_a_runtime_is_loaded(process, files):
    code = (
        "import sys; from tfold.cli import main\n"
        f"try: main(['inspect', {str(files / 'small.tflite')!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'tensorflow', 'keras', 'ai_edge_litert'} & set(sys.modules)"
    )
    ended = process(code_for_python=code)
    assert ended.code == 0 and "XNNPACK" in ended.out, ended
