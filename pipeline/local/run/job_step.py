"""Runs one Processing or Training step: from the cache if its result is there, else through the launcher."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pipeline.contract.names import DEFAULT_BASE_DIR
from pipeline.contract.reasons import shorten
from pipeline.local.launch.job import (
    MODEL_ARCHIVE,
    STOPPED_ON_REQUEST,
    Job,
    JobOutcome,
    Launcher,
    LaunchFault,
    StopSignal,
)
from pipeline.local.plan.expressions import timestamp
from pipeline.local.plan.plan import RetryPolicy
from pipeline.local.run.cache import Cache, CacheEntry, cache_key
from pipeline.local.run.staging import Found, find_inputs, produced, stage, store_outputs
from pipeline.local.store.run_record import FAILED, STOPPED, SUCCEEDED, StepResult
from pipeline.local.store.store import Store, join_uri, remove
from pipeline.local.store.store_errors import StoreError, explain


@dataclass(frozen=True)
class JobContext:
    store: Store
    launcher: Launcher
    use_cache: bool
    code: str
    day: str


def new_job_name(execution_id: str, step: str) -> str:
    """A job name as SageMaker Pipelines makes it."""
    return f"pipelines-{execution_id}-{step[:32]}-{os.urandom(5).hex()}"


def run_job(context: JobContext, job: Job, started: StepResult, on_retry: Callable[[str], None]) -> StepResult:
    """Runs a step to its end; a job's failure is a result, not an exception.

    `on_retry` is called with the reason and the delay of a retry.
    """
    store, cache = context.store, Cache(context.store)
    try:
        found = find_inputs(store, job)
        key = cache_key(job, found, code=context.code, day=context.day)
        if context.use_cache and (entry := cache.find(key)):
            try:
                outputs = store_outputs(store, job, entry.files, partial(store.copy, durable=True))
            except FileNotFoundError:
                pass  # pruned at this moment
            else:
                return _succeeded(job, replace(started, cached=True, outputs=outputs), entry.message)
        return _launched(context, job, started, found, key, on_retry)
    except StoreError as error:
        return replace(started, status=FAILED, reason=str(error))
    except OSError as error:
        return replace(started, status=FAILED, reason=explain(error, job.folder))


def _launched(
    context: JobContext, job: Job, started: StepResult, found: Found, key: str, on_retry: Callable[[str], None]
) -> StepResult:
    store, unchanged = context.store, True

    def attempt() -> JobOutcome:
        nonlocal unchanged
        unchanged = stage(store, job, found)
        return context.launcher.launch(job)

    outcome, attempts = with_retries(attempt, job.step.retry_policies, job.stop, on_retry)
    if outcome.status != "Completed":
        continuous = tuple(output for output in job.outputs if output.continuous)
        store_outputs(store, job, produced(job, continuous), store.move)
        status = STOPPED if outcome.status == "Stopped" else FAILED
        return replace(started, status=status, reason=_with_local_paths(store, job, outcome.message), attempts=attempts)
    files = produced(job, job.outputs)
    if unchanged:
        Cache(store).save(key, CacheEntry(outcome.message, files))
    outputs = store_outputs(store, job, files, store.move)
    remove(job.base_dir)  # its outputs are in the store; a failed step's folder is kept for diagnosis
    return _succeeded(job, replace(started, outputs=outputs, attempts=attempts), outcome.message)


def _succeeded(job: Job, result: StepResult, message: str | None) -> StepResult:
    """The result with what DescribeProcessingJob or DescribeTrainingJob would say of a job that has just completed."""
    kind, began = job.step.type, timestamp(result.started_at or 0.0)
    described: dict[str, Any] = {
        **job.request,
        f"{kind}JobName": job.name,
        f"{kind}JobArn": job.arn,
        f"{kind}JobStatus": "Completed",
        "CreationTime": began,
        f"{kind}StartTime": began,
        f"{kind}EndTime": timestamp(time.time()),
    }
    if kind == "Training":
        model = next(output for output in job.outputs if output.archive == MODEL_ARCHIVE)
        described["ModelArtifacts"] = {"S3ModelArtifacts": join_uri(model.uri, MODEL_ARCHIVE)}
        described["SecondaryStatus"] = "Completed"
    elif message:
        described["ExitMessage"] = message
    return replace(result, status=SUCCEEDED, properties=described)


def _with_local_paths(store: Store, job: Job, message: str | None) -> str | None:
    """The message with files of this machine in place of folders of a container."""
    places = {item.folder: item.uri for item in job.inputs} | {item.folder: item.uri for item in job.outputs}
    for folder, uri in sorted(places.items(), reverse=True):
        message = message and message.replace(f"{DEFAULT_BASE_DIR}/{folder}", str(store.origin(uri)))
    return message and shorten(message)


def with_retries(
    attempt: Callable[[], JobOutcome],
    policies: tuple[RetryPolicy, ...],
    stop: StopSignal,
    on_retry: Callable[[str], None],
) -> tuple[JobOutcome, int]:
    """Makes attempts until one has an outcome or its fault's policy is used up; returns it and the number of attempts.

    As in SageMaker, MaxAttempts counts the retries after the first attempt, of each policy for itself, and the wait
    before the n-th retry is IntervalSeconds times BackoffRate to the power of n - 1.
    """
    started = time.monotonic()
    used: dict[RetryPolicy, int] = {}
    attempts = 0
    wake = threading.Event()
    stop.subscribe(wake.set)
    while not stop.requested:
        attempts += 1
        try:
            return attempt(), attempts
        except LaunchFault as fault:
            if stop.requested:  # the cause of the fault, or a reason not to ask
                break
            policy = next((item for item in policies if fault.exception_type in item.exception_types), None)
            retries = used.get(policy, 0) if policy else 0
            if policy is None or not _allows(policy, retries, time.monotonic() - started):
                return JobOutcome("Failed", f"{fault.exception_type}: {fault} (attempts: {attempts})"), attempts
            used[policy] = retries + 1
            seconds = policy.interval_seconds * policy.backoff_rate**retries
            on_retry(f"{fault.exception_type}: {fault}; retry in {seconds:g} s")
            wake.wait(seconds)
    return STOPPED_ON_REQUEST, attempts


def _allows(policy: RetryPolicy, retries: int, seconds: float) -> bool:
    if policy.max_attempts is not None:
        return retries < policy.max_attempts
    return policy.expire_after_minutes is not None and seconds < policy.expire_after_minutes * 60
