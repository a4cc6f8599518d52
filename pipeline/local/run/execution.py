"""One run in progress: starts steps when their predecessors have succeeded, and keeps the run's record."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from queue import SimpleQueue

from pipeline.contract.names import FAIL_MESSAGE_CHARACTERS
from pipeline.contract.reasons import shorten
from pipeline.local.launch.hosts import last_lines
from pipeline.local.launch.job import Job, new_job
from pipeline.local.plan.expressions import ExpressionError, RunScope, all_hold, evaluate, execution_arn
from pipeline.local.plan.plan import JOB_TYPES, Plan, Step
from pipeline.local.run.job_step import JobContext, new_job_name, run_job
from pipeline.local.run.progress import Listener
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


class Execution:
    """One run in progress. All state is changed by the thread that calls `run`; others send it what to do."""

    def __init__(
        self, plan: Plan, context: JobContext, record: RunResult, listener: Listener, max_parallel: int
    ) -> None:
        self._plan, self._context, self._listener = plan, context, listener
        self._max_parallel = max_parallel
        self._run = record
        self._jobs: dict[str, tuple[Job, threading.Thread]] = {}
        self._end_status: str | None = None  # set when nothing new may start
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def stop(self) -> None:
        """Asks for the end of the run, from any thread or signal handler."""
        self._events.put(partial(self._end, STOPPED))

    def run(self) -> RunResult:
        try:
            self._show()
            self._start_ready()
            while self._jobs:
                self._events.get()()
                self._start_ready()
        except BaseException:
            self._stop_jobs()
            for _, thread in self._jobs.values():
                thread.join()
            self._run = replace(self._run, status=STOPPED, ended_at=time.time())
            self._show()  # a live table gives the terminal back
            raise
        self._skip_left_out()
        self._run = replace(self._run, status=self._end_status or SUCCEEDED, ended_at=time.time())
        self._save()
        self._show()
        return self._run

    def _job_ended(self, result: StepResult) -> None:
        job, _ = self._jobs.pop(result.name)
        if result.status == STOPPED and self._end_status == FAILED and self._run.failure is not None:
            result = replace(result, reason=f"stopped because step {self._run.failure.step} failed")
        log = job.log_path.relative_to(self._context.store.root).as_posix() if job.log_path.is_file() else None
        self._finish(replace(result, log_path=log))

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
        except (ExpressionError, RegistryError, StoreError) as error:
            self._finish(replace(started, status=FAILED, reason=str(error)))
        except OSError as error:
            self._finish(replace(started, status=FAILED, reason=explain(error)))

    def _start_job(self, step: Step, started: StepResult) -> None:
        name = new_job_name(self._run.execution_id, step.name)
        folder = self._context.store.step_folder(self._run.execution_id, step.name)
        job = new_job(step, name, evaluate(step.arguments, self._scope(name)), folder)
        started = replace(started, job_name=name)
        self._change(started)
        thread = threading.Thread(target=self._work, args=(job, started), name=step.name, daemon=True)
        thread.start()
        self._jobs[step.name] = job, thread

    def _work(self, job: Job, started: StepResult) -> None:
        """The body of a job's thread; always sends the job's end."""

        def on_retry(why: str) -> None:
            self._events.put(partial(self._change, replace(started, reason=shorten(why))))

        try:
            result = run_job(self._context, job, started, on_retry)
        except Exception as error:
            with suppress(OSError):  # the disk may be full
                job.log_path.parent.mkdir(parents=True, exist_ok=True)
                with job.log_path.open("a") as text:
                    traceback.print_exc(file=text)
            reason = f"the local runner failed: {type(error).__name__}: {error}"
            result = replace(started, status=FAILED, reason=reason)
        self._events.put(partial(self._job_ended, result))

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
        arn = execution_arn(self._run.pipeline_name, self._run.execution_id)
        package = LocalRegistry(self._context.store).register(request, f"{arn}/step/{step.name}")
        return replace(started, status=SUCCEEDED, properties=package)

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

    def _stop_jobs(self) -> None:
        for job, _ in self._jobs.values():
            job.stop.request()

    def _change(self, result: StepResult) -> None:
        self._run = self._run.with_step(result)
        self._save()
        self._show(result)

    def _show(self, step: StepResult | None = None) -> None:
        with suppress(OSError):  # whoever looked is gone: nothing that the run needs
            self._listener(self._run, step)

    def _save(self) -> None:
        save_run(self._context.store, self._run)
