"""Where the time goes: what `--enable_op_profiling=true` tells of every op.

    [node type]        [first] [avg ms]     [%]  [mem KB] [times called]  [Name]
    CONV_2D              0.826    0.858  3.423%     0.000              1  […/Conv1_relu_1/Relu6]:0
        │                  │        │       │         │                │    │
       kind          first_ms  average_ms  percent  memory_kb  times_called  name

Profiling slows the run down: the shares are worth looking at, the latency is not to be quoted.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class ProfiledOp:
    """One row of the table.

    Attributes:
        kind: the op as the tool names it: "CONV_2D", or a delegate's own "Convolution (NHWC, F32) IGEMM".
        name: the tensors it makes, or the delegate's name for it, with its index behind a colon.
        first_ms: in the first profiled run.
        average_ms: a call, on average; `times_called` of them make up a run.
        percent: its share of the profiled time; None where that time is 0.
        memory_kb: by how much the memory in use grew.
        times_called: in a run.
    """

    kind: str
    name: str
    first_ms: float
    average_ms: float
    percent: float | None
    memory_kb: float
    times_called: int

    @property
    def run_ms(self) -> float:
        """All its calls in a run together."""
        return self.average_ms * self.times_called

    @property
    def node(self) -> int | None:
        """The op's index in the file, which only TFLite's own kernels tell: "[names of tensors]:12"."""
        found = re.search(r"\]:(\d+)$", self.name)
        return int(found[1]) if found else None


@dataclass(frozen=True)
class OpProfile:
    """A profile.

    Attributes:
        initialization: what was done before the first run; empty where the tool does not tell.
        run_order: the ops of the main graph, in the order in which they run.
        total_ms: all of `run_order` together, a run on average.
        nodes: how many ops there are in `run_order`, as the tool has counted them.
        inside_delegates: ops inside delegates, where the tool tells them apart; their time is also in the delegate's
            row in `run_order`.
        subgraphs: the ops of the bodies of loops and conditions, a tuple each; their time is also in the loop's row.
    """

    initialization: tuple[ProfiledOp, ...]
    run_order: tuple[ProfiledOp, ...]
    total_ms: float
    nodes: int
    inside_delegates: tuple[ProfiledOp, ...] = ()
    subgraphs: tuple[tuple[ProfiledOp, ...], ...] = ()

    def to_json(self) -> dict:
        """All of it, ready for `json.dumps`."""
        return asdict(self)
