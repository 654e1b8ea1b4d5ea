"""The state of a training after its last whole epoch, in one file: weights, optimizer, logs.

    checkpoint = Checkpoint(path, settings)
    model.fit(…, initial_epoch=checkpoint.restore(model), callbacks=[…, checkpoint])      the last of the callbacks

One file, because two can be of different epochs after a kill. (keras.callbacks.BackupAndRestore writes two, and no
logs.)
"""
import json
from pathlib import Path

import keras
import numpy as np

from tfold import documents
from tfold.documents import require
from tfold.errors import BadInputError, one_line
from tfold.files import whole
from tfold.recipe.identity import check_same


class Checkpoint(keras.callbacks.Callback):
    """Writes the state after every epoch, and brings it back.

    Args:
        path: an .npz file; it need not exist.
        settings: what the training depends on, as JSON takes it: a state of other settings is refused.

    Attributes:
        history: what was logged, a dict an epoch, those before the kill included.
    """

    def __init__(self, path, settings):
        super().__init__()
        self.path, self.settings, self.history = Path(path), json.loads(json.dumps(settings)), []

    def restore(self, model):
        """Give a compiled model the state in the file.

        Returns:
            int: whole epochs that are done; 0 without a file.

        Raises:
            BadInputError: the file is damaged, or of another training.
        """
        if not self.path.is_file():
            return 0
        try:
            with np.load(self.path, allow_pickle=False) as file:
                about = documents.parse(str(file["about"]))
                require(about, {"settings": dict, "history": [dict]}, "about")
                values = [file[f"v{i}"] for i in range(len(file.files) - 1)]
        except MemoryError:
            raise
        except Exception as error:  # zipfile, zlib, NumPy and Python's own parser have many for what is damaged
            raise BadInputError(
                f"A checkpoint is as this program writes it. Received: {self.path}, which cannot be read "
                f"({one_line(error)[:-1]}). Remove it to begin this training anew."
            ) from error
        check_same(about["settings"], self.settings, self.path, "Use these, or another folder.")
        variables = self._variables(model)
        if [v.shape for v in values] != [tuple(v.shape) for v in variables]:
            raise BadInputError(
                f"A checkpoint is of the network that goes on. Received: {self.path}, whose tensors have other shapes. "
                "Remove it to begin this training anew."
            )
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.history = about["history"]
        return len(self.history)

    def on_epoch_end(self, epoch, logs=None):
        self.history.append({key: float(value) for key, value in (logs or {}).items()})
        about = json.dumps({"settings": self.settings, "history": self.history})
        values = {f"v{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(self._variables(self.model))}
        with whole(self.path) as temporary:
            np.savez(temporary, about=np.array(about), **values)

    @staticmethod
    def _variables(model):
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        return [*model.variables, *model.optimizer.variables]
