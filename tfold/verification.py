"""Is the folded network the same function? Both are run, and every rewritten tensor is compared, borders included.

A node of the graph makes the same tensor before and after an exact pass, so the two networks are compared there, at
each layer that was rewritten, and at the outputs. A network that ends in a global average hides an error in its border
pixels; the comparison at the rewritten layer itself does not.

First both run as they are: where they agree to the tolerance, that is all. Where they do not, it may be rounding, which
adds up over a deep network, more on one processor than on another. So what they compute in their own type of number
decides nothing: each layer of the folded network is run in float64, on what the original network gives it there. No
rounding is left then that comes near the tolerance, and nothing adds up. Then each folded layer is run by itself in its
own type: it may lose no more digits than such a type can spare. How far rounding drives the two networks apart as a
whole is reported.

A layer that was merged approximately (`border="approximate"`) must agree away from the border; how far it differs there
is what the comparison is for.
"""
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from tfold.comparison import Difference, Verification, difference, to_numpy
from tfold.errors import BadInputError, ParityError, one_line
from tfold.graph import walls
from tfold.graph.build import build_with_tensors
from tfold.graph.execute import built_calls, captured_calls, execute, run_model
from tfold.graph.family import family_of, is_float
from tfold.graph.ir import Ref
from tfold.passes.preprocessing import adapted_to
from tfold.sampling import adapted_inputs, input_tensors, random_input

# Up to here two networks agree. In float64 it is nine orders of magnitude above the rounding of a layer; in the other
# types more than that is no verdict, but a reason to look closer.
TOLERANCE = {"float64": 1e-5, "float32": 1e-5, "bfloat16": 1e-1, "float16": 1e-2}
# What a single layer, exact in float64, may lose in its own type: three orders of magnitude above its usual rounding.
LARGEST_LOSS = {"float64": 1e-3, "float32": 1e-3, "bfloat16": 0.5, "float16": 0.3}
# Where a network does not run in float64 at all: two orders above the rounding of a layer in float32.
WITHOUT_FLOAT64 = 1e-4
AS_ROUNDED = 100


def verify(model, settled, original, folded, built, sample=None):
    """Run the original and the folded network on the same input and compare.

    Args:
        model: the caller's Keras model.
        settled: α strictly between 0 and 1 were settled, so that `original`, not `model`, is what must be kept.
        original: its `Graph`, α settled, before any other pass.
        folded: the `Graph` that the passes made of it.
        built: what `build_with_tensors` made of that.
        sample: input, as `model(sample)` takes it. None: random numbers, and where the network starts with layers that
            were adapted to something else, numbers of that kind.

    Returns:
        A `Verification`.

    Raises:
        ParityError: they differ by more than rounding; names the first tensor where they part.
        BadInputError: the model does not run on the sample, or gives no numbers to compare.
    """
    if sample is not None:
        return _verified(Networks(model, settled, original, folded, built, sample))
    statistics = adapted_to(original)
    samples = random_input(model), *adapted_inputs(model, [statistics.get(name) for name in original.inputs])
    found = [_verified(Networks(model, settled, original, folded, built, each)) for each in samples]
    return found[0] if len(found) == 1 else _together(*found)


def _together(found, adapted):
    """What the comparison on random input and that on input as the network was adapted to it come to."""
    named = tuple(replace(each, node=f"{each.node} (as adapted)") for each in adapted.compared)
    rounding = [each for each in (found.rounding, adapted.rounding) if each is not None]
    how = "; ".join(dict.fromkeys(filter(None, (found.how, adapted.how))))
    return replace(found, compared=found.compared + named, tolerance=max(found.tolerance, adapted.tolerance),
                   rounding=max(rounding, default=None), how=how)


def _verified(both):
    folded = both.folded
    is_approximate = any("ring" in node.attrs for node in folded)
    found = both.layer_by_layer() if is_approximate else both.end_to_end()
    if found.parting is None and found.tolerance <= TOLERANCE["float32"]:
        return found
    if found.parting is not None:
        both.check_comparable()
    decided = both.in_float64() or replace(both.layer_by_layer(), tolerance=max(WITHOUT_FLOAT64, both.tolerance))
    _check(decided.parting, f"(tolerance {decided.tolerance:.0e})")
    wiring = both.wiring(decided.rounding_of_original or 0.0)
    _check(wiring.parting, f"(tolerance {wiring.tolerance:.0e})")
    alone = replace(both.layer_by_layer(), tolerance=both.largest_loss)
    _check(alone.parting, f"in its own type of number either (at most {alone.tolerance:.0e}, the two agree in float64)")
    rounding = both.end_to_end().worst.relative if is_approximate else found.worst.relative
    how = f"{decided.how}, because rounding in the layers' own precision comes to {rounding:.1e}"
    if decided.rounding_of_original is not None:
        how += f" (of the original by itself to {decided.rounding_of_original:.1e})"
    return replace(decided, rounding=rounding, approximate=alone.approximate, how=how)


def _check(parting, how):
    if parting is not None:
        raise ParityError(
            f"A fold must not change what the network computes {how}. "
            f"Received: {parting}, the first layer where the two part. Nothing was kept; please report this "
            "model. To go without the check: verify=False (--no-verify)."
        )


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
        dtypes = {node.dtype for node in original}
        self.tolerance = max(TOLERANCE.get(dtype, 1e-5) for dtype in dtypes)
        self.largest_loss = max(LARGEST_LOSS.get(dtype, 1e-3) for dtype in dtypes)

    def end_to_end(self):
        """Both networks as a whole, at every rewritten tensor and at the outputs."""
        refs = [ref for ref in self.rewritten if ref in self.built.tensors]
        before = [self.values[ref] for ref in refs] + self._outputs()
        return self._compared(refs, before, self._run_folded(refs))

    def layer_by_layer(self):
        """Every layer of the folded network by itself, on what the original network gives it."""
        found = self._by_layers(self.values, self.built, self.tolerance, "each layer by itself")
        if found.approximate:
            far = self._compared([], self._outputs(), self._run_folded([])).compared
            found = replace(found, how=found.how + "; the borders add up to a relative difference of " + ", ".join(
                f"{each.relative:.1e} at {each.node}" for each in far))
        return found

    def in_float64(self):
        """The same in float64, with both networks made anew; None where that cannot be.

        Layers of the user's own keep their type. They compute in both networks alike.
        """
        try:
            with self.family.float64():
                original, folded = (
                    build_with_tensors(graph, "float64", but_walls=True) for graph in (self.original, self.folded))
                inputs = {ref: self.family.cast(x, "float64") if is_float(x) else x for ref, x in self.inputs.items()}
                values = execute(built_calls(self.original, original), inputs, family=self.family)
                values |= _as_stored(self.folded, values)
                own = [difference(str(ref), values[ref], self.values[ref]).relative
                       for ref in self.original.outputs if is_float(values[ref])]
                found = self._by_layers(
                    values, folded, TOLERANCE["float64"], "compared in float64, each layer by itself")
                return replace(found, rounding_of_original=max(own, default=None))
        except ParityError:
            raise
        except Exception:  # a layer that works in its own precision only
            return None

    def wiring(self, rounding):
        """Whether both models return what their layers make, called one by one.

        They do to the last bit, as a rule; where a processor sums up in another order each time, to some times what
        rounding makes of the outputs.
        """
        calls = built_calls(self.folded, self.built)
        with _state_kept(self.built.model):
            made = execute(calls, self.inputs, family=self.family)
        pairs = [([made[ref] for ref in self.folded.outputs], self._run_folded([]))]
        if not self.settled:
            pairs.append((self._outputs(), [self.values[ref] for ref in self.original.outputs]))
        names = output_names(self.model)
        return Verification(tuple(
            difference(*each) for before, after in pairs for each in zip(names, before, after, strict=True)),
            max(self.tolerance, AS_ROUNDED * rounding))

    def check_comparable(self):
        """Raise `BadInputError` if the original itself gives no numbers, or a layer other numbers each time it is run.

        Each layer is run again on what it got before: behind one that rounds in another way nothing adds up.
        """
        made = [ref for _, makes, _ in self.calls for ref in makes if is_float(self.values[ref])]
        again = self._guarded(lambda: execute(self.calls, self.values, made, self.family))
        names = dict(zip(self.original.outputs, output_names(self.model), strict=True))
        named = [(str(ref), ref) for ref in self.rewritten] + [(names.get(ref, str(ref)), ref) for ref in made]
        for name, ref in named:
            a, b = to_numpy(self.values[ref]), to_numpy(again[ref])
            is_finite = np.isfinite(a).all()
            if not is_finite and not (ref in self.rewritten or ref in names):
                continue
            if not is_finite or not difference(name, a, b).relative <= self.largest_loss:
                what = "other values each time it is run" if is_finite else "NaN or infinity"
                raise BadInputError(
                    f"The fold is verified by comparing what two networks compute. Received: {self.model.name!r}, "
                    f"which gives {what} at {name}. Pass sample=, an input it is made for, or verify=False to go "
                    "without the check."
                )

    def _by_layers(self, values, built, tolerance, how):
        """Every tensor of the folded network, made by its layer of what the original network computes before it."""
        calls = built_calls(self.folded, built)
        made = {ref for _, makes, _ in calls for ref in makes}
        refs = [ref for ref in values if ref in made and is_float(values[ref])]
        rings = {ref: node.attrs["ring"] for node, ref in _rewritten(self.folded, built) if "ring" in node.attrs}
        with _state_kept(built.model):
            found = execute(calls, values, refs, self.family)
        compared, approximate = [], []
        for ref in refs:
            if ref not in self.rewritten and _equal(values[ref], found[ref]):
                continue  # the same layer on the same numbers, infinite ones of a mask among them
            one = difference(str(ref), values[ref], found[ref], rings.get(ref))
            if ref in rings:
                approximate.append(one)
                one = Difference(f"{one.node} (inside)", one.interior or 0.0, None, None)
            compared.append(one)
        return Verification(tuple(compared), tolerance, None, how, tuple(approximate))

    def _outputs(self):
        """What the original network returns: its own word for it, not what was captured, unless α were settled."""
        if self.settled:
            return [self.values[ref] for ref in self.original.outputs]
        return self._guarded(lambda: self.family.flatten(run_model(self.model, self.sample, self.family)))

    def _run_folded(self, refs):
        """Values of tensors of the folded network, its outputs last."""
        tensors = [self.built.tensors[ref] for ref in refs] + list(self.built.model.outputs)
        probe = self.family.keras.Model(self.built.model.inputs, tensors)
        with _state_kept(self.built.model):
            return self.family.flatten(probe(list(self.inputs.values()), training=False))

    def _compared(self, refs, before, after):
        names = [*map(str, refs), *output_names(self.model)]
        found = tuple(difference(name, a, b) for name, a, b in zip(names, before, after, strict=True))
        return Verification(found, self.tolerance)

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


def _equal(a, b):
    return np.array_equal(to_numpy(a), to_numpy(b), equal_nan=True)


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
    states = [state for part in walls.held(model) for state in getattr(part, "states", None) or ()]
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
