import os
import signal

import numpy as np
import pytest

from tfold.errors import BadInputError
from tfold.measure import Worker, check_tflite, run_tflite
from tfold.measure.errors import UnsupportedModelError, WorkerCrashError, WorkerTimeoutError
from tfold.measure.tflite_file import TFLiteFile


def test_outputs_agree_with_keras(models, arrays, runtime):
    out = run_tflite(models / "conv.tflite", arrays["image"], runtime)
    assert list(out) == ["output_0"]
    np.testing.assert_allclose(out["output_0"], arrays["conv"], rtol=1e-4, atol=1e-5)


def test_runtimes_work_beside_a_loaded_tensorflow(arrays, runtime):
    """The maker of the models ran them too, in a process full of TensorFlow."""
    np.testing.assert_allclose(arrays[runtime], arrays["conv"], rtol=1e-4, atol=1e-5)


def test_a_model_for_one_sample_runs_once_for_each(models, arrays, runtime):
    out = run_tflite(models / "fixed.tflite", [arrays["image"]], runtime)["output_0"]
    np.testing.assert_allclose(out, arrays["conv"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("by_name", [True, False])
def test_several_inputs_and_outputs_find_their_places(models, arrays, runtime, by_name):
    inputs = {"features": arrays["features"], "ids": arrays["ids"]}
    out = run_tflite(models / "two.tflite", inputs if by_name else [arrays["ids"], arrays["features"]], runtime)
    assert list(out) == ["output_0", "output_1"]
    np.testing.assert_allclose(out["output_0"], arrays["summed"], rtol=1e-5)
    np.testing.assert_allclose(out["output_1"], arrays["flat"], rtol=1e-5)


def test_float64_is_taken_for_float32_and_open_sizes_follow_the_input(models, runtime):
    out = run_tflite(models / "anysize.tflite", np.ones((2, 7, 9, 3)), runtime)["output_0"]
    assert out.shape == (2, 7, 9, 2)
    assert out.dtype == np.float32


def test_quantised_models_take_quantised_numbers_only(models, arrays, runtime):
    codes = np.clip(np.round(arrays["image"] * 20), -128, 127).astype(np.int8)
    assert run_tflite(models / "int8.tflite", codes, runtime)["output_0"].dtype == np.int8
    with pytest.raises(BadInputError, match=r"int8.*Received: float32.*round\(x / "):
        run_tflite(models / "int8.tflite", arrays["image"], runtime)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "inputs are image.*Received: 0 arrays"),
        ([np.ones((1, 12, 12, 3))] * 2, "Received: 2 arrays"),
        ({"picture": np.ones((1, 12, 12, 3))}, "inputs are image.*Received: picture"),
        (np.ones((1, 12, 11, 3)), r"shape \(-1, 12, 12, 3\).*Received: shape=\(1, 12, 11, 3\)"),
        (np.ones((12, 12, 3)), r"Received: shape=\(12, 12, 3\)"),
        (np.ones((1, 12, 12, 3), int), "float32. Received: int64"),
        (np.array([None]), "Python objects"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(models, inputs, message):
    with pytest.raises(BadInputError, match=message):
        run_tflite(models / "conv.tflite", inputs)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True, None, 10**6])
def test_impossible_threads_are_refused(models, threads):
    with pytest.raises(BadInputError, match="Received: threads="):
        run_tflite(models / "conv.tflite", np.ones((1, 12, 12, 3)), threads=threads)


def test_one_runtime_at_a_time(models):
    with pytest.raises(BadInputError, match="Received: 'all'"):
        run_tflite(models / "conv.tflite", np.ones((1, 12, 12, 3)), "all")


@pytest.mark.parametrize(("name", "op"), [("flex", "FlexMatrixInverse"), ("custom", "MatrixInverse")])
def test_an_op_the_runtime_lacks_is_named(models, runtime, name, op):
    with pytest.raises(UnsupportedModelError, match=rf"{name}\.tflite with {op}, which {runtime} lacks"):
        run_tflite(models / f"{name}.tflite", np.ones((1, 4)), runtime)


def test_a_file_with_nonsense_inside_is_an_error_of_ours(models, tmp_path, runtime):
    """Past the check by hand: whatever the runtime does with it, an exception of ours comes out."""
    data = bytearray((models / "conv.tflite").read_bytes())
    data[len(data) // 3 :] = bytes(len(data) - len(data) // 3)
    path = tmp_path / "nonsense.tflite"
    path.write_bytes(data)
    with Worker(runtime) as worker, pytest.raises((UnsupportedModelError, WorkerCrashError), match="nonsense.tflite"):
        worker.load(TFLiteFile(path, len(data), ()))


def test_a_dead_worker_says_what_killed_it_and_over_which_file(models, arrays, runtime):
    with Worker(runtime) as worker:
        worker.load(check_tflite(models / "conv.tflite"))
        os.kill(worker._process.pid, signal.SIGSEGV)
        with pytest.raises(WorkerCrashError, match=r"SIGSEGV while running .*conv\.tflite"):
            worker.run([arrays["image"]])


def test_a_silent_worker_is_ended(models, arrays):
    with Worker("litert") as worker:
        worker.load(check_tflite(models / "conv.tflite"))
        os.kill(worker._process.pid, signal.SIGSTOP)
        worker.timeout = 0.3
        with pytest.raises(WorkerTimeoutError, match="0.3 s.*timeout="):
            worker.run([arrays["image"]])
        assert worker._process.wait(60) == -signal.SIGKILL


def test_no_process_is_left_behind(models):
    with pytest.raises(BadInputError), Worker("litert") as worker:
        worker.load(check_tflite(models / "conv.tflite"))
        worker.run([])
    assert worker._process.poll() is not None


def test_files_in_the_working_directory_are_not_imported(models, arrays, tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert run_tflite(models / "conv.tflite", arrays["image"])["output_0"].shape == (5, 4)
