"""The first program of AggregateOnSpark on each host: starts the step on Spark, and keeps the step's reason.

python3 aggregate_on_spark.zip --engine spark ...

`smspark-submit` of SageMaker's Spark image makes a cluster of the job's hosts and runs a Python file on it, from the
first host. If that file fails, it writes its own command in place of the reason (log_and_exit in
github.com/aws/sagemaker-spark-container, src/smspark/errors.py). So the step leaves its reason in its own file,
and this program puts it where SageMaker reads it.

Standard library only, and Python 3.9: that is the `python3` of the image, whatever Spark itself runs with.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pipeline.contract import names as c
from pipeline.contract.container import base_dir
from pipeline.contract.reasons import shorten
from pipeline.jobs.entrypoint import RUN_AS, start_forwarding, supervise

SUBMIT: Final = "smspark-submit"
STEP: Final = "pipeline/workloads/nba/play_by_play/aggregate.py"
INSTANCES: Final = "choose larger instances (AggregateOnSparkInstanceType) or more of them (AggregateInstanceCount)"
_ARCHIVE: Final = Path(__file__).parents[4]  # this file's path goes on inside it


def main(argv: Sequence[str]) -> int:
    """Run the step with these arguments; returns the exit code."""
    user = os.environ.pop(RUN_AS, "")
    if user:
        return supervise(argv, int(user), [str(_ARCHIVE)])
    with tempfile.TemporaryDirectory() as folder:
        step, reason = Path(folder) / Path(STEP).name, Path(folder) / "reason"
        with zipfile.ZipFile(_ARCHIVE) as archive:
            step.write_bytes(archive.read(STEP))
        # The archive is on the path of the program too: there the step finds the rest of the package.
        command = [SUBMIT, "--py-files", str(_ARCHIVE), str(step), *argv]
        try:
            code = _run(command, reason)
        except FileNotFoundError:
            return _fail(
                f"this image has no {SUBMIT}, so it is not SageMaker's Spark image: correct spark_image_uri, or leave "
                "it out"
            )
        if code != 0:
            return _fail(_reason(reason, code), code)
    return 0


def _run(command: Sequence[str], reason: Path) -> int:
    """Run a command to its end; what stops us stops it. Returns the exit code as a shell gives it."""
    environment = {**os.environ, c.REASON_FILE_VARIABLE: str(reason)}
    process = start_forwarding(lambda: subprocess.Popen(command, env=environment))
    code = process.wait()
    return 128 - code if code < 0 else code


def _reason(left: Path, code: int) -> str:
    """Why the step failed: in its own words, else in those of smspark-submit, else by the exit code."""
    if left.exists():
        return left.read_text(encoding="utf-8")
    said = base_dir() / c.PROCESSING_FAILURE_FILE
    if code == 128 + signal.SIGKILL or (said.exists() and "exit status 137" in said.read_text(encoding="utf-8")):
        return f"Spark's driver was killed, which the system does when memory runs out: {INSTANCES}"
    if said.exists():
        return said.read_text(encoding="utf-8")
    return f"{SUBMIT} ended with exit code {code}: the step's log says why"


def _fail(reason: str, code: int = 1) -> int:
    sys.stderr.write(f"{reason}\n")
    path = base_dir() / c.PROCESSING_FAILURE_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(shorten(reason), encoding="utf-8")
    return code
