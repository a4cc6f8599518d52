"""What synthesis costs, beside the synthesis of an empty stack: whole processes with their Node, the median of some.

    python -m benchmarks.synth [--rounds 5]

Two empty stacks are measured. One as the CDK makes it by default: that includes the built-in validator, which takes
most of the time; the app turns it off, because the tests run cfn-lint and cdk-nag. The other has the app's own options,
so that the difference is what our constructs cost. CPU seconds depend less on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Final

from benchmarks.real_data import ROOT

IMAGE: Final = "111122223333.dkr.ecr.us-east-1.amazonaws.com/retraining@sha256:" + "5" * 64
EMPTY: Final = """
import aws_cdk as cdk
app = cdk.App({options})
cdk.Stack(app, "Empty")
app.synth()
"""
APP_OPTIONS: Final = (
    "builtin_cloud_formation_validation=False, analytics_reporting=False, stack_traces=False, tree_metadata=False"
)
OURS: Final = "import app; raise SystemExit(app.main())"
PROGRAMS: Final = {
    "empty stack, CDK's defaults": EMPTY.format(options=""),
    "empty stack, the app's options": EMPTY.format(options=APP_OPTIONS),
    "this app (prod)": OURS,
}
AIM: Final = 1.1


def seconds(program: str) -> tuple[float, float]:
    """Wall time and CPU time of one synthesis in a process of its own."""
    context = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    with tempfile.TemporaryDirectory() as out:
        environment = {
            **os.environ,
            "CDK_OUTDIR": out,
            "CDK_CONTEXT_JSON": json.dumps(
                {**context, "env": "prod", "image_uri": IMAGE, "alert_emails": "a@example.com"}
            ),
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20",
        }
        start, used = time.perf_counter(), _cpu_seconds()
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True, capture_output=True)
        return time.perf_counter() - start, _cpu_seconds() - used


def _cpu_seconds() -> float:
    """Of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print the times and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for program in PROGRAMS.values():
        seconds(program)  # fills the caches of files and of compiled modules
    taken = {name: [seconds(p) for _ in range(rounds)] for name, p in PROGRAMS.items()}
    walls, cpus = (
        {name: statistics.median(both[which] for both in some) for name, some in taken.items()} for which in (0, 1)
    )
    for name in PROGRAMS:
        wall, cpu = walls[name], cpus[name]
        ratio, cpu_ratio = walls["this app (prod)"] / wall, cpus["this app (prod)"] / cpu
        print(f"{name:32}{wall:6.2f} s, CPU {cpu:5.2f} s   this app: {ratio:.2f} times that, CPU {cpu_ratio:.2f} times")
    print(f"aim: at most {AIM} times an empty stack by default")


if __name__ == "__main__":
    main()
