"""What the passes did: each fold and each refusal, and the network's figures before and after."""
from dataclasses import asdict, dataclass, field

from tfold.reasons import MEANING


@dataclass(frozen=True)
class Entry:
    """One decision of one pass.

    Args:
        rule: the pass that decided, e.g. "fold_batch_norm".
        nodes: names of the layers concerned, in order.
        reason: None for what was done, else a constant of `tfold.reasons`.
        detail: what happened, or the reason, in words.
    """

    rule: str
    nodes: tuple
    reason: str | None = None
    detail: str = ""

    def __str__(self):
        what = " → ".join(self.nodes)
        if self.reason is None:
            return f"{what}: {self.detail}"
        return f"{what}: {self.reason} ({self.detail or MEANING[self.reason]})"


@dataclass(frozen=True)
class Figures:
    """What a network costs: depth (linear layers on the longest path), parameters, multiply-accumulates, layers.

    `macs` is None where the model leaves its input size open, and goes without the layer types in `uncounted`, which
    tfold does not know.
    """

    depth: int
    parameters: int
    macs: int | None
    layers: int
    batch_norms: int
    uncounted: tuple = ()


@dataclass
class Report:
    """The result of a fold, in data; `str(report)` is the text for people.

    `homes` maps the name of every original layer that was not dropped to the layer of the folded model it lives in now;
    where layers of several nested models bear one name, their paths ("encoder/dense"). `largest_fold` says how many
    batch norms can go, and proves it. `explained` has the reason for each refused one from when it was first met:
    later, what it competed with is gone. `ranges` has a `MergedRange` for each layer that was merged: how wide its
    kernel is, and the kernels that it was made of. `scaling` names the preprocessing whose numbers are in the first
    layers now, so that further training needs `preprocessing="keep"`. `constraints` names those that the folded layers
    do not have any more: they would destroy their weights at the first step of a training.
    """

    entries: list = field(default_factory=list)
    before: Figures | None = None
    after: Figures | None = None
    homes: dict = field(default_factory=dict)
    verification: object = None
    largest_fold: object = None
    explained: dict = field(default_factory=dict)
    ranges: tuple = ()
    scaling: tuple = ()
    constraints: tuple = ()

    def did(self, rule, nodes, detail):
        self.entries.append(Entry(rule, tuple(nodes), None, detail))

    def refused(self, rule, nodes, reason, detail=""):
        entry = Entry(rule, tuple(nodes), reason, detail)
        if entry not in self.entries:  # a layer that is called twice says no once
            self.entries.append(entry)

    def forget_refusals(self):
        """Before the same passes run once more: what was refused may now be possible."""
        self.entries = self.folded

    @property
    def folded(self):
        """What was done."""
        return [entry for entry in self.entries if entry.reason is None]

    @property
    def refusals(self):
        """What was not done, and why."""
        return [entry for entry in self.entries if entry.reason is not None]

    def to_json(self):
        return {
            "before": self.before and asdict(self.before),
            "after": self.after and asdict(self.after),
            "folded": [asdict(entry) for entry in self.folded],
            "refused": [asdict(entry) for entry in self.refusals],
            "homes": self.homes,
            "largest_fold": self.largest_fold and asdict(self.largest_fold),
            "ranges": [asdict(each) for each in self.ranges],
            "scaling": list(self.scaling),
            "constraints": [asdict(each) for each in self.constraints],
            "verification": self.verification and self.verification.to_json(),
        }

    def __str__(self):
        lines = []
        if self.before and self.after:
            for name, old, new in (
                ("depth", self.before.depth, self.after.depth),
                ("parameters", self.before.parameters, self.after.parameters),
                ("MACs", self.before.macs, self.after.macs),
                ("layers", self.before.layers, self.after.layers),
                ("batch norms", self.before.batch_norms, self.after.batch_norms),
            ):
                lines.append(f"{name:<12} {_number(old):>14} → {_number(new)}")
            if self.before.uncounted:
                lines.append(f"             MACs go without {', '.join(self.before.uncounted)}")
        if self.largest_fold and self.largest_fold.total:
            lines.append(str(self.largest_fold))
        for title, entries in (("folded", self.folded), ("refused", self.refusals)):
            lines.append(f"{title} ({len(entries)})")
            lines += [f"  {entry}" for entry in entries]
        if self.ranges:
            lines.append(f"kernels of merged layers ({len(self.ranges)})")
            lines += [f"  {each}" for each in self.ranges]
        if self.scaling:
            lines.append(
                f'not for further training: the first layers hold the numbers of {", ".join(self.scaling)} and would '
                'take far too long steps; fold with preprocessing "keep" for that')
        if self.constraints:
            count = len(self.constraints)
            lines.append(f"constraints dropped, further training would undo the fold with them ({count})")
            lines += [f"  {each}" for each in self.constraints]
        if self.verification:
            lines.append(str(self.verification))
        return "\n".join(lines)


def _number(value):
    return "unknown" if value is None else f"{value:,}"
