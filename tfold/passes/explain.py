"""Why a batch norm stays, in words, and why no larger set of them can go, as groups that people can check."""
from dataclasses import dataclass

from tfold import reasons
from tfold.passes.demand import Demand
from tfold.reasons import Refusal

# Of several demands that an equation meets, the one that stands nearest to what a user could change.
ORDER = (
    reasons.NOT_FINITE, reasons.NOT_INVERTIBLE, reasons.IMPRECISE, reasons.PART_OF_ACTIVATION,
    reasons.NEGATIVE_SCALE, reasons.BORDER_NOT_EXACT,
    reasons.TRANSPOSED, reasons.SHARED_WEIGHTS, reasons.DIFFERENT_TYPES, reasons.PIXELS_MOVE, reasons.UNKNOWN_LAYER,
    reasons.ACTIVATION_BETWEEN, reasons.GRAPH_BOUNDARY, reasons.COMPETES)
NAMED = 3


@dataclass(frozen=True)
class Bound:
    """Of these batch norms, at most so many can go together.

    Args:
        batch_norms: their labels.
        at_most: how many.
        why: in words.
        numbers: what can be checked by hand: for each channel that decides, label → channel, scale and shift.
    """

    batch_norms: tuple
    at_most: int
    why: str
    numbers: tuple = ()


@dataclass(frozen=True)
class LargestFold:
    """The largest set of batch norms that can go without an added operation, and the proof that none is larger.

    Args:
        total: batch norms in the network.
        largest: how many can go.
        at_most: no set is larger than this: `total`, less what the bounds say must stay.
        is_proved: `largest` equals `at_most`, or all cases were tried.
        bounds: `Bound`s, no batch norm in two.
        more: batch norms that go besides, at the price of a border map or of padding with a number for each channel.
    """

    total: int
    largest: int
    at_most: int
    is_proved: bool
    bounds: tuple
    more: tuple = ()

    def __str__(self):
        what = f"{self.largest} of {self.total} batch norms can go without adding anything"
        if self.at_most > self.largest:
            what += "; all cases were tried" if self.is_proved else f"; more than {self.at_most} certainly cannot"
        elif self.bounds:
            what += ", and no more, because"
        lines = [what, *(f"  {_group(each)}" for each in self.bounds)]
        if self.more:
            lines.append(f"{len(self.more)} more with a border map or padding of its own: {_some(self.more, 8)}")
        return "\n".join(lines)


def _group(bound):
    names = _some(bound.batch_norms, 8)
    if len(bound.batch_norms) == 1:
        return f"not {names}: {bound.why}"
    return f"at most {bound.at_most} of the {len(bound.batch_norms)} {names}: {bound.why}"


def refusal(graph, node, choice, known=None):
    """Why an affine node stays, as a `Refusal`.

    Args:
        graph, node, choice: the `Choice` that lets the node stay.
        known: the reason of an earlier round, as a Refusal, which knew what has gone since.

    Returns:
        `(refusal, reason)`: as it is told, and without what is left of the node now.
    """
    told = known or _reason(graph, node, choice)
    return Refusal(told.reason, told.detail + _rest(node, choice)), told


def _reason(graph, node, choice):
    demand = choice.gauge.walls.get(node.name)
    if demand is None:
        key = next(key for key, names in choice.nodes_of.items() if node.name in names)
        contradiction, kind = choice.found.refused[key]
        others = [each for each in contradiction.sources if not isinstance(each, Demand) and (
            each not in choice.nodes_of[key])]
        demand = _competition(graph, node, others, kind) if others else _nearest(
            contradiction.sources)
        demand = demand._replace(detail=demand.detail + _price(graph, choice.dear.get(key, ())))
    return Refusal(demand.reason, demand.detail)


def _price(graph, dear):
    if not dear:
        return ""
    kinds = {"pad": "padding with a number for each channel", "linear": "a border map"}
    names = sorted(dear)
    what = " and ".join(dict.fromkeys(kinds[graph[name].op] for name in names))
    return f"; {what} at {_some([graph[name].label for name in names], NAMED)} would cost more than it does"


def _rest(node, choice):
    if node.name in choice.unscaled:
        return "; an addition stays of it"
    return "; a multiplication stays of it" if node.name in choice.unshifted else ""


def _competition(graph, node, others, kind):
    names = sorted({graph[name].label for name in others})
    read = graph[node.inputs[0]].label
    return Demand(reasons.COMPETES, (
        f"{read} can have one {kind}, and {_some(names, NAMED)}, which "
        f"{'goes' if len(names) == 1 else 'go'}, and this one need different ones"))


def _nearest(sources):
    """Of all demands in one contradiction: the reason of the first of `ORDER`, the words of some."""
    demands = [each for each in sources if isinstance(each, Demand)]
    demands.sort(key=lambda each: (ORDER.index(each.reason), each.detail))
    return Demand(demands[0].reason, "; ".join(list(dict.fromkeys(each.detail for each in demands))[:NAMED]))


def _some(names, limit):
    if len(names) <= limit + 1:
        return ", ".join(names)
    return ", ".join(names[:limit]) + f" and {len(names) - limit} more"


def largest_fold(graph, total, choice):
    """The `LargestFold` of a `Choice`.

    Args:
        graph: as it was when the choice was made.
        total: batch norms in the network before any pass.
        choice: a `Choice`; None where no affine node was left.
    """
    is_norm = {node.name for node in graph if node.op == "affine" and node.attrs["kind"] == "batch_norm"}
    walls = [node for node in graph if node.op == "opaque" and node.attrs["batch_norms"]]
    bounds = [Bound((node.label,) * node.attrs["batch_norms"], 0, node.attrs["why"]) for node in {
        id(node.layer): node for node in walls}.values()]
    if choice is None:
        staying, is_proved = 0, True
    else:
        bounds += [Bound((graph[name].label,), 0, demand.detail) for name, demand in choice.gauge.walls.items()
                   if name in is_norm]
        bounds += [_bound(graph, group, choice) for group in choice.found.groups
                   if choice.nodes_of[group.items[0]][0] in is_norm]
        chosen, is_proved = set(choice.found.chosen), choice.found.is_proved
        staying = sum(names[0] in is_norm for key, names in choice.nodes_of.items() if key not in chosen)
        staying += sum(name in is_norm for name in choice.gauge.walls)
    staying += sum(node.attrs["batch_norms"] for node in {id(node.layer): node for node in walls}.values())
    must_stay = sum(len(bound.batch_norms) - bound.at_most for bound in bounds)
    more = () if choice is None else tuple(dict.fromkeys(graph[name].label for name in choice.maps if name in is_norm))
    return LargestFold(total, total - staying, total - must_stay, is_proved, tuple(bounds), more)


def _bound(graph, group, choice):
    nodes = {key: graph[choice.nodes_of[key][0]] for key in group.items}
    if len(nodes) == 1:
        why = _nearest(group.sources).detail
    elif group.at_most == 1:
        why = f"each two of them need another {group.kind} of a tensor that they read together"
    else:
        why = f"in one channel, no {group.at_most + 1} of them agree on the {group.kind} of what they read"
    numbers = tuple(
        {nodes[key].label: _number(nodes[key], row) for key, row in rows.items()} for rows in group.channels)
    return Bound(tuple(node.label for node in nodes.values()), group.at_most, why, numbers)


def _number(node, channel):
    affine = node.attrs["affine"]
    return {"channel": channel, "scale": float(affine.scale[channel]), "shift": float(affine.shift[channel])}


def fates(graph, report):
    """What becomes of each batch norm of a network: `(label, goes, why)`, in the network's order.

    Args:
        graph: as it was captured.
        report: of its fold.
    """
    stays = {label: entry for entry in report.refusals if entry.rule == "fold_batch_norm" for label in entry.nodes}
    found = {}
    for node in graph:
        if not (node.attrs.get("kind") == "batch_norm" or node.attrs.get("batch_norms")):
            continue
        if node.label in stays:
            entry = stays[node.label]
            found[node.label] = False, f"{entry.reason}: {entry.detail}"
        else:
            # What took another one in says so under both names.
            done = (entry.detail for entry in report.folded
                    if node.label in entry.nodes and entry.detail != f"folded into {node.label}")
            found[node.label] = True, next(done, "no output depends on it")
    return [(label, goes, why) for label, (goes, why) in found.items()]
