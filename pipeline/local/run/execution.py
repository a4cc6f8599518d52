"""One run in progress: starts steps when their predecessors have succeeded, and keeps the run's record."""

from __future__ import annotations

import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue

from pipeline.contract.names import FAIL_MESSAGE_CHARACTERS
from pipeline.contract.reasons import shorten
from pipeline.local.launch.exit_reason import last_lines
from pipeline.local.plan.conditions import all_hold
from pipeline.local.plan.describe_responses import execution_arn
from pipeline.local.plan.expressions import ExpressionError, evaluate
from pipeline.local.plan.plan import JOB_TYPES, STEP_TYPES, Plan, Step
from pipeline.local.plan.scope import RunScope
from pipeline.local.run.job_step import JobContext, JobResult, JobRun, new_job_name
from pipeline.local.run.progress import Listener
from pipeline.local.run.staging import StagingError
from pipeline.local.store.registry import LocalRegistry, RegistryError
from pipeline.local.store.run_record import (
    EXECUTING,
    FAILED,
    NOT_STARTED,
    SKIPPED,
    STOPPED,
    SUCCEEDED,
    RunFailure,
    RunResult,
    StepResult,
    save_run,
)
from pipeline.local.store.store_errors import StoreError, explain

_LOG_LINES = 20


@dataclass(frozen=True)
class JobFinished:
    """A job has ended."""

    step: str
    result: JobResult


@dataclass(frozen=True)
class JobRetryScheduled:
    """A job could not be started, and will be retried."""

    step: str
    reason: str


@dataclass(frozen=True)
class StopRequested:
    """A request to stop the run."""


Event = JobFinished | JobRetryScheduled | StopRequested


class Execution:
    """One run in progress. All state is changed by the thread that calls `run`; job threads only send events."""

    def __init__(
        self,
        plan: Plan,
        context: JobContext,
        record: RunResult,
        events: SimpleQueue[Event],
        listener: Listener,
        max_parallel: int,
    ) -> None:
        self._plan, self._context, self._listener = plan, context, listener
        self._max_parallel = max_parallel
        self._run = record
        self._jobs: dict[str, JobRun] = {}
        self._end_status: str | None = None  # set when nothing new may start
        self._events = events

    def run(self) -> RunResult:
        """Runs to the end."""
        try:
            self._listener.run_started(self._run)
            self._start_ready()
            while self._jobs:
                self._handle(self._events.get())
                self._start_ready()
        except BaseException:
            self._abandon()
            raise
        self._skip_left_out()
        self._run = replace(self._run, status=self._end_status or SUCCEEDED, ended_at=time.time())
        self._save()
        self._listener.run_ended(self._run)
        return self._run

    def _handle(self, event: Event) -> None:
        if isinstance(event, StopRequested):
            self._end(STOPPED)
            return
        if isinstance(event, JobRetryScheduled):
            self._change(replace(self._run.step(event.step), reason=event.reason))
            return
        del self._jobs[event.step]
        result = event.result
        if result.status == STOPPED and self._end_status == FAILED and self._run.failure is not None:
            result = replace(result, reason=f"stopped because step {self._run.failure.step} failed")
        before, log = self._run.step(event.step), self._log(event.step)
        self._finish(
            replace(
                before,
                status=result.status,
                reason=result.reason,
                cached=result.cached,
                attempts=result.attempts,
                log_path=log.relative_to(self._context.store.root).as_posix() if log.is_file() else None,
                outputs=result.outputs,
                properties=result.properties or {},
            )
        )

    def _start_ready(self) -> None:
        """Starts what can start; a step that ends at once can make others ready, so it looks again until none is.

        What is ready at the same time starts at the same time, as in SageMaker: two conditions on one step's results
        both say what they find, also where what follows the first one fails the run.
        """
        self._skip_left_out()
        while self._end_status is None and (ready := self._ready()):
            for step in ready:
                if self._end_status is None:
                    self._start(step)
            self._skip_left_out()

    def _skip_left_out(self) -> None:
        """Marks the steps that conditions have left out; one pass will do, for each follows its predecessors."""
        for step in self._plan.steps:
            result = self._run.step(step.name)
            branch = step.branch
            not_taken = branch and self._run.step(branch.condition).outcome is (not branch.outcome)
            left_out = not_taken or any(self._run.step(name).status == SKIPPED for name in step.predecessors)
            if result.status == NOT_STARTED and left_out:
                self._change(replace(result, status=SKIPPED))

    def _ready(self) -> list[Step]:
        """The steps whose predecessors have succeeded, no more jobs among them than may run."""
        ready = []
        free = self._max_parallel - len(self._jobs)
        for step in self._plan.steps:
            is_job = step.type in JOB_TYPES
            waiting = self._run.step(step.name).status == NOT_STARTED and not (is_job and free <= 0)
            if waiting and all(self._run.step(name).status == SUCCEEDED for name in step.predecessors):
                ready.append(step)
                free -= is_job
        return ready

    def _start(self, step: Step) -> None:
        started = replace(self._run.step(step.name), status=EXECUTING, started_at=time.time())
        try:
            if step.type in JOB_TYPES:
                self._start_job(step, started)
            else:
                self._finish(self._run_inline(step, started))
        except (ExpressionError, RegistryError, StagingError, StoreError) as error:
            self._finish(replace(started, status=FAILED, reason=str(error)))
        except OSError as error:
            self._finish(replace(started, status=FAILED, reason=explain(error)))

    def _start_job(self, step: Step, started: StepResult) -> None:
        name = new_job_name(self._run.execution_id, step.name)
        request = evaluate(step.arguments, self._scope(name))
        try:
            job = JobRun(
                self._context,
                step,
                request,
                name,
                lambda why: self._events.put(JobRetryScheduled(step.name, shorten(why))),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ExpressionError(f"the request is not one of a {step.type} job: {error!r}") from error
        self._change(replace(started, job_name=name))
        threading.Thread(target=self._work, args=(step.name, job), name=step.name, daemon=True).start()
        self._jobs[step.name] = job

    def _work(self, name: str, job: JobRun) -> None:
        """The body of a job's thread; always sends JobFinished."""
        try:
            result = job.run()
        except Exception as error:
            with suppress(OSError):  # the disk may be full
                log = self._log(name)
                log.parent.mkdir(parents=True, exist_ok=True)
                with log.open("a") as text:
                    traceback.print_exc(file=text)
            result = JobResult(FAILED, f"the local runner failed: {type(error).__name__}: {error}")
        self._events.put(JobFinished(name, result))

    def _log(self, step: str) -> Path:
        return self._context.store.step_folder(self._run.execution_id, step) / "logs" / "job.log"

    def _run_inline(self, step: Step, started: StepResult) -> StepResult:
        """A Condition, Fail or RegisterModel step; returns its end."""
        scope = self._scope()
        if step.type == "Condition":
            outcome = all_hold(step.arguments["Conditions"], scope)
            return replace(started, status=SUCCEEDED, outcome=outcome, properties={"Outcome": outcome})
        request = evaluate(step.arguments, scope)
        if step.type == "Fail":
            reason = str(request.get("ErrorMessage") or "the pipeline's Fail step was reached")
            return replace(started, status=FAILED, reason=shorten(reason, FAIL_MESSAGE_CHARACTERS))
        if step.type == "RegisterModel":
            arn = execution_arn(self._run.pipeline_name, self._run.execution_id)
            package = LocalRegistry(self._context.store).register(request, f"{arn}/step/{step.name}")
            return replace(started, status=SUCCEEDED, properties=package)
        raise ExpressionError(f"type {step.type} is none of {', '.join(STEP_TYPES)}")

    def _scope(self, job_name: str = "") -> RunScope:
        return RunScope(self._plan, self._context.store, lambda: self._run, job_name)

    def _finish(self, result: StepResult) -> None:
        result = replace(result, ended_at=time.time())
        if result.status == FAILED and self._run.failure is None and self._end_status is None:
            lines: tuple[str, ...] = ()
            if result.log_path:
                lines = last_lines(self._context.store.root / result.log_path, _LOG_LINES)
            failure = RunFailure(result.name, result.reason or "no reason given", lines)
            self._run = replace(self._run, failure=failure)
        self._change(result)
        if result.status == FAILED:
            self._end(FAILED)

    def _end(self, status: str) -> None:
        """Starts nothing more, and stops running jobs. The first cause sets the run's status."""
        self._end_status = self._end_status or status
        self._stop_jobs()

    def _abandon(self) -> None:
        """Stops the jobs when the runner itself fails, and waits for them."""
        self._stop_jobs()
        while self._jobs:
            event = self._events.get()
            if isinstance(event, JobFinished):
                del self._jobs[event.step]

    def _stop_jobs(self) -> None:
        for job in self._jobs.values():
            job.stop.request()

    def _change(self, result: StepResult) -> None:
        self._run = self._run.with_step(result)
        self._save()
        self._listener.step_changed(self._run, result)

    def _save(self) -> None:
        save_run(self._context.store, self._run)
