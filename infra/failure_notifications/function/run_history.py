"""The history of runs: an entry for each run that has ended, in one object of the artifact bucket.

`python -m scripts.runs --aws` reads it: SageMaker's own list has neither losses nor decisions, and the files of a run
expire. Written only over what was read, so that of two calls one wins and the other looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from infra.lambda_shared.bucket import Bucket
from infra.lambda_shared.environment import Boto3Client
from pipeline.contract.history.runs import (
    EVALUATION_KEY,
    FAILED,
    HISTORY_KEY,
    MONITOR_KEY,
    PREPARED_KEY,
    REPORT_KEY,
    STOPPED,
    SUCCEEDED,
    RunEntry,
    describe_execution,
    entry_of_execution,
    read_entries,
    with_results,
)

ENDED: Final = (SUCCEEDED, FAILED, STOPPED)
KEPT_LINES: Final = 5_000  # 13 years of nightly runs, 10 MB
_ROUNDS: Final = 10
_SETTLED_SECONDS: Final = 60  # the status of a run may follow its last file so late


class HistoryError(Exception):
    """Other calls kept changing the history; the next hourly call tries again."""


def record_runs(
    client: Boto3Client,
    bucket: Bucket,
    runs: Mapping[str, str],
    failure_of: Callable[[Mapping[str, Any]], str],
    *,
    retried: bool,
) -> int:
    """Append what the history lacks of those runs (ARN and status) that have ended; returns how many entries it was.

    `failure_of` gives the reason of a failed step. With `retried`, a run may have ended again as it did before.
    """
    found: dict[str, RunEntry] = {}
    for _ in range(_ROUNDS):
        stored = bucket.read(HISTORY_KEY)
        known, _faults = read_entries(stored.text or "", HISTORY_KEY)
        for arn, status in runs.items():
            same = _id(arn) in known and known[_id(arn)].status == status
            if status in ENDED and arn not in found and (retried or not same):
                found[arn] = entry_of(client, bucket, arn, failure_of)
        missing = [run for run in found.values() if run.status in ENDED and _end(run) != _end(known.get(run.run_id))]
        if not missing:
            return 0
        lines = [*(stored.text or "").splitlines(), *(run.line.rstrip() for run in missing)]
        if bucket.write(HISTORY_KEY, "\n".join(lines[-KEPT_LINES:]) + "\n", over=stored):
            return len(missing)
    raise HistoryError(f"{HISTORY_KEY} kept changing for {_ROUNDS} rounds")


def _end(run: RunEntry | None) -> tuple[str, float | None] | None:
    return None if run is None else (run.status, run.ended_at)


def _id(arn: str) -> str:
    return arn.rsplit("/", maxsplit=1)[-1]


def entry_of(client: Boto3Client, bucket: Bucket, arn: str, failure_of: Callable[[Mapping[str, Any]], str]) -> RunEntry:
    """The entry of a run, from the service's lists and the run's files."""
    described, steps, parameters = describe_execution(client, arn)
    entry = entry_of_execution(described, steps, parameters, failure_of)
    succeeded = {step["StepName"] for step in steps if step["StepStatus"] == SUCCEEDED}
    if "Evaluate" in succeeded:
        entry = replace(entry, report=f"s3://{bucket.name}/{REPORT_KEY.format(run_id=entry.run_id)}")
    monitor = bucket.read(MONITOR_KEY)  # of the newest run; S3 keeps whole seconds
    own = int(entry.started_at) <= (monitor.written or 0) <= (entry.ended_at or 0) + _SETTLED_SECONDS
    return with_results(
        entry,
        bucket.read(PREPARED_KEY.format(run_id=entry.run_id)).json if "Prepare" in succeeded else None,
        bucket.read(EVALUATION_KEY.format(run_id=entry.run_id)).json if entry.report else None,
        monitor.json if own and "Predict" in succeeded else None,
    )
