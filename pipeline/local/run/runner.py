"""Runs a plan on this machine: starts each step when those it depends on have succeeded, independent ones in parallel.

As in SageMaker Pipelines, nothing new starts once a step has failed; steps that are still running are stopped. A step
that depends on one that a condition left out is left out too. Conditions, Fail and RegisterModel run in
the runner itself; jobs go to a launcher. A run that was killed is marked as stopped when the next one starts.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.local.launch.job import Launcher
from pipeline.local.launch.launch_process import end_orphan
from pipeline.local.plan.plan import JOB_TYPES, Plan, load_plan
from pipeline.local.run.cache import Cache
from pipeline.local.run.execution import Execution
from pipeline.local.run.job_step import JobContext
from pipeline.local.run.progress import Listener, listener_for
from pipeline.local.run.staging import check as check_staging
from pipeline.local.store.history import KILLED, lock_file, note_run
from pipeline.local.store.locks import try_lock, wait_for_lock
from pipeline.local.store.run_record import (
    EXECUTING,
    STOPPED,
    SUCCEEDED,
    DamagedRecordError,
    RunError,
    RunResult,
    StepResult,
    load_run,
    save_run,
    user_name,
)
from pipeline.local.store.store import Store, remove
from pipeline.local.store.store_errors import StoreLostError, explain

# Another run may hold the lock for a moment, to mark the run as stopped.
_SECONDS_FOR_LOCK = 2.0


def run(
    plan: Plan,
    store: Store,
    launcher: Launcher,
    *,
    use_cache: bool = True,
    resume: str | None = None,
    listener: Listener | None = None,
    max_parallel: int | None = None,
    code: str = "",
) -> RunResult:
    """Runs a plan, or resumes the run of that execution id, and returns its result.

    `code` is the digest of the code that the steps run, which is part of each cache key. A resumed run keeps its own
    parameters and constants, and the steps that had succeeded. With `use_cache` false, results are not looked for in
    the cache, but still stored there. Called from the main thread, SIGINT, SIGTERM and SIGHUP stop the run; the result
    then has status Stopped.

    Raises PlanError for a step that cannot run here, before anything has started, RunError for a run that cannot be
    resumed, and StoreLostError where the store cannot be written to any more: the run can then be resumed.
    """
    for step in plan.steps:
        if step.type in JOB_TYPES:
            check_staging(step)
            launcher.check(step)
    mark_killed_runs(store)
    store.sweep_temporary()
    Cache(store).prune()
    started = new_run(plan) if resume is None else load_run(store, resume)
    with run_lock(store, started.execution_id) as marker:
        if resume is not None:
            started = _resumed(plan, store, load_run(store, resume))
            plan = load_plan(plan.definition, started.constants, started.parameters, name=started.pipeline_name)
        context = JobContext(store, launcher, use_cache, code, job_day(started.parameters))
        listener = listener or listener_for(quiet=True)
        execution = Execution(plan, context, started, listener, max_parallel or os.cpu_count() or 1)
        with stop_signals(execution.stop):
            marker.touch()
            save_run(store, started)
            try:
                ended = execution.run()
            except OSError as error:
                reason = explain(error, store.root)
                with suppress(OSError, RunError):
                    mark_stopped(store, started.execution_id, reason)
                raise StoreLostError(f"run {started.execution_id} has stopped: {reason}") from error
            note_run(store, ended)
            with suppress(OSError):
                marker.unlink(missing_ok=True)
    return ended


def job_day(parameters: Mapping[str, object]) -> str:
    """The day of the run's jobs, part of each cache key."""
    try:
        return datetime.now(ZoneInfo(str(parameters.get("TimeZone", "UTC")))).date().isoformat()
    except (ZoneInfoNotFoundError, ValueError, OSError):  # Prepare says what is wrong with it
        return datetime.now(UTC).date().isoformat()


@contextmanager
def run_lock(store: Store, execution_id: str) -> Iterator[Path]:
    """Shows other processes that a run is alive; the operating system releases the lock when this process ends.

    Yields the run's marker: to be made before its record says that the run executes, and removed after the record has
    its end. A run that has left its marker counts as killed; the next run removes one that is out of date.
    """
    descriptor = wait_for_lock(lock_file(store, execution_id), _SECONDS_FOR_LOCK)
    if descriptor is None:
        raise RunError(f"run {execution_id} is still executing in another process; wait for its end")
    try:
        yield store.root / "executing" / execution_id
    finally:
        os.close(descriptor)


def mark_killed_runs(store: Store) -> None:
    """Marks each run whose process has died as Stopped, and ends its orphaned programs."""
    for marker in list((store.root / "executing").iterdir()):
        descriptor = try_lock(lock_file(store, marker.name))
        if descriptor is None:
            continue  # alive
        try:
            _mark_killed(store, marker.name)
            marker.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _mark_killed(store: Store, execution_id: str) -> None:
    with suppress(FileNotFoundError):
        for folder in list((store.run_folder(execution_id) / "steps").iterdir()):
            end_orphan(folder)
    try:
        mark_stopped(store, execution_id, KILLED)
    except DamagedRecordError:
        pass  # named when a run starts; not to be lost
    except RunError:
        remove(store.run_folder(execution_id))  # killed before its first record, or removed by hand


def mark_stopped(store: Store, execution_id: str, reason: str) -> None:
    """Marks a run that no longer executes as stopped, unless its record has an end already.

    Raises RunError where there is no record, or it is damaged.
    """
    run = load_run(store, execution_id)
    if run.status != EXECUTING:
        return
    now = time.time()
    steps = tuple(
        replace(step, status=STOPPED, ended_at=now, reason=reason) if step.status == EXECUTING else step
        for step in run.steps
    )
    stopped = replace(run, status=STOPPED, ended_at=now, steps=steps)
    save_run(store, stopped)
    note_run(store, stopped)


def new_run(plan: Plan, execution_id: str = "") -> RunResult:
    """The record of a run before its first step; the id is a new one, unless it is given."""
    return RunResult(
        execution_id=execution_id or os.urandom(6).hex(),
        pipeline_name=plan.name,
        definition_sha256=plan.definition_sha256,
        constants=plan.constants,
        parameters=plan.parameters,
        started_at=time.time(),
        started_by=user_name(),
        steps=tuple(StepResult(step.name, step.type) for step in plan.steps),
    )


def _resumed(plan: Plan, store: Store, previous: RunResult) -> RunResult:
    """The record of a resumed run: steps that succeeded and still have their outputs are kept. Raises RunError."""
    if previous.status == SUCCEEDED:
        raise RunError(f"run {previous.execution_id} has succeeded: there is nothing to resume; start a new run")
    if previous.definition_sha256 != plan.definition_sha256:
        raise RunError(f"the definition has changed since run {previous.execution_id} started; start a new run")
    if previous.constants.get("CodeVersion") != plan.constants.get("CodeVersion"):  # its model would name the old code
        raise RunError(f"the code has changed since run {previous.execution_id} started; start a new run")
    kept: dict[str, StepResult] = {}
    for step in plan.steps:
        result = previous.step(step.name)
        intact = result.status == SUCCEEDED and all(store.object_path(uri).is_file() for uri in result.outputs)
        if intact and all(name in kept for name in step.predecessors):
            kept[step.name] = replace(result, reused=True)
    return replace(
        previous,
        status=EXECUTING,
        ended_at=None,
        failure=None,
        resumed=previous.resumed + 1,
        steps=tuple(kept.get(step.name, StepResult(step.name, step.type)) for step in plan.steps),
    )


@contextmanager
def stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Turns SIGINT, SIGTERM and SIGHUP into requests to stop; only in the main thread.

    SIGHUP (the terminal is gone) counts too, unless it is ignored, as under nohup.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    previous = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
