"""Which ops of a loaded model a runtime has given to its delegates, seen from inside the worker process.

    before   a ─▶ b ─▶ c ─▶ d                  what the runtime lists after loading: all ops as they were, and behind
                                               them one DELEGATE op for each partition, with its inputs and outputs
    after    a ─▶ DELEGATE ─▶ d

The ops of a partition are those one reaches backwards from its outputs without going beyond its inputs. An op whose
result nobody reads could not be reached; converters leave none behind.
"""

from __future__ import annotations

DELEGATE = "DELEGATE"


def partitions(details: list[dict]) -> list[list[int]]:
    """The ops of each partition, in the order in which the delegate got them.

    Args:
        details: of all ops, as `Interpreter._get_ops_details` gives them after `allocate_tensors`.

    Returns:
        list: for each DELEGATE op the indices of the ops it replaces.

    Examples:
        partitions(interpreter._get_ops_details())      # [[0, 1, 2], [4, 5]]: op 3 runs by itself
    """
    makers = {int(tensor): op for op in details if op["op_name"] != DELEGATE for tensor in op["outputs"]}
    return [_replaced(op, makers) for op in details if op["op_name"] == DELEGATE]


def _replaced(delegate: dict, makers: dict[int, dict]) -> list[int]:
    known, found = {int(tensor) for tensor in delegate["inputs"]}, set()
    waiting = [int(tensor) for tensor in delegate["outputs"]]
    while waiting:
        tensor = waiting.pop()
        if tensor in known or tensor not in makers:  # given from outside, or a constant
            continue
        known.add(tensor)
        found.add(int(makers[tensor]["index"]))
        waiting += [int(source) for source in makers[tensor]["inputs"]]
    return sorted(found)
