"""The Pareto front: the networks that no other beats in both accuracy and cost.

    accuracy │            ·  ●      ●  on the front: nothing cheaper is as accurate
             │      ● ─ ─ ┘         ·  beaten: another costs no more and is no worse, and better in one of the two
             │  ● ─ ┘   ·
             └───────────────── depth, or latency
"""


def pareto_front(costs, values):
    """Which points no other point beats.

    A point beats another if it costs no more and is worth no less, and is better in one of the two. Points that are
    equal in both beat each other not: all of them are on the front, or none.

    Args:
        costs: a number each, less is better.
        values: a number each, more is better.

    Returns:
        list of int: indices of the front's points, from the cheapest to the most valuable.

    Example:

    >>> pareto_front([1, 2, 3, 3], [0.7, 0.9, 0.8, 0.9])
    [0, 1]
    """
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -values[i]))
    front = []
    for i in order:
        best = front[-1] if front else None
        better = best is None or values[i] > values[best]
        # Sorted by cost: whatever is not worth more than the best so far is beaten, unless it is the same point.
        if better or (values[i] == values[best] and costs[i] == costs[best]):
            front.append(i)
    return front
