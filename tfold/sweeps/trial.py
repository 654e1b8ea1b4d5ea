"""One trial: Layer Folding with one λ_c and seed, reporting to the study after every epoch."""
import dataclasses
import gc
import time
from pathlib import Path

from tfold.alpha.reading import alpha_layers
from tfold.folding import nonlinear_depth
from tfold.graph.capture import capture
from tfold.loading import load_model
from tfold.passes.figures import figures
from tfold.recipe.data import load_data
from tfold.recipe.layer_folding import Recipe, check, layer_folding, measure, prefolded
from tfold.sweeps.claimed import Abandoned
from tfold.sweeps.plan import content_of

TOO_LONG = ("history",)  # it is in the trial's folder; a database's texts may end at 64 KB


class Bench:
    """What all trials of a worker share: the base network, the images, the recipe.

    Args:
        plan: a `Plan`.
        folder: of the sweep; each trial has one in it.
    """

    def __init__(self, plan, folder):
        self.plan, self.folder = plan, Path(folder)
        self.base = load_model(plan.base, **plan.loading)
        reading = plan.whole_reading()
        size = tuple(self.base.inputs[0].shape[1:]) if Path(plan.data).is_dir() else None
        data = load_data(plan.data, size=size, **reading)
        # A trial may go on where the data lie elsewhere: what they hold stands for them.
        self.data = dataclasses.replace(data, source=content_of(plan.data))
        self.recipe = Recipe(**{name: _tuples(value) for name, value in plan.whole_recipe().items()})
        check(self.base, data, self.recipe)
        self._ruler = prefolded(self.base, self.recipe)  # which also says what is wrong with skip, only and tie

    def base_figures(self):
        """The base network's figures, as a trial's outcome has them; and chance and images, for `hopeless`."""
        validation, test = measure(self.base, self.data)
        cost = figures(capture(self.base))
        counts = [int((self.data.y_validation == each).sum()) for each in set(self.data.y_validation.tolist())]
        return {
            "depth": nonlinear_depth(self.base), "layers": cost.depth, "macs": cost.macs,
            "parameters": cost.parameters, "accuracy": {"validation": validation, "test": test},
            "chance": max(counts) / sum(counts), "images": sum(counts), "test_images": len(self.data.y_test),
        }

    def run(self, trial, say, tell, pruner=None):
        """Run a `Claimed` trial to its end, or go on with it; `Abandoned` if `pruner` finds it not worth it.

        Args:
            trial: the trial.
            say: called with the recipe's lines.
            tell: called with (phase, epoch, logs) after each epoch.
            pruner: a `BeatenPruner`.

        Returns:
            dict: the outcome, as JSON takes it.
        """
        start = time.monotonic()
        recipe = dataclasses.replace(self.recipe, strength=trial.strength, seed=trial.seed)
        steps = {"alpha": 0, "post": recipe.alpha_epochs}  # of a training's first epoch

        def on_epoch(phase, epoch, logs):
            alphas = {name.removeprefix("alpha/"): value for name, value in logs.items() if name.startswith("alpha/")}
            depth = self.depth(alphas) if phase == "alpha" else None
            trial.report(steps[phase] + epoch, float(logs["val_accuracy"]), depth)
            tell(phase, epoch, {**logs, **({} if depth is None else {"depth": depth})})
            if pruner and (why := trial.why_hopeless(pruner)):
                raise Abandoned(why)

        gc.collect()  # the network of the trial before
        outcome = layer_folding(self.base, self.data, recipe, self.folder / trial.name, say, on_epoch,
                                loading=self.plan.loading)
        # A process that was killed between an epoch's checkpoint and its report has left a gap.
        reported = trial.frozen().intermediate_values
        for phase, history in outcome.history.items():
            for step, logs in enumerate(history, steps[phase]):
                if step not in reported:
                    trial.report(step, float(logs["val_accuracy"]))
        kept = {name: value for name, value in outcome.to_json().items() if name not in TOO_LONG}
        return {**kept, "seconds": time.monotonic() - start}

    def depth(self, alphas):
        """The non-linear depth of the base network once activations with these α have gone.

        What a training's logs call depth counts the layers that are really left, and it may not pay to merge two.
        """
        for name, layer in alpha_layers(self._ruler).items():
            layer.alpha.assign(alphas[name])
        return nonlinear_depth(self._ruler, self.recipe.threshold)


def _tuples(value):
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
