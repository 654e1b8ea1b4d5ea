"""Batch norm restructured for training: the same mathematics in fewer sweeps over memory.

    fast = restructure_batch_norm(model)          # a new model, same weights, names and configuration
    fast.compile("sgd", "sparse_categorical_crossentropy")
    fast.fit(x, y)
    fast.save("model.keras")                      # loads anywhere, as stock Keras

What stock Keras does in a training step, and what is left of it, in sweeps over the activations (r = read, w = write):

    stock        mean r ─ variance rwr ─ normalise rw rw ─ ReLU rw            and about twice that backwards
    restructured moments r ─ normalise and ReLU rw                            rr, rrw backwards

In training only: at inference all layers compute what they always did. Layers that share a sweep have no tensor between
them: in a training step, the gradient by a batch norm's own output is not to be had (None), and second derivatives need
stock layers. Executed eagerly, nothing is gained: what nobody reads is only left out of a graph.

(Jung et al., Restructuring Batch Normalization to Accelerate CNN Training, MLSys 2019, arXiv 1807.01702.)
"""

from importlib import import_module

_HOME = {
    "restructure_batch_norm": "restructure",
    "restore_batch_norm": "restructure",
}

__all__ = [*_HOME]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'tfold.training' has no attribute {name!r}")
    return getattr(import_module(f"tfold.training.{_HOME[name]}"), name)
