"""One-rule graphs: tiny networks, and what must become of each.

A case is `(shapes, network, ops[, refusal, …])`:

- `shapes`: of the input without the batch; a list of shapes for several inputs;
- `network`: a list of layers, one behind the other, or a function from the input to the output (or outputs);
- `ops`: class names of the folded model's operations in its order, as one string;
- a refusal: `(reason, "layer layer …")`. The report may contain no others; a batch norm of which an addition or a
  multiplication stays has that as a third entry.
"""
import re

import keras
import numpy as np
import pytest

import tfold
from tfold.sampling import random_input


@pytest.fixture(scope="session")
def one_rule(fold_checked):
    """A function that folds the network of a case, by default with policy "always", and checks all of it."""

    def check(shapes, network, ops, *refusals, dtype="float32", **options):
        keras.utils.set_random_seed(0)
        model = _made(shapes, network, dtype)
        result = fold_checked(model, **{"policy": "always"} | options)
        assert " ".join(_ops_of(result.model)) == ops, f"\n{result.report}"
        assert _said(result) == sorted(refusals), f"\n{result.report}"
        assert not any(_is_map(tensor) for tensor in model.outputs) or _errors(model, result.model)[0] <= 1e-5
        weighted = {layer.name for layer in model.layers if layer.weights and not hasattr(layer, "layers")
                    and not isinstance(layer, tfold.AlphaActivation)}
        assert weighted <= set(result.report.homes)
        assert set(result.report.homes.values()) <= {operation.name for operation in result.model.operations}
        return result

    return check


@pytest.fixture(scope="session")
def made():
    """A function: the Keras model of a case."""
    return _made


@pytest.fixture(scope="session")
def ops_of():
    """A function: class names of a model's operations."""
    return _ops_of


@pytest.fixture(scope="session")
def said():
    """A function: the refusals of a `FoldResult`, as in a case."""
    return _said


@pytest.fixture(scope="session")
def errors():
    """A function: how far two models are apart, at the border and elsewhere."""
    return _errors


def _said(result):
    halves = [re.search("(an addition|a multiplication) stays of it$", each.detail) for each in result.report.refusals]
    return sorted((each.reason, " ".join(each.nodes), *(half.groups() if half else ()))
                  for each, half in zip(result.report.refusals, halves, strict=True))


def _made(shapes, network, dtype="float32"):
    several = isinstance(shapes, list)
    inputs = [keras.Input(shape, dtype=dtype) for shape in (shapes if several else [shapes])]
    if callable(network):
        y = network(*inputs)
    else:
        y = inputs[0]
        for layer in network:
            y = layer(y)
    return keras.Model(inputs if several else inputs[0], y)


def _ops_of(model):
    return [type(op).__name__ for op in model.operations if not isinstance(op, keras.layers.InputLayer)]


def _is_map(tensor):
    return len(tensor.shape) >= 3


def _errors(model, folded, width=1):
    """max |a − b| ÷ max |a|: over pixels not further than `width` from the border, and over all others."""
    x = random_input(model, seed=2, batch=2)
    before, after = (keras.tree.flatten(each(x, training=False)) for each in (model, folded))
    errors = [(0.0, 0.0)]
    for a, b in zip(before, after, strict=True):
        a, b = (np.asarray(keras.ops.convert_to_numpy(each), np.float64) for each in (a, b))
        ring = np.full(a.shape, _is_map(a))
        if _is_map(a):
            ring[(slice(None), *(slice(width, -width),) * (a.ndim - 2))] = False
        errors.append([np.abs(a - b)[part].max(initial=0) / (np.abs(a[part]).max(initial=0) or 1.0)
                       for part in (ring, ~ring)])
    return tuple(max(each) for each in zip(*errors, strict=True))
