"""The history of runs: an entry for each run that has ended, in one object of the artifact bucket.

`python -m scripts.runs --aws` reads it: SageMaker's own list has neither losses nor decisions, and the files of a run
expire. Written only over what was read, so that of two calls one wins and the other looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    decision_of,
    read_entries,
    with_results,
)

ENDED: Final = (SUCCEEDED, FAILED, STOPPED)
KEPT_LINES: Final = 5_000  # 13 years of nightly runs, 10 MB
_ROUNDS: Final = 10
_JOBS: Final = ("ProcessingJob", "TrainingJob")
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
    run_id, described = _id(arn), client.describe_pipeline_execution(PipelineExecutionArn=arn)
    pages = client.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=arn, SortOrder="Ascending"
    )
    steps = {step["StepName"]: step for page in pages for step in page["PipelineExecutionSteps"]}
    chosen = client.get_paginator("list_pipeline_parameters_for_execution").paginate(PipelineExecutionArn=arn)
    parameters = {p["Name"]: str(p["Value"]) for page in chosen for p in page.get("PipelineParameters", ())}
    failed = next((step for step in steps.values() if step["StepStatus"] == FAILED), None)
    status, version = str(described["PipelineExecutionStatus"]), described.get("PipelineVersionId")
    started, ended = (described[name].timestamp() for name in ("CreationTime", "LastModifiedTime"))
    registered = _succeeded(steps, "Register")
    outcome = steps.get("HasNewData", {}).get("Metadata", {}).get("Condition", {}).get("Outcome")
    reason = failure_of(failed) if failed else str(described.get("FailureReason") or "")
    entry = RunEntry(
        run_id=run_id,
        status=status,
        started_at=started,
        ended_at=ended,
        trigger=parameters.get("TriggerReason") or "manual",
        started_by=_starter(described),
        decision=decision_of(
            status, registered=registered, has_new_data=None if outcome is None else str(outcome).lower() == "true"
        ),
        reason=reason if status != SUCCEEDED else "",
        failed_step=failed["StepName"] if failed else None,
        version=int(_id(steps["Register"]["Metadata"]["RegisterModel"]["Arn"])) if registered else None,
        definition=f"version {version}" if version else None,
        parameters=parameters,
        seconds={
            name: (step["EndTime"] - step["StartTime"]).total_seconds()
            for name, step in steps.items()
            if any(kind in step.get("Metadata", {}) for kind in _JOBS) and {"StartTime", "EndTime"} <= step.keys()
        },
        report=f"s3://{bucket.name}/{REPORT_KEY.format(run_id=run_id)}" if _succeeded(steps, "Evaluate") else None,
    )
    monitor = bucket.read(MONITOR_KEY)  # of the newest run; S3 keeps whole seconds
    own = int(started) <= (monitor.written or 0) <= ended + _SETTLED_SECONDS
    return with_results(
        entry,
        bucket.read(PREPARED_KEY.format(run_id=run_id)).json if _succeeded(steps, "Prepare") else None,
        bucket.read(EVALUATION_KEY.format(run_id=run_id)).json if entry.report else None,
        monitor.json if own and _succeeded(steps, "Predict") else None,
    )


def _succeeded(steps: Mapping[str, Mapping[str, Any]], name: str) -> bool:
    return bool(steps.get(name, {}).get("StepStatus") == SUCCEEDED)


def _starter(described: Mapping[str, Any]) -> str:
    """Who started it; the execution's name where the service does not say: the workflow names those that it starts."""
    who = described.get("CreatedBy") or {}
    known = who.get("UserProfileName") or (who.get("IamIdentity") or {}).get("Arn")
    return str(known or described.get("PipelineExecutionDisplayName") or "")
