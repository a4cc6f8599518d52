"""Emails about a failed step, and a run that was stopped or failed without a failed step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from infra.lambda_shared.console import console, job_log
from infra.lambda_shared.emails import Email
from infra.lambda_shared.notifications import Facts, NotificationType

_JOBS: Final = {  # kind in the step's metadata -> (page of the console, log group)
    "ProcessingJob": ("processing-jobs", "/aws/sagemaker/ProcessingJobs"),
    "TrainingJob": ("jobs", "/aws/sagemaker/TrainingJobs"),
}
_NO_REASON: Final = "SageMaker gave none."


@dataclass(frozen=True)
class Run:
    """A run of the deployed pipeline; times are seconds since 1970."""

    arn: str
    pipeline: str
    environment: str
    status: str = ""
    reason: str = ""
    started: float = 0.0
    changed: float = 0.0
    failed_steps: Sequence[Mapping[str, Any]] = ()

    @property
    def id(self) -> str:
        """The last part of its ARN."""
        return self.arn.rsplit("/", maxsplit=1)[-1]

    @property
    def partition(self) -> str:
        return self.arn.split(":")[1]

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]

    def with_state(self, described: Mapping[str, Any], failed_steps: Sequence[Mapping[str, Any]]) -> Run:
        """With what DescribePipelineExecution says and the failed ones of its steps."""
        return replace(
            self,
            status=str(described["PipelineExecutionStatus"]),
            reason=str(described.get("FailureReason") or ""),
            started=described["CreationTime"].timestamp(),
            changed=described["LastModifiedTime"].timestamp(),
            failed_steps=failed_steps,
        )

    def title(self, what: str) -> str:
        return f"[{self.environment}] {self.pipeline}: {what}"


def step_failed(run: Run, step: Mapping[str, Any], reason: str, trigger: str) -> Email:
    """The email about a failed step; `step` is as ListPipelineExecutionSteps gives it."""
    name, what = step["StepName"], f"step {step['StepName']} failed"
    job, log = _links(run, step)
    lines = [
        f"Step {name} of pipeline {run.pipeline} (environment {run.environment}) failed.",
        "",
        "Reason",
        reason or _NO_REASON,
        "",
        f"Triggered by   {trigger}",
        f"Step started   {_time(step.get('StartTime'))}",
        f"Step ended     {_time(step.get('EndTime'))}, after {_minutes(step.get('StartTime'), step.get('EndTime'))}",
        f"Job            {job}",
        f"Logs           {log}",
        *_next_steps(run, what),
    ]
    # SageMaker refuses to retry a run that a Fail step has ended (dg/pipelines-build.html, Fail step).
    if any("Fail" in failed.get("Metadata", {}) for failed in run.failed_steps):
        lines.append(
            "               with --param NAME=VALUE; the same data with the same limits is not evaluated twice"
        )
    else:
        lines += [
            "Resume from this step, with the same parameters and definition, when the run has ended:",
            f"  aws sagemaker retry-pipeline-execution --region {run.region} --pipeline-execution-arn {run.arn}",
        ]
    facts = _facts(NotificationType.STEP_FAILED, run, reason or _NO_REASON, trigger, step=name, job=job, logs=log)
    return Email(run.title(what), "\n".join(lines) + "\n", facts)


def run_failed(run: Run, trigger: str) -> Email:
    """The email about a run that failed although no step did: its role, or the definition."""
    reason = run.reason or _NO_REASON
    story = ["failed, and no step of it did.", "", "Reason", reason]
    return _of_run(run, trigger, NotificationType.RUN_FAILED, "a run failed", "Failed ", story, reason)


def run_stopped(run: Run, trigger: str) -> Email:
    story = ["was stopped before its end.", "CloudTrail records who stopped it: event StopPipelineExecution."]
    what, reason = "a run was stopped", "stopped before its end"
    return _of_run(run, trigger, NotificationType.RUN_STOPPED, what, "Stopped", story, reason)


def _of_run(
    run: Run, trigger: str, kind: NotificationType, what: str, ended: str, story: Sequence[str], reason: str
) -> Email:
    start, end = (datetime.fromtimestamp(seconds, UTC) for seconds in (run.started, run.changed))
    lines = [
        f"A run of pipeline {run.pipeline} (environment {run.environment}) {story[0]}",
        *story[1:],
        "",
        f"Triggered by   {trigger}",
        f"Started        {_time(start)}",
        f"{ended}        {_time(end)}, after {_minutes(start, end)}",
        *_next_steps(run, what),
    ]
    return Email(run.title(what), "\n".join(lines) + "\n", _facts(kind, run, reason, trigger))


def _facts(kind: NotificationType, run: Run, reason: str, trigger: str, step: str = "", **links: str) -> Facts:
    return Facts(
        type=kind,
        pipeline=run.pipeline,
        reason=reason,
        run=run.arn,
        step=step,
        trigger=trigger,
        links={**links, "dashboard": _dashboard(run)},
        next_steps=[f"python -m scripts.show_execution {run.arn}"],
    )


def _next_steps(run: Run, what: str) -> list[str]:
    """Links and commands; `what` is a heading of the runbook."""
    return [
        f"Run            {run.arn}",
        f"Dashboard      {_dashboard(run)}",
        "",
        f'What to do:    docs/runbook.md, "{what}"',
        f"Details:       python -m scripts.show_execution {run.arn}",
        f"Run again:     python -m scripts.start_execution --pipeline {run.pipeline} --region {run.region}",
    ]


def _dashboard(run: Run) -> str:
    where = f"cloudwatch/home?region={run.region}#dashboards/dashboard/{run.pipeline}-{run.region}"
    return console(run.region, run.partition, where)


def _links(run: Run, step: Mapping[str, Any]) -> tuple[str, str]:
    """The pages of the step's job and of its log."""
    metadata = step.get("Metadata", {})
    for kind, (page, group) in _JOBS.items():
        if "Arn" in metadata.get(kind, {}):
            job = str(metadata[kind]["Arn"]).rpartition("/")[2]
            where = f"sagemaker/home?region={run.region}#/{page}/{job}"
            return console(run.region, run.partition, where), job_log(run.region, run.partition, group, job)
    return "none", "none"


def _time(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else "at an unknown time"


def _minutes(start: datetime | None, end: datetime | None) -> str:
    return f"{(end - start).total_seconds() / 60:.1f} minutes" if start and end else "an unknown time"
