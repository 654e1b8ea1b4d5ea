"""Whether the packages for quantisation-aware training are there: TFMOT and tf_keras, which most people do not have."""
from importlib.util import find_spec

from tfold.errors import TfoldError

INSTALL = "pip install tensorflow-model-optimization tf_keras"
_PACKAGES = {"tensorflow_model_optimization": "tensorflow-model-optimization", "tf_keras": "tf_keras"}


def check_installed():
    """Raise `TfoldError` where one of them is missing."""
    missing = [title for name, title in _PACKAGES.items() if find_spec(name) is None]
    if missing:
        raise TfoldError(
            "Quantisation-aware training needs tensorflow-model-optimization and tf_keras. "
            f"Received: no {' and no '.join(missing)}. Install them: {INSTALL}"
        )
