"""Runs that have ended, of a local store or a deployed pipeline, as a tracker keeps them: metrics, tags, files, model.

All of it comes from what the run's jobs wrote and from the requests that started them, so local runs and those of the
cloud differ in where files are read only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pipeline.contract import names as c
from pipeline.contract.history.runs import (
    FAILED,
    STOPPED,
    SUCCEEDED,
    RunEntry,
    describe_execution,
    entry_of_execution,
    with_results,
)
from pipeline.contract.reasons import processing_job, shorten
from pipeline.contract.workload import default_workload, load_spec
from pipeline.local.local_deployment import MODEL_PACKAGE_GROUP
from pipeline.local.store.history import entry_of
from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.run_record import EXECUTING, RunResult, load_run, readable_run, record_path
from pipeline.local.store.store import Store
from scripts.cloud.connection import DeployedPipeline
from scripts.cloud.review import AwsReview
from scripts.history.history import local_versions
from scripts.output.execution import reason_of

# Tag -> the variable with which the definition tells a job, and the name in evaluation.json's versions.
_VERSIONS: Final = {
    "code_version": ("CODE_VERSION", "code"),
    "git_revision": ("GIT_REVISION", "git"),
    "definition_hash": ("DEFINITION_HASH", "definition"),
}
Jobs = Mapping[str, Mapping[str, Any]]  # step -> DescribeProcessingJob
Fetch = Callable[[str], Path | None]  # a copy on this machine of an object; None where it is gone


@dataclass(frozen=True)
class EndedRun:
    """One run; its entry has the seconds of each step that ran."""

    entry: RunEntry
    evaluation: Mapping[str, Any]  # evaluation.json; empty where nothing was evaluated
    prepared: Mapping[str, Any]  # prepared.json; empty where the data was refused
    environment: Mapping[str, str]  # of its jobs
    files: Sequence[Path]  # what a person reads
    model: Path | None  # model.tar.gz that was evaluated; None where there is none, or it was removed since

    @property
    def metrics(self) -> dict[str, float]:
        """`candidate/log_loss`, ..., the difference to the champion with its interval, and how long each step took."""
        found = {
            f"{who}/{key}": value for who, v in self.evaluation.get("metrics", {}).items() for key, value in _of(v)
        }
        difference = self.evaluation.get("comparison", {}).get("difference")
        found |= {f"difference/{key}": value for key, value in _of(difference)}
        found |= {f"seconds/{step}": value for step, value in self.entry.seconds.items()}
        return found | {"seconds/run": self.entry.duration or 0.0}

    @property
    def tags(self) -> dict[str, str]:
        """What a run is found by."""
        entry, about, known = self.entry, self.evaluation or self.prepared, self.evaluation.get("versions", {})
        tags = {
            "decision": entry.decision or entry.status.lower(),
            "reason": f"{entry.failed_step}: {entry.reason}" if entry.failed_step else entry.reason,
            "trigger": entry.trigger,
            "fingerprint": entry.fingerprint or "",
            "as_of_date": entry.as_of_date or "",
            "simulated": str(about.get("simulated", "")).lower(),
            "package_version": "" if entry.version is None else str(entry.version),
            "workload": str(self.environment.get("WORKLOAD") or about.get("workload", "")),
            **{tag: str(self.environment.get(v) or known.get(name, "")) for tag, (v, name) in _VERSIONS.items()},
        }
        return {name: shorten(text) for name, text in tags.items() if text}


def _ended_run(entry: RunEntry, jobs: Jobs, fetch: Fetch, *more: Path) -> EndedRun:
    def output(step: str, channel: str, file: str) -> Path | None:
        for made in jobs.get(step, {}).get("ProcessingOutputConfig", {}).get("Outputs", ()):
            if made["OutputName"] == channel:
                return fetch(f"{made['S3Output']['S3Uri'].rstrip('/')}/{file}")
        return None

    reports = [output("Evaluate", c.EVALUATION_CHANNEL, name) for name in (c.EVALUATION_FILE, c.REPORT_FILE)]
    evaluation, prepared = _json(reports[0]), _json(output("Prepare", c.REPORT_CHANNEL, c.PREPARED_FILE))
    given = {item["InputName"]: item for item in jobs.get("Evaluate", {}).get("ProcessingInputs", ())}
    return EndedRun(
        entry=with_results(entry, prepared, evaluation, None),
        evaluation=evaluation,
        prepared=prepared,
        environment={name: value for job in jobs.values() for name, value in job.get("Environment", {}).items()},
        files=[path for path in (*reports, *more) if path and path.is_file()],
        model=fetch(given[c.MODEL_CHANNEL]["S3Input"]["S3Uri"]) if given and evaluation else None,
    )


@dataclass(frozen=True)
class TrackedRuns:
    """The runs and versions of a local store or of a deployed pipeline."""

    experiment: str  # what the runs belong to
    model_name: str  # what the versions are versions of
    ended: Sequence[tuple[str, str]]  # each run, oldest first: its id, and a text that changes when it is resumed
    read: Callable[[str], EndedRun]  # one of them
    packages: Sequence[Mapping[str, Any]]  # the versions, oldest first, as DescribeModelPackage gives them
    champion: int | None  # the version in use


def runs_of_store(store: Store, experiment: str | None) -> TrackedRuns:
    """Without a name, the experiment is the workload's group with the kind of rows: churn-local, churn-simulated."""
    found = (readable_run(store, path.parent.name) for path in (store.root / "runs").glob("*/run.json"))
    ended = sorted((run for run in found if run and run.status != EXECUTING), key=lambda run: run.started_at)
    if not experiment:
        told = {job.get("Environment", {}).get("WORKLOAD") for run in ended[-1:] for job in _local_jobs(run).values()}
        kind = store.root / "rows"
        simulated = kind.is_file() and kind.read_text(encoding="utf-8").startswith("simulated")
        group = load_spec(next(filter(None, told), default_workload())).group
        experiment = f"{group}-{'simulated' if simulated else 'local'}"

    def fetch(uri: str) -> Path | None:
        path = store.object_path(uri)
        return path if path.is_file() else None

    def one(run_id: str) -> EndedRun:
        run = load_run(store, run_id)
        seconds = {step.name: step.seconds for step in run.steps if step.seconds}
        more = (store.run_folder(run_id) / c.MONITOR_REPORT_FILE, record_path(store, run_id))
        return _ended_run(replace(entry_of(store, run), seconds=seconds), _local_jobs(run), fetch, *more)

    return TrackedRuns(
        experiment=experiment,
        model_name=experiment,
        ended=[(run.execution_id, f"{run.status} {run.ended_at}") for run in ended],
        read=one,
        packages=LocalRegistry(store).packages(MODEL_PACKAGE_GROUP),
        champion=local_versions(store)[1],
    )


def _local_jobs(run: RunResult) -> Jobs:
    return {step.name: step.properties for step in run.steps if "ProcessingJobName" in step.properties}


def runs_of_pipeline(deployed: DeployedPipeline, folder: Path, experiment: str | None) -> TrackedRuns:
    """Without a name, the experiment is the pipeline's, as in the definition's own MlflowConfig.

    What is read of S3 goes to `folder`.
    """
    client, review = deployed.client, AwsReview(deployed, patience=0)
    s3 = deployed.session.client("s3", region_name=deployed.region)
    pages = client.get_paginator("list_pipeline_executions").paginate(
        PipelineName=deployed.name, SortBy="CreationTime", SortOrder="Ascending"
    )
    listed = [run for page in pages for run in page["PipelineExecutionSummaries"]]
    ended = [(run["PipelineExecutionArn"].rpartition("/")[2], run["PipelineExecutionStatus"]) for run in listed]

    def fetch(uri: str) -> Path | None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        path = folder / key
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                s3.download_file(bucket, key, str(path))
            except s3.exceptions.ClientError as error:
                if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                    return None
                raise
        return path

    def one(run_id: str) -> EndedRun:
        described, steps, parameters = describe_execution(client, f"{deployed.arn}/execution/{run_id}")
        entry = entry_of_execution(described, steps, parameters, lambda step: reason_of(step, deployed))
        ended = [step for step in steps if step.get("StartTime") and step.get("EndTime")]
        seconds = {step["StepName"]: (step["EndTime"] - step["StartTime"]).total_seconds() for step in ended}
        names = {step["StepName"]: name for step in steps if (name := processing_job(step))}
        jobs = {step: client.describe_processing_job(ProcessingJobName=name) for step, name in names.items()}
        return _ended_run(replace(entry, seconds=seconds), jobs, fetch)

    return TrackedRuns(
        experiment=experiment or deployed.name,
        model_name=experiment or review.name,
        ended=[(run_id, status) for run_id, status in ended if status in (SUCCEEDED, FAILED, STOPPED)],
        read=one,
        packages=review.packages(),
        champion=review.champion,
    )


def execution_of(package: Mapping[str, Any]) -> str:
    """The id of the run that registered a version; empty for one that no run did."""
    return str(package.get("CustomerMetadataProperties", {}).get("execution", "")).rpartition("/")[2]


def _of(values: object) -> list[tuple[str, float]]:
    """The numbers of an object."""
    items = values.items() if isinstance(values, Mapping) else ()
    return [(key, float(v)) for key, v in items if isinstance(v, int | float) and math.isfinite(v)]


def _json(path: Path | None) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8")) if path else {}
    return found if isinstance(found, dict) else {}
