"""What cannot be is said in one sentence, before any data are loaded, networks trained or folders made."""
import pytest

TRAINING = ("cifar10", "mnist_mlp", "mobilenetv2_cifar10")


@pytest.mark.parametrize("name", TRAINING)
@pytest.mark.parametrize(("option", "words"), [
    ("--seeds=0", "--seeds: a whole number from 1 on. Received: '0'. Leave"),
    ("--seeds=two", "--seeds: a whole number from 1 on. Received: 'two'"),
    ("--limit=0", "--limit: a whole number from 1 on. Received: '0'"),
    ("--scale=0..1", "--scale: two numbers with a comma between them. Received: '0..1'. Write --scale=-1,1."),
    ("--scale=0,nan", "--scale: two numbers"),
])
def test_what_the_options_refuse(called, name, option, words):
    said, code = called(name, option)
    assert code == 2 and words in said.splitlines()[-1]


@pytest.mark.parametrize("name", TRAINING)
@pytest.mark.parametrize(("option", "words"), [
    ("--epochs=0", "epochs is a whole number from 1 on. Received: epochs=0"),
    ("--alpha-epochs=-1", "alpha_epochs is a whole number from 1 on. Received: alpha_epochs=-1"),
    ("--post-rate=nan", "post_rate is a number"),
    ("--strengths=-1", "Received: strength=-1"),
])
def test_what_trainings_and_recipes_refuse(called, name, option, words, tmp_path):
    said, sentence = called(name, option, "--data", "nothing.npz")  # which would be the next complaint
    assert words in sentence and "\n" not in sentence and not said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "option", "words"), [
    ("cifar10", "--distill=2", "distill is a weight"),
    ("cifar10", "--merged-rate=-1", "post_rate"),
    ("mnist_mlp", "--depths=1", None),
    ("mnist_mlp", "--tolerance=nan", None),
    ("mobilenetv2_cifar10", "--runtime=none", "A runtime is one of litert"),
    ("mobilenetv2_cifar10", "--threads=0", "threads is a whole number"),
    ("table2_latency", "--rounds=1", "Received: blocks=1"),
    ("table2_latency", "--blocks=-1", None),
])
def test_what_one_example_refuses(called, name, option, words, tmp_path):
    said, code = called(name, option)
    if words:
        assert words in code and not said
    else:
        assert code == 2 and f"{option.split('=')[0]}: a" in said and " number from " in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", TRAINING)
def test_the_output_is_a_folder(called, name, tmp_path):
    (tmp_path / "out").write_text("mine")
    said, sentence = called(name, "-o", "out", "--data", "nothing.npz")
    assert "The output is a folder" in sentence and "out" in sentence and not said
    assert (tmp_path / "out").read_text() == "mine"


def test_training_longer_goes_without_post_folding(example):
    """`--post base --post-epochs 0`: the epochs of both together are one training, made before all others."""
    cifar10 = example("cifar10")
    parser = example("common").parser("…", "cifar10", "out")
    arguments = parser.parse_args([])
    vars(arguments).update(
        network="resnet8", epochs=2, rate=0.1, alpha_epochs=3, alpha_rate=0.01, post_epochs=0, post_rate=0.02,
        merged_rate=0.002, strengths=[0.1, 0.2], post=["base", "merged+distill"], distill=0.5, temperature=2.0,
        weight_decay=0.0)
    training, longer, recipes = cifar10.plan(arguments, 7)
    assert (training.epochs, training.seed, longer.epochs, longer.rate, longer.seed) == (2, 7, 3, 0.02, 7)
    assert {strength: list(ways) for strength, ways in recipes.items()} == {
        0.1: ["merged+distill"], 0.2: ["merged+distill"]}
    recipe = recipes[0.2]["merged+distill"]
    assert (recipe.strength, recipe.post_rate, recipe.distill, recipe.border) == (0.2, 0.002, 0.5, "approximate")
    assert arguments.scale == (-1.0, 1.0) and arguments.seeds == 1


@pytest.mark.parametrize(("error", "words"), [
    (OSError(28, "No space left on device", "out/base.keras"), "Received: [Errno 28] No space left on device"),
    (MemoryError(), "The work must fit into memory. Received: too little."),
    (KeyboardInterrupt(), "stopped; the same command goes on from here"),
])
def test_what_comes_up_on_the_way_is_one_sentence(example, error, words):
    def main():
        raise error

    with pytest.raises(SystemExit) as found:
        example("common").run(main)
    assert words in found.value.code and "\n" not in found.value.code


def test_a_fault_of_our_own_keeps_its_traceback(example):
    with pytest.raises(ZeroDivisionError):
        example("common").run(lambda: 1 // 0)


def test_quick_says_what_it_overrides_and_does(example, monkeypatch, capsys):
    common = example("common")
    monkeypatch.setattr("sys.argv", ["x.py", "--quick", "--limit", "9", "--seeds", "3"])
    arguments = common.parse(common.parser("…", "cifar10", "out"), limit=5, post_epochs=1)
    assert (arguments.limit, arguments.post_epochs, arguments.seeds) == (5, 1, 3)
    monkeypatch.setattr("sys.argv", ["x.py", "--help"])
    with pytest.raises(SystemExit):
        common.parse(common.parser("…", "cifar10", "out"), limit=5, post_epochs=1)
    said = " ".join(capsys.readouterr().out.split())
    assert "It overrides --limit, --post-epochs" in said and "--scale=-1,1; none: as they are (default: -1,1)" in said
