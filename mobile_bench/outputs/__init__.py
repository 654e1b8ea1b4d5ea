"""Reading what TensorFlow Lite's and LiteRT's benchmark tools print: every era, every form, and no wrong number.

    stdout, stderr, exit code  ──▶ parse_run          ┐
    adb logcat                 ──▶ parse_logcat       ├──▶ RunOutput ──▶ .block()
    --result_file_path         ──▶ parse_result_proto ┴─── cross_check
    --enable_op_profiling      ──▶ parse_profile, parse_profile_csv ──▶ OpProfile
"""

from mobile_bench.outputs.agreement import cross_check
from mobile_bench.outputs.errors import BenchmarkFailedError, OutputError
from mobile_bench.outputs.logcat import parse_logcat
from mobile_bench.outputs.profile import OpProfile, ProfiledOp
from mobile_bench.outputs.profile_reading import parse_profile, parse_profile_csv
from mobile_bench.outputs.result_proto import ResultProto, parse_result_proto
from mobile_bench.outputs.run import parse_run
from mobile_bench.outputs.run_output import RunOutput
from mobile_bench.outputs.stats import Stats

__all__ = [
    "BenchmarkFailedError",
    "OpProfile",
    "OutputError",
    "ProfiledOp",
    "ResultProto",
    "RunOutput",
    "Stats",
    "cross_check",
    "parse_logcat",
    "parse_profile",
    "parse_profile_csv",
    "parse_result_proto",
    "parse_run",
]
