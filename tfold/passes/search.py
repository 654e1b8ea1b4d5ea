"""The heaviest set of items whose equations all hold together, by trying."""
from itertools import permutations

from tfold.passes.items import obstacle, with_item

CASES = 3_000  # beyond, the best set so far is taken and said not to be proved


class Search:
    """All ways to choose among items, the most promising first, without those that cannot be better."""

    def __init__(self, items, empty):
        self.items = sorted(items, key=lambda item: item.weight, reverse=True)
        self.nothing = (0,) * len(items[0].weight)
        self.best, self.best_weight = [], self.nothing
        self.cases, self.is_complete = 0, True
        alone = {item.key: with_item(empty, item) for item in items}
        self.at_odds = {item.key: {} for item in items}  # key → key of the other → what the other's equation meets
        for item, other in permutations(items, 2):
            refused = obstacle(alone[item.key], other)
            if refused is not None:
                self.at_odds[item.key][other.key] = refused
        self._go_on([], self.nothing, empty, self.items)

    def _go_on(self, chosen, weight, systems, undecided):
        self.cases += 1
        if self.cases > CASES:
            self.is_complete = False
            return
        undecided = [item for item in undecided if obstacle(systems, item) is None]
        if total(weight, self._bound(undecided)) <= self.best_weight and self.best:
            return
        if not undecided:
            self.best, self.best_weight = chosen, weight
            return
        first, others = undecided[0], undecided[1:]
        more = with_item(systems, first)
        rest = [item for item in others if item.key not in self.at_odds[first.key]]
        self._go_on([*chosen, first.key], total(weight, first.weight), more, rest)
        if any(item.key in self.at_odds[first.key] or obstacle(more, item) for item in others) or len(rest) > 1:
            self._go_on(chosen, weight, systems, others)

    def _bound(self, undecided):
        """No choice among these gains more: of items that are all at odds with each other, one."""
        bound, cliques = self.nothing, []
        for item in undecided:  # by falling weight, so that the first of a clique is its heaviest
            for clique in cliques:
                if clique <= self.at_odds[item.key].keys():
                    clique.add(item.key)
                    break
            else:
                cliques.append({item.key})
                bound = total(bound, item.weight)
        return bound


def total(a, b):
    return tuple(x + y for x, y in zip(a, b, strict=True))
