"""The Pareto front: the networks that no other beats in both accuracy and cost.

    accuracy │            ·  ●      ●  on the front: whatever is more accurate costs more
             │      ● ─ ─ ┘         ·  beaten: another is more accurate and costs no more, or as accurate and costs less
             │  ● ─ ┘   ·
             └───────────────── depth, or latency

A cost that was measured is an interval, and costs more than another only where the two do not overlap.
"""


def pareto_front(costs, values):
    """Which points no other point beats.

    Points that are equal in both beat each other not: all of them are on the front, or none.

    Args:
        costs: a number each, less is better; or `(low, high)`, between which it lies.
        values: a number each, more is better.

    Returns:
        list of int: indices of the front's points, from the cheapest to the most valuable.

    Example:

    >>> pareto_front([1, 2, 3, 3], [0.7, 0.9, 0.8, 0.9])
    [0, 1]
    >>> pareto_front([(0.96, 1.00), (0.98, 1.02), (0.5, 0.6)], [0.8, 0.9, 0.7])
    [2, 1]
    """
    spans = [cost if isinstance(cost, (tuple, list)) else (cost, cost) for cost in costs]

    def beats(i, j):
        (low_i, high_i), (low_j, high_j) = spans[i], spans[j]
        return values[i] > values[j] and low_i <= high_j or values[i] == values[j] and high_i < low_j

    everyone = range(len(spans))
    return sorted((j for j in everyone if not any(beats(i, j) for i in everyone)),
                  key=lambda j: (values[j], spans[j]))
