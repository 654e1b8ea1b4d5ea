"""Is the folded network the same function? Both are run, and every rewritten tensor is compared, borders included.

A node of the graph makes the same tensor before and after an exact pass, so the two networks are compared there, at
each layer that was rewritten, and at the outputs. A network that ends in a global average hides an error in its border
pixels; the comparison at the rewritten layer itself does not.

Rounding adds up over a deep network. Where it exceeds the tolerance, every rewritten layer is run by itself, on what
the original network gives it: there nothing adds up. Where even that cannot tell rounding from a wrong fold, both
networks are made and compared in float64. A layer that was merged approximately (`border="approximate"`) must agree
away from the border; how far it differs there is what the comparison is for.
"""
from contextlib import contextmanager
from dataclasses import replace

import keras
import numpy as np

from tfold.comparison import Difference, Verification, difference, to_numpy
from tfold.errors import BadInputError, ParityError, one_line
from tfold.graph import walls
from tfold.graph.build import build_with_tensors
from tfold.graph.execute import built_calls, captured_calls, execute, run_model
from tfold.graph.family import KERAS, family_of
from tfold.graph.ir import Ref
from tfold.sampling import input_tensors, random_input

TOLERANCE = {"float64": 1e-5, "float32": 1e-5, "bfloat16": 1e-1, "float16": 1e-2}
# A fold that is exact layer by layer may lie so many tolerances apart in the end, at most a tenth: beyond that it is
# not what the user would run.
ROUNDING_AT_MOST = 100, 0.1


def verify(model, settled, original, folded, built, sample=None):
    """Run the original and the folded network on the same input and compare.

    Args:
        model: the caller's Keras model.
        settled: α strictly between 0 and 1 were settled, so that `original`, not `model`, is what must be kept.
        original: its `Graph`, α settled, before any other pass.
        folded: the `Graph` that the passes made of it.
        built: what `build_with_tensors` made of that.
        sample: input, as `model(sample)` takes it; random numbers if None.

    Returns:
        A `Verification`.

    Raises:
        ParityError: they differ by more than rounding; names the first tensor where they part.
        BadInputError: the model does not run on the sample, or gives no numbers to compare.
    """
    both = Networks(model, settled, original, folded, built, random_input(model) if sample is None else sample)
    is_approximate = any("ring" in node.attrs for node in folded)
    found = both.layer_by_layer() if is_approximate else both.end_to_end()
    if found.parting is not None:
        both.check_comparable()
    if is_approximate:
        return _passed(found)
    if found.parting is None and found.tolerance <= TOLERANCE["float32"]:
        return found
    rounding = found.worst.relative
    if rounding < min(ROUNDING_AT_MOST[0] * found.tolerance, ROUNDING_AT_MOST[1]):
        for closer in (both.layer_by_layer, both.in_float64):
            told = closer()
            if told is not None and told.parting is None and told.tolerance <= TOLERANCE["float32"]:
                return replace(told, rounding=rounding, how=(
                    f"{told.how}, because rounding in the layers' own precision comes to {rounding:.1e}"))
            found = told if told is not None and told.parting is not None else found
    return _passed(found)


def _passed(found):
    if found.parting is not None:
        raise ParityError(
            f"A fold must not change what the network computes (tolerance {found.tolerance:.0e}). "
            f"Received: {found.parting}, the first layer where the two part. Nothing was kept; please report this "
            "model. To go without the check: verify=False (--no-verify)."
        )
    return found


class Networks:
    """The two networks, and what they compute on one sample."""

    def __init__(self, model, settled, original, folded, built, sample):
        self.model, self.settled, self.original, self.folded, self.built = model, settled, original, folded, built
        self.sample, self.family = sample, family_of(model)
        self.inputs = self._guarded(lambda: dict(
            zip(map(Ref, original.inputs), input_tensors(model, sample), strict=True)))
        self.calls = captured_calls(original)
        self.values = self._guarded(lambda: execute(self.calls, self.inputs, family=self.family))
        self.values = self.values | _as_stored(folded, self.values)
        self.rewritten = [ref for node, ref in _rewritten(folded, built) if ref in self.values]
        self.tolerance = max(TOLERANCE.get(dtype, 1e-5) for dtype in {node.dtype for node in original})

    def end_to_end(self):
        """Both networks as a whole, at every rewritten tensor and at the outputs."""
        before = [self.values[ref] for ref in self.rewritten] + self._outputs()
        return self._compared(self.rewritten, before, self._run_folded(self.rewritten), self.tolerance)

    def layer_by_layer(self):
        """Every rewritten layer by itself, on what the original network gives it."""
        made = execute(built_calls(self.folded, self.built), self.values, self.rewritten, self.family)
        rings = {ref: node.attrs["ring"] for node, ref in _rewritten(self.folded, self.built) if "ring" in node.attrs}
        exact = [ref for ref in self.rewritten if ref not in rings]
        compared = [difference(str(ref), self.values[ref], made[ref]) for ref in exact]
        approximate = [difference(str(ref), self.values[ref], made[ref], rings[ref]) for ref in rings]
        inside = [Difference(f"{each.node} (inside)", each.interior or 0.0, None, None) for each in approximate]
        how = "each layer by itself"
        if rings:
            names, outputs = output_names(self.model), self._outputs()
            far = [difference(*each) for each in zip(names, outputs, self._run_folded([]), strict=True)]
            captured = [self.values[ref] for ref in self.original.outputs]
            inside += [difference(*each) for each in zip(names, outputs, captured, strict=True)]
            how += "; the borders add up to a relative difference of " + ", ".join(
                f"{each.relative:.1e} at {each.node}" for each in far)
        return Verification(tuple(compared + inside), self.tolerance, None, how, tuple(approximate))

    def in_float64(self):
        """Both networks made anew in float64; None where they cannot be."""
        if self.family is KERAS and keras.backend.backend() == "jax":  # it has no float64 unless it was started with it
            return None
        try:
            models = [build_with_tensors(graph, "float64") for graph in (self.original, self.folded)]
            refs = [ref for ref in self.rewritten if self._original(ref) in models[0].tensors]
            before = self._run_folded([self._original(ref) for ref in refs], models[0])
            before[: len(refs)] = [self._stored(ref, value) for ref, value in zip(refs, before, strict=False)]
            after = self._run_folded(refs, models[1])
        except Exception:  # a layer of the user's that works in its own precision only
            return None
        return replace(self._compared(refs, before, after, TOLERANCE["float64"]), how="compared in float64")

    def check_comparable(self):
        """Raise `BadInputError` if the original itself gives no numbers, or other numbers each time it is run."""
        again = self._guarded(lambda: execute(self.calls, self.inputs, family=self.family))
        again |= _as_stored(self.folded, again)
        named = [(str(ref), ref) for ref in self.rewritten]
        for name, ref in [*named, *zip(output_names(self.model), self.original.outputs, strict=True)]:
            a, b = to_numpy(self.values[ref]), to_numpy(again[ref])
            what = "NaN or infinity" if not np.isfinite(a).all() else "other values each time it is run"
            if not difference(name, a, b).relative <= self.tolerance:
                raise BadInputError(
                    f"The fold is verified by comparing what two networks compute. Received: {self.model.name!r}, "
                    f"which gives {what} at {name}. Pass sample=, an input it is made for, or verify=False to go "
                    "without the check."
                )

    def _original(self, ref):
        """The tensor of the original network that one of the folded one stands for."""
        return Ref(self.folded.stored[ref.node][0]) if ref.node in self.folded.stored else ref

    def _stored(self, ref, value):
        return _in_form(self.folded.stored[ref.node][1], value) if ref.node in self.folded.stored else value

    def _outputs(self):
        """What the original network returns: its own word for it, not what was captured, unless α were settled."""
        if self.settled:
            return [self.values[ref] for ref in self.original.outputs]
        return self._guarded(lambda: self.family.flatten(run_model(self.model, self.sample, self.family)))

    def _run_folded(self, refs, built=None):
        """Values of tensors of a built network, its outputs last."""
        built = built or self.built
        tensors = [built.tensors[ref] for ref in refs] + list(built.model.outputs)
        probe = self.family.keras.Model(built.model.inputs, tensors)
        with _state_kept(built.model):
            return self.family.flatten(probe(list(self.inputs.values()), training=False))

    def _compared(self, refs, before, after, tolerance):
        names = [*map(str, refs), *output_names(self.model)]
        found = tuple(difference(name, a, b) for name, a, b in zip(names, before, after, strict=True))
        return Verification(found, tolerance)

    def _guarded(self, run):
        try:
            with _state_kept(self.model):
                return run()
        except Exception as error:
            raise BadInputError(
                f"The fold is verified by running the network on random input. Received: {self.model.name!r}, which "
                f"fails on it: {one_line(error)} Pass sample=, an input it accepts, or verify=False to go without the "
                "check."
            ) from error


def _as_stored(folded, values):
    """What a network computes, in the forms in which the folded one stores it."""
    stored = {}
    for name, (original, form) in folded.stored.items():
        value = values.get(Ref(original))
        if value is not None:
            stored[Ref(name)] = _in_form(form, value)
    return stored


def _in_form(form, value):
    value = to_numpy(value)
    return form(value.astype(np.float64)).astype(value.dtype)


@contextmanager
def _state_kept(model):
    """Undo what running a network does to it: a batch norm called with training=True, a stateful RNN."""
    # What a stateful RNN remembers is not among the model's variables.
    states = [state for part in walls.parts(model) for state in getattr(part, "states", None) or ()]
    changing = [*model.non_trainable_variables, *filter(lambda state: hasattr(state, "assign"), states)]
    before = [(variable, np.array(to_numpy(variable))) for variable in changing]
    try:
        yield
    finally:
        for variable, value in before:
            if not np.array_equal(to_numpy(variable), value):
                variable.assign(value)


def _rewritten(graph, built):
    """`(node, ref)` of nodes that passes changed; where an activation is in one Keras layer with them, of that."""
    behind = {node.inputs[0]: node.ref for node in graph if node.op == "activation"}
    found = []
    for node in graph:
        if not node.intact:
            ref = node.ref if node.ref in built.tensors else behind.get(node.ref, node.ref)
            if ref in built.tensors:
                found.append((node, ref))
    return found


def output_names(model):
    return [f"output {name}" for name in family_of(model).output_names(model)]
