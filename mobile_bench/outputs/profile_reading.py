"""An op profile, from the tool's text or from its CSV."""

from __future__ import annotations

from mobile_bench.outputs.errors import OutputError
from mobile_bench.outputs.lines import read_lines
from mobile_bench.outputs.profile import OpProfile, ProfiledOp
from mobile_bench.outputs.profile_checks import check_report, total
from mobile_bench.outputs.profile_formats import (
    AVERAGE,
    CALLED,
    FIRST,
    KIND,
    MEMORY,
    NAME,
    PERCENT,
    CsvFormat,
    Format,
    TextFormat,
)
from mobile_bench.outputs.profile_report import (
    DELEGATES,
    INITIALIZATION,
    MAIN,
    RUN_ORDER,
    RUNS,
    Report,
    read_reports,
)

_PREPARING = {"ModifyGraphWithDelegate", "AllocateTensors"}


def parse_profile(text: str) -> OpProfile:
    """Reads the profile in an output of `--enable_op_profiling=true`.

    Everything but names is told at least twice, and compared (see `profile_checks`): times to the last digit or the
    one before it.

    Args:
        text: the whole output, or what of it holds the profile; unstripped.

    Raises:
        OutputError: there is no profile, or it is cut, damaged, of several runs, or contradicts itself.

    Examples:
        slowest = max(parse_profile(stdout).run_order, key=lambda op: op.average_ms)
    """
    return _profile(text, TextFormat())


def parse_profile_csv(text: str) -> OpProfile:
    """Reads a profile of `--op_profiling_output_mode=csv`, from the output or its file; otherwise as `parse_profile`.

    Examples:
        parse_profile_csv(Path("profile.csv").read_text()).total_ms     # 6.09883
    """
    return _profile(text, CsvFormat())


def _profile(text: str, form: Format) -> OpProfile:
    reports = read_reports(read_lines(text), form)
    for report in reports:
        check_report(report, form)
    by_graph = {(report.section, report.graph): report for report in reports}
    runs = by_graph.get((RUNS, MAIN))
    if runs is None:
        raise OutputError("A profile has the ops of the runs. Received: none. Run the tool with "
                          "--enable_op_profiling=true, and hand its whole output over, of stdout too.")
    if {row[KIND] for row in runs.tables[RUN_ORDER]} <= _PREPARING:
        raise OutputError("A profile has the ops of the runs. Received: none, or those of the initialization alone. "
                          "The output is cut or damaged: measure again.")
    return OpProfile(
        initialization=_ops(by_graph.get((INITIALIZATION, MAIN))),
        run_order=_ops(runs),
        total_ms=total(runs),
        nodes=runs.executed,
        inside_delegates=_ops(by_graph.get((RUNS, DELEGATES))),
        subgraphs=tuple(
            _ops(report) for report in reports
            if report.section == RUNS and report.graph not in (MAIN, DELEGATES)
        ),
    )


def _ops(report: Report | None) -> tuple[ProfiledOp, ...]:
    if report is None:
        return ()
    return tuple(
        ProfiledOp(
            kind=row[KIND],
            name=row[NAME],
            first_ms=row[FIRST],
            average_ms=row[AVERAGE],
            percent=None if row[PERCENT] != row[PERCENT] else row[PERCENT],
            memory_kb=row[MEMORY],
            times_called=row[CALLED],
        )
        for row in report.tables[RUN_ORDER]
    )
