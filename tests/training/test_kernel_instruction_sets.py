"""One library for all processors of a kind: its loops for each instruction set, and which of them are taken."""

import platform
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tfold.training.kernels import check, compiler, instruction_sets

BEST_FIRST = ["x86-64-v4", "x86-64-v3", "x86-64-v2", "x86-64"]
ON_X86 = platform.machine() in ("x86_64", "AMD64")


@pytest.fixture
def chosen_again(kernels):
    before = instruction_sets.in_use(kernels)
    yield kernels
    instruction_sets.use(kernels, before)


def test_each_instruction_set_agrees_with_the_reference(chosen_again, loaded_kernels):
    names = instruction_sets.available(chosen_again)
    for name in names:
        instruction_sets.use(chosen_again, name)
        assert instruction_sets.in_use(chosen_again) == name
        assert check.disagreement(loaded_kernels.operations) is None, name
    assert names[-1] == (BEST_FIRST[-1] if ON_X86 else names[-1])  # what runs everywhere is always there
    if ON_X86:
        assert names == BEST_FIRST[-len(names) :]


def test_the_best_one_is_taken(kernels, loaded_kernels):
    assert loaded_kernels.instruction_set == instruction_sets.available(kernels)[0]
    if ON_X86 and sys.platform == "linux":
        flags = next(line for line in open("/proc/cpuinfo") if line.startswith("flags")).split()
        wanted = {"x86-64-v4": {"avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl"},
                  "x86-64-v3": {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm"}, "x86-64-v2": {"sse4_2"}}
        assert loaded_kernels.instruction_set == next(
            name for name in BEST_FIRST if wanted.get(name, set()) <= set(flags))


def test_another_one_changes_what_is_run(chosen_again, loaded_kernels):
    """With fused multiplications and additions other bits come out: there is really another table of loops."""
    names = instruction_sets.available(chosen_again)
    if not {"x86-64-v3", "x86-64"} <= set(names):
        pytest.skip("needs an x86-64 processor with FMA")
    x, dy = (np.random.default_rng(seed).normal(size=(400, 64)).astype("float32") for seed in (0, 1))
    library, results = loaded_kernels.operations, []
    for name in ("x86-64-v3", "x86-64", "x86-64-v3"):
        instruction_sets.use(chosen_again, name)
        mean, rest, variance = library.tfold_moments(x=x)
        results.append(np.concatenate([variance, library.tfold_normalize_grad(
            dy=dy, x=[x], residual=[], mean=mean, rest=rest, variance=variance, gamma=np.ones(64, "float32"),
            beta=np.zeros(64, "float32"), slope=np.float32(0), epsilon=1e-3, activation="clip", limit=6.0,
        ).dgamma]))
    np.testing.assert_array_equal(results[0], results[2])
    assert (results[0] != results[1]).any()
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4, atol=1e-4)


def test_one_that_is_not_there_is_an_error(kernels):
    before = instruction_sets.in_use(kernels)
    with pytest.raises(ValueError, match="must be in the library and run on this processor. Received: x86-64-v9"):
        instruction_sets.use(kernels, "x86-64-v9")
    assert instruction_sets.in_use(kernels) == before


def test_the_loops_share_no_code_with_each_other(building, tmp_path):
    """What is defined in several objects is taken from one of them, perhaps from that of the best processor."""
    if shutil.which("nm") is None:
        pytest.skip("needs nm")
    options = [option for option in compiler.LOOPS if option != "-O3"]
    with compiler._Processes(compiler.find_compiler(), tmp_path) as processes:  # with -O0 nothing is inlined
        made = {
            name: processes.start(
                ["-c", "-O0", *options, *more, f"-DTFOLD_SET={name}", compiler.SOURCES / "loops.cc"], f"{name}.o"
            )
            for name, more in instruction_sets.options().items()
        }
        assert {name: processes.what_went_wrong(path) for name, path in made.items()} == dict.fromkeys(made)
    for name, path in made.items():
        symbols = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout.splitlines()
        shared = [line.split()[-1].lstrip("_") for line in symbols if line.split()[-2] not in "Utrbd"]
        assert shared == [f"tfold_loops_{name}"], name


@pytest.mark.skipif(not (ON_X86 and sys.platform == "linux"), reason="reads x86-64 machine code of Linux")
def test_only_the_loops_have_wide_vectors(kernels):
    """The rest of the library runs on every processor: it has no instruction that names a register of AVX."""
    if shutil.which("objdump") is None:
        pytest.skip("needs objdump")
    asked = ["objdump", "-d", "--no-show-raw-insn", kernels]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    wide = [function.partition("\n")[0] for function in said.split("\n\n") if "%ymm" in function or "%zmm" in function]
    assert len(wide) > 10
    for name in wide:
        assert "5tfold12_GLOBAL__N_1" in name, name  # all of loops.cc is in there, and nothing of batch_norm.cc but:
        assert not [other for other in ("tensorflow", "absl", "Eigen", "NormalizeBase", "Op") if other in name], name


def test_the_options_take_back_what_the_compilers_command_says(building):
    """$CXX may hold options for a processor; the headers of TensorFlow must not see them."""
    if not ON_X86:
        pytest.skip("needs x86-64, where there are several instruction sets")

    def macros(*options):
        asked = [*compiler.find_compiler(), *options, "-dM", "-E", "-x", "c++", "/dev/null"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=300)

    for option in ("-march=haswell", "-march=native", "-march=sapphirerapids", "-mavx2", "-mavx512f", "-mavx512fp16"):
        if macros(option).returncode != 0:
            continue  # an older compiler does not know all of them
        ended = macros(option, *instruction_sets.options()["baseline"])
        assert ended.returncode == 0, ended.stderr
        assert "__x86_64__" in ended.stdout
        assert not [line for line in ended.stdout.splitlines() if "__AVX" in line or "__FMA__" in line], option


def test_each_kind_of_processor_has_its_own():
    assert list(instruction_sets.options("x86_64")) == ["baseline", "x86_64_v2", "x86_64_v3", "x86_64_v4"]
    assert instruction_sets.options("aarch64") == instruction_sets.options("arm64") == {
        "baseline": ["-march=armv8-a"]}
    assert instruction_sets.options("riscv64") == {"baseline": []}
