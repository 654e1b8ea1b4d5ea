"""The rule of `tfold.sweeps.hopeless` as an Optuna pruner."""
import optuna

from tfold.sweeps.hopeless import hopeless


class BeatenPruner(optuna.pruners.BasePruner):
    """Ends trials that a shallower one beats, and networks that have collapsed.

    Args:
        margin: by how much (0.02: two points of validation accuracy).
        alpha_epochs, post_epochs: how long the two trainings are; steps count through both.
        chance: the accuracy of always naming the commonest class; None: not looked at.
        images: how many the accuracies are of; with few, the margin is larger.
        base: the base network's accuracy.

    Example:

    >>> study = optuna.load_study(study_name="sweep", storage=url, pruner=BeatenPruner(0.02, 20, 20))
    """

    def __init__(self, margin, alpha_epochs, post_epochs, chance=None, images=None, base=None):
        self.margin, self.alpha_epochs, self.post_epochs = margin, alpha_epochs, post_epochs
        self.chance, self.images, self.base = chance, images, base

    def why(self, study, trial, step=None):
        """Why this FrozenTrial is not worth going on with; None if it is.

        `step` is where it is now, by default its last one: an attempt that had to begin anew has inherited later ones.
        """
        own = {each: value for each, value in trial.intermediate_values.items() if step is None or each <= step}
        done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        rivals = [(each.user_attrs.get("depth"), each.intermediate_values) for each in done
                  if each.params["strength"] != trial.params["strength"]]
        return hopeless(own, trial.user_attrs.get("depth"), rivals, self.margin,
                        self.alpha_epochs, self.post_epochs, self.chance, self.images, self.base)

    def prune(self, study, trial):
        """Whether it is to be ended: Optuna's question."""
        return self.why(study, trial) is not None
