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
import statistics
import sys
import tempfile
from typing import Final

from benchmarks.real_data import ROOT
from benchmarks.timed_process import TimedRun, timed

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


def synthesis(program: str) -> TimedRun:
    context = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    context |= {"env": "prod", "image_uri": IMAGE, "alert_emails": "a@example.com"}
    with tempfile.TemporaryDirectory() as out:
        environment = {
            **os.environ,
            "CDK_OUTDIR": out,
            "CDK_CONTEXT_JSON": json.dumps(context),
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20",
            "PYTHONPATH": str(ROOT),
        }
        return timed([sys.executable, "-c", program], environment=environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for program in PROGRAMS.values():
        synthesis(program)  # fills the caches of files and of compiled modules
    taken = {name: [synthesis(program) for _ in range(rounds)] for name, program in PROGRAMS.items()}
    medians = {
        name: (statistics.median(r.seconds for r in some), statistics.median(r.cpu_seconds for r in some))
        for name, some in taken.items()
    }
    ours = medians["this app (prod)"]
    for name, (wall, cpu) in medians.items():
        ratios = f"this app: {ours[0] / wall:.2f} times that, CPU {ours[1] / cpu:.2f} times"
        print(f"{name:32}{wall:6.2f} s, CPU {cpu:5.2f} s   {ratios}")
    print(f"aim: at most {AIM} times an empty stack by default")


if __name__ == "__main__":
    main()
