"""Runs one Processing or Training step: from the cache if its result is there, else through the launcher."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.contract.names import DEFAULT_BASE_DIR
from pipeline.contract.reasons import shorten
from pipeline.local.launch.job import Job, JobOutcome, Launcher, LaunchFault, StopSignal
from pipeline.local.plan.describe_responses import describe_job, job_arn
from pipeline.local.plan.plan import RetryPolicy, Step
from pipeline.local.run.cache import Cache, cache_key
from pipeline.local.run.staging import Produced, StagingError, find_inputs, inputs_of, outputs_of, produced, stage
from pipeline.local.store.digests import DigestMemory
from pipeline.local.store.run_record import FAILED, STOPPED, SUCCEEDED
from pipeline.local.store.store import Store, StoredObject, join_uri, remove
from pipeline.local.store.store_errors import StoreError, explain


@dataclass(frozen=True)
class JobContext:
    """What all job steps of a run share."""

    execution_id: str
    store: Store
    launcher: Launcher
    digests: DigestMemory
    use_cache: bool
    code: str
    day: str


@dataclass(frozen=True)
class JobResult:
    """The result of a job step."""

    status: str
    reason: str | None = None
    cached: bool = False
    attempts: int = 0
    outputs: tuple[str, ...] = ()
    properties: dict[str, Any] | None = None


def new_job_name(execution_id: str, step: str) -> str:
    """A job name as SageMaker Pipelines makes it."""
    return f"pipelines-{execution_id}-{step[:32]}-{os.urandom(5).hex()}"


class JobRun:
    """One job step; the runner calls `run` in a thread."""

    def __init__(
        self, context: JobContext, step: Step, request: dict[str, Any], job_name: str, on_retry: Callable[[str], None]
    ) -> None:
        """`on_retry` is called with the reason and the delay of a retry."""
        self._context, self._step, self._request, self._job_name = context, step, request, job_name
        self._on_retry = on_retry
        self._inputs = inputs_of(request)
        self._outputs = outputs_of(step.type, request, job_name)
        self._folder = context.store.step_folder(context.execution_id, step.name)
        self._cache = Cache(context.store)
        self.stop = StopSignal()

    def run(self) -> JobResult:
        """Runs the step to its end; a job's failure is a result, not an exception."""
        started_at = time.time()
        try:
            found = find_inputs(self._context.store, self._inputs)
            key = self._key(found)
            if self._context.use_cache and (restored := self._restored(key, started_at)):
                return restored
            return self._launched(found, key, started_at)
        except (StagingError, StoreError) as error:
            return JobResult(FAILED, str(error))
        except OSError as error:
            return JobResult(FAILED, explain(error, self._folder))

    def _key(self, found: dict[str, tuple[StoredObject, ...]]) -> str:
        context = self._context
        return cache_key(
            step_type=self._step.type,
            request=self._request,
            found=found,
            digests=context.digests,
            code=context.code,
            day=context.day,
        )

    def _restored(self, key: str, started_at: float) -> JobResult | None:
        entry = self._cache.find(key)
        if entry is None:
            return None
        try:
            written = self._cache.restore(entry, self._outputs)
        except FileNotFoundError:
            return None  # pruned at this moment
        return JobResult(SUCCEEDED, None, True, 0, written, self._properties(entry.message, started_at))

    def _properties(self, message: str | None, started_at: float) -> dict[str, Any]:
        return describe_job(
            step_type=self._step.type,
            request=self._request,
            job_name=self._job_name,
            outputs=self._outputs,
            message=message,
            started_at=started_at,
        )

    def _launched(self, found: dict[str, tuple[StoredObject, ...]], key: str, started_at: float) -> JobResult:
        base_dir = self._folder / "base"
        unchanged = True

        def attempt() -> JobOutcome:
            nonlocal unchanged
            store = self._context.store
            unchanged = stage(
                store,
                base_dir,
                job_name=self._job_name,
                request=self._request,
                found=found,
                outputs=self._outputs,
            )
            return self._context.launcher.launch(self._job())

        outcome, attempts = with_retries(attempt, self._step.retry_policies, self.stop, self._on_retry)
        if outcome.status != "Completed":
            status = STOPPED if outcome.status == "Stopped" else FAILED
            self._collect(produced(base_dir, tuple(output for output in self._outputs if output.continuous)))
            return JobResult(status, self._with_local_paths(outcome.message), attempts=attempts)
        files = produced(base_dir, self._outputs)
        if unchanged:
            self._cache.save(key, self._context.execution_id, outcome.message, files)
        written = self._collect(files)
        remove(base_dir)  # its outputs are in the store; a failed step's folder is kept for diagnosis
        properties = self._properties(outcome.message, started_at)
        return JobResult(SUCCEEDED, None, False, attempts, written, properties)

    def _with_local_paths(self, message: str | None) -> str | None:
        """The message with files of this machine in place of folders of a container."""
        places = {item.folder: item.uri for item in self._inputs} | {item.folder: item.uri for item in self._outputs}
        for folder, uri in sorted(places.items(), reverse=True):
            place = str(self._context.store.origin(uri))
            message = message and message.replace(f"{DEFAULT_BASE_DIR}/{folder}", place)
        return message and shorten(message)

    def _job(self) -> Job:
        limit = (self._request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds")
        return Job(
            step_name=self._step.name,
            step_type=self._step.type,
            name=self._job_name,
            arn=job_arn(self._step.type, self._job_name),
            request=self._request,
            base_dir=self._folder / "base",
            log_path=self._folder / "logs" / "job.log",
            timeout_seconds=None if limit is None else float(limit),
            stop=self.stop,
        )

    def _collect(self, files: tuple[Produced, ...]) -> tuple[str, ...]:
        destinations = {output.name: output.uri for output in self._outputs}
        written = []
        for item in files:
            uri = join_uri(destinations[item.output], item.relative)
            self._context.store.move(item.path, self._context.store.object_path(uri))
            written.append(uri)
        return tuple(written)


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
            policy = next((item for item in policies if fault.exception_type in item.exception_types), None)
            retries = used.get(policy, 0) if policy else 0
            if policy is None or not _allows(policy, retries, time.monotonic() - started):
                return JobOutcome("Failed", f"{fault.exception_type}: {fault} (attempts: {attempts})"), attempts
            used[policy] = retries + 1
            seconds = policy.interval_seconds * policy.backoff_rate**retries
            on_retry(f"{fault.exception_type}: {fault}; retry in {seconds:g} s")
            wake.wait(seconds)
    return JobOutcome("Stopped", "stopped on request"), attempts


def _allows(policy: RetryPolicy, retries: int, seconds: float) -> bool:
    if policy.max_attempts is not None:
        return retries < policy.max_attempts
    return policy.expire_after_minutes is not None and seconds < policy.expire_after_minutes * 60
