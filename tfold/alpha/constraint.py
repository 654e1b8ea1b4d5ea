"""Keeps α between a pure activation (0) and a pure identity (1)."""

import keras


@keras.saving.register_keras_serializable(package="tfold")
class UnitInterval(keras.constraints.Constraint):
    """Clips a weight to [0, 1] after every optimizer step.

    The Layer Folding paper (arXiv 2106.09309, sec. 3) clips α below only. Above 1, σ_α would amplify what the
    activation cuts off, and the penalty 1 − α^p would turn into a reward that grows without end.

    Example:

    >>> UnitInterval()([-0.2, 0.5, 1.3])
    [0.0, 0.5, 1.0]
    """

    def __call__(self, w):
        return keras.ops.clip(w, 0.0, 1.0)
