"""Layer Folding, from a trained base network to a folded one that is trained again.

    base ─ prefold ─▶ F_α ─ fit ─▶ F_α ─ settle ─▶ F ─ fit ─▶ F ─ fold ─▶ folded        post="settled"
                                   F_α ─ fold ─▶ folded ─ fit ─▶ folded                 post="folded", as the authors do

(Layer Folding, arXiv 2106.09309, sec. 3.)
"""
import json
from dataclasses import dataclass, field
from pathlib import Path

import keras

from tfold.alpha.callbacks import AlphaLogger, AlphaSchedule
from tfold.alpha.penalty import AlphaPenalty
from tfold.alpha.reading import alphas
from tfold.alpha.settling import settle
from tfold.alpha.surgery import prefold
from tfold.documents import DamagedError, read_document, require
from tfold.errors import BadInputError
from tfold.files import held, whole
from tfold.folding import fold, nonlinear_depth
from tfold.graph.capture import capture
from tfold.loading import load_model, save_model
from tfold.passes.figures import figures
from tfold.reasons import PREPROCESSING
from tfold.recipe.batches import Batches
from tfold.recipe.distillation import distill
from tfold.recipe.fitting import accuracy, fit
from tfold.recipe.identity import check_fits, check_same, digest
from tfold.recipe.precision import in_precision
from tfold.recipe.settings import Recipe
from tfold.training.restructure import in_fewer_sweeps

OUTCOME = {  # what outcome.json has to hold, as `tfold.recipe.documents.require` takes it
    "recipe": dict, "base": str, "data": str, "strength": float, "seed": int, "depth": int, "layers": int,
    "macs": (int, None), "parameters": int, "alphas": {str: float},
    "accuracy": {"validation": float, "test": float},
    "history": {"alpha": [{"val_accuracy": float}], "post": [{"val_accuracy": float}]},
}
__all__ = ["Outcome", "Recipe", "layer_folding", "measure"]


@dataclass
class Outcome:
    """What became of a network.

    Args:
        strength: λ_c. seed: of the run.
        depth: the non-linear depth (`tfold.nonlinear_depth`), the axis of EDNL.
        layers: linear layers on the longest path of the folded network.
        macs, parameters: of the folded network.
        alphas: name → α at the end of pre-folding.
        accuracy: of the folded network, "validation" and "test"; "prefolded" that of F_α at the end of pre-folding
            and "fold" that right before and behind the fold, both (validation, test).
        history: "alpha" and "post": logs, a dict an epoch; those of "alpha" have every α as alpha/<layer>.
        folded: the folded Keras model.
        report: of the fold; None where the outcome was read from a finished run's folder.
    """

    strength: float
    seed: int
    depth: int
    layers: int
    macs: int | None
    parameters: int
    alphas: dict
    accuracy: dict
    history: dict
    folded: object = field(repr=False, default=None)
    report: object = field(repr=False, default=None)

    def to_json(self):
        return {name: value for name, value in vars(self).items() if name not in ("folded", "report")}


def layer_folding(base, data, recipe, folder, say=print, on_epoch=None, teacher=None, prefolded_in=None, loading=None):
    """Fold a network by a recipe; go on where an earlier call with this folder was cut off.

    Args:
        base: a trained classifier, Functional or Sequential. It is not changed.
        data: a `Data`.
        recipe: a `Recipe`.
        folder: a directory, made if need be: checkpoints, `folded.keras`, `outcome.json`. One folder, one run: another
            recipe, base or data in it is refused.
        say: called with lines of progress.
        on_epoch: called with (phase, epoch, logs) after each epoch, phase "alpha" or "post". What it raises ends the
            run and goes through; called again, the run goes on behind that epoch.
        teacher: of the distillation; the base by default.
        prefolded_in: the folder of another run whose pre-folding is the same: it is taken from there.
        loading: how to load what a finished run has saved, as `tfold.loading.load_model` takes it: allow_unsafe,
            custom_objects.

    Returns:
        An `Outcome`.

    Raises:
        BadInputError: the folder is another run's, or base and data do not fit together.

    Example:

    >>> outcome = layer_folding(base, data, Recipe(strength=0.25, skip=("relu_0",)), "runs/0.25")
    >>> outcome.depth, outcome.accuracy["test"]
    (10, 0.837)
    """
    check(base, data, recipe, teacher)
    about = {"base": digest(base), "data": data.digest}
    if recipe.distill and teacher is not None:
        about["teacher"] = digest(teacher)
    folder = Path(folder)
    with held(folder):
        return _finished(folder, recipe, about, loading or {}) or _run(
            base, data, recipe, folder, about, say, on_epoch, teacher, Path(prefolded_in or folder))


def _run(base, data, recipe, folder, about, say, on_epoch, teacher, prefolded_in):
    ask = (lambda phase: None) if on_epoch is None else (
        lambda phase: lambda epoch, logs: on_epoch(phase, epoch, logs))

    keras.utils.set_random_seed(recipe.seed)
    f_alpha = prefolded(base, recipe)
    logger = AlphaLogger(recipe.threshold, per_layer=True)
    alpha_about = {"base": about["base"], "data": about["data"], **{name: getattr(recipe, name) for name in
                               ("strength", "p", "warmup", "ramp", "skip", "only", "tie", "padding")}}
    alpha_history = fit(
        f_alpha, data, recipe.alpha_training(), prefolded_in, "alpha", alpha_about, say,
        f"pre-folding, λ_c {recipe.strength:g}", [AlphaSchedule(recipe.strength, recipe.warmup, recipe.ramp), logger],
        ask("alpha"))
    learned = alphas(f_alpha)
    f_alpha = in_precision(f_alpha, "float32")
    scores = {"prefolded": measure(f_alpha, data)}
    say(f"pre-folding is done: {sum(a > recipe.threshold for a in learned.values())} of {len(learned)} α above "
        f"{recipe.threshold}, accuracy {scores['prefolded'][1]:.2%} on the test images")

    def post(model):
        """Train a network without α further, from its checkpoint if there is one."""
        if not recipe.post_epochs:
            return model, []
        keras.utils.set_random_seed(recipe.seed)
        settings = {**about, **recipe.to_json(), "begun_with": digest(model)}  # with the activations that are left
        model = in_fewer_sweeps(in_precision(model, recipe.precision))
        trained = distill(model, base if teacher is None else teacher, recipe.distill, recipe.temperature) \
            if recipe.distill else model
        history = fit(trained, data, recipe.post_training(), folder, "post", settings, say,
                      f"post-folding, λ_c {recipe.strength:g}", on_epoch=ask("post"))
        return in_precision(model, "float32"), history

    settled = settle(f_alpha, recipe.threshold)
    if recipe.post == "settled":
        settled, post_history = post(settled)
        before = measure(settled, data)
        result = fold(settled, policy=recipe.policy, border=recipe.border)
        scores["fold"] = {"before": before, "after": measure(result.model, data)}
        folded = result.model
    else:
        before = measure(settled, data)
        result = fold(f_alpha, recipe.threshold, recipe.policy, recipe.border, preprocessing="keep")
        scores["fold"] = {"before": before, "after": measure(result.model, data)}
        folded, post_history = post(result.model)
        if any(entry.reason == PREPROCESSING for entry in result.report.refusals):
            folded = fold(folded, policy=recipe.policy).model  # now that nothing is trained any more
    scores["validation"], scores["test"] = measure(folded, data)
    cost = figures(capture(folded))
    outcome = Outcome(recipe.strength, recipe.seed, nonlinear_depth(folded), cost.depth, cost.macs, cost.parameters,
                      learned, scores, {"alpha": alpha_history, "post": post_history}, folded, result.report)
    save_model(folded, folder / "folded.keras", force=True, report=result.report)
    with whole(folder / "outcome.json") as temporary:
        temporary.write_text(json.dumps({"version": 1, "kind": "layer_folding", "recipe": recipe.to_json(), **about,
                                         **outcome.to_json()}, indent=1) + "\n", encoding="utf-8")
    say(f"folded: non-linear depth {nonlinear_depth(base)} → {outcome.depth}, {outcome.layers} linear layers on the "
        f"longest path, accuracy {scores['test']:.2%} on the test images")
    return outcome


def check(base, data, recipe, teacher=None):
    """Raise `BadInputError` unless network, images and teacher fit together: before the training, not after it."""
    check_fits(base, data)
    Batches(data, recipe.batch, recipe.augment)  # which says what kind of images cannot be shifted
    if recipe.distill:
        distill(base, base if teacher is None else teacher, recipe.distill, recipe.temperature)


def measure(model, data):
    """A classifier's accuracy on the validation and on the test images."""
    return [accuracy(model, data.x_validation, data.y_validation, data),
            accuracy(model, data.x_test, data.y_test, data)]


def _finished(folder, recipe, about, loading):
    """The outcome of a run that is done, or None."""
    path = folder / "outcome.json"
    try:
        found = read_document(path)
        require(found, OUTCOME)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        raise BadInputError(
            f"outcome.json is as this program writes it. Received: {path}, which cannot be read ({error}). Remove it "
            "to fold anew."
        ) from error
    outcome = Outcome(**{name: found[name] for name in Outcome.__annotations__ if name not in ("folded", "report")})
    whose = {name: found.get(name) for name in ("base", "data", "teacher")}
    check_same({**found["recipe"], **whose}, {**recipe.to_json(), **about}, path,
               "Use these, or another folder.")
    outcome.folded = load_model(folder / "folded.keras", **loading)
    return outcome


def prefolded(base, recipe):
    """F_α as a recipe has it, untrained."""
    return prefold(in_precision(base, recipe.precision), AlphaPenalty(recipe.strength, recipe.p),
                   only=list(recipe.only) or None, skip=list(recipe.skip) or None, tie=recipe.tie,
                   padding=recipe.padding)
