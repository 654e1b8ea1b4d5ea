"""Which of a model's activations get an α: the default rules, and `only=` / `skip=` on top of them."""

import difflib

from tfold.alpha.sites import find_site
from tfold.errors import BadInputError
from tfold.graph.keras_config import is_plain_call

SOFTMAX = "softmax: no elementwise function"
LAST = "the network's last activation"
GATE = "a gate: it only multiplies another tensor, so that nothing could be merged without it"
SKIPPED = "skipped"
WEIGHTS = "weights of its own"
SPECIAL = "called with training=, a mask or other arguments, so that it could not be folded"


def select_sites(topology, only=None, skip=None, originals=None):
    """Chooses the activations that can matter.

    Left alone are softmax and its like, PReLU, the last activation before each output, and gates. A name in `only=`
    overrides the rules for last activations and gates.

    Args:
        topology: A `Topology`.
        only: Name, list of names, or predicate of the layer: no others are chosen.
        skip: Likewise: these are not chosen.
        originals: Id of a layer → the shared layer for which it stands (see `sharing`).

    Returns:
        (sites, left): the chosen `Site`s in topological order, and for the others path → reason.

    Raises:
        ValueError: If a name is unknown, or names in `only=` something that can have no α.
    """
    originals = originals or {}
    paths = paths_by_op(topology, originals)
    only, skip = (_Filter(name, given, paths, originals) for name, given in (("only", only), ("skip", skip)))
    last = topology.last()
    sites, left = [], {}
    for op, op_paths in paths.items():
        site = find_site(op)
        if site is None:
            if type(op).__name__ == "PReLU":
                left[op_paths[0]] = WEIGHTS
            continue
        calls = topology.calls_of(op)
        named = only.names(op, op_paths)
        if site.activation is None:
            if named:
                raise BadInputError(
                    "A softmax can have no α, because it is no function of one number. "
                    f"Received: only={only.given!r}. Leave it out."
                )
            reason = SOFTMAX
        elif not only.accepts(op, op_paths) or (skip.given is not None and skip.accepts(op, op_paths)):
            reason = SKIPPED
        elif not all(is_plain_call(call.args, call.kwargs, len(call.reads)) for call in calls):
            reason = SPECIAL
        elif not named and any(call in last for call in calls):
            reason = LAST
        elif not named and all(topology.is_gate(call) for call in calls):
            reason = GATE
        else:
            sites.append(site)
            continue
        left[op_paths[0]] = reason
    only.check_used({id(site.op) for site in sites}, left)
    return sites, left


def paths_by_op(topology, originals=None):
    """Layer or operation → its paths; several where it belongs to several models, or stands for a shared layer."""
    originals = originals or {}
    paths = {}
    for call in topology.calls:
        if call.op is not None:
            known = paths.setdefault(call.op, [])
            shared = originals.get(id(call.op))
            others = [] if shared is None else [call.path.removesuffix(call.name) + shared.name]
            known.extend(path for path in dict.fromkeys([call.path, *others]) if path not in known)
    return paths


def find_by_name(name, paths, argument):
    """Returns the layers that a name means: "relu", "backbone/relu", or a nested model's name for all inside it.

    Raises:
        ValueError: If there is none; the message lists close matches.
    """
    found = [op for op, op_paths in paths.items() if any(_is_or_contains(name, path) for path in op_paths)]
    if not found:
        full = [path for op_paths in paths.values() for path in op_paths]
        known = sorted({*full, *(part for path in full for part in path.split("/"))})
        close = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
        hint = f"Did you mean {', '.join(map(repr, close))}?" if close else "model.summary() lists the layers' names."
        raise BadInputError(f"`{argument}` takes names of the model's layers. Received: {name!r}. {hint}")
    return found


def _is_or_contains(name, path):
    return f"/{name}/" in f"/{path}/"


def _names(name, path):
    return f"/{path}".endswith(f"/{name}")


class _Filter:
    """`only=` or `skip=`, given as a name, names or a predicate."""

    def __init__(self, argument, given, paths, originals):
        self.given = given
        self._originals = originals
        self._argument = argument
        self._names = []
        if given is not None and not callable(given):
            self._names = [given] if isinstance(given, str) else list(given)
        self._matches = {name: find_by_name(name, paths, argument) for name in self._names}

    def accepts(self, op, op_paths):
        if self.given is None:
            return True
        if callable(self.given):
            return bool(self.given(self._originals.get(id(op), op)))
        return any(op is match for matches in self._matches.values() for match in matches)

    def names(self, op, op_paths):
        """Whether a name means this very layer, not a model around it."""
        return any(_names(name, path) for name in self._names for path in op_paths)

    def check_used(self, chosen, left):
        for name, matches in self._matches.items():
            if not any(id(op) in chosen for op in matches):
                reasons = [reason for path, reason in left.items() if _is_or_contains(name, path)]
                why = f"it has {reasons[0]}" if reasons else "it has no activation, or already an α"
                raise BadInputError(
                    f"`{self._argument}` takes names of layers whose activation can have an α. "
                    f"Received: {name!r} ({why}). Leave it out."
                )
