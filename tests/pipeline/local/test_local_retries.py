"""Retry policies: they apply to faults of the launcher, never to a step's own bad end."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import dataclass, field, replace

import pytest
from local_definitions import Json, Workbench, definition, processing

from pipeline.local.launch.job import STOPPED_ON_REQUEST, Job, JobOutcome, LaunchFault, StopSignal
from pipeline.local.plan.plan import Step, _retry_policy
from pipeline.local.run.job_step import with_retries
from pipeline.local.run.progress import PlainProgress, describe


@dataclass
class FaultyLauncher:
    """Raises the given faults one after another, then succeeds."""

    faults: list[str]
    times: list[float] = field(default_factory=list)

    def check(self, step: Step) -> None:
        """Runs everything."""

    def launch(self, job: Job) -> JobOutcome:
        self.times.append(time.monotonic())
        if self.faults:
            raise LaunchFault(self.faults.pop(0), "no machine")
        return JobOutcome("Completed")


def policy(*types: str, attempts: int | None = None, minutes: float | None = None, interval: float = 0.02) -> Json:
    entry: Json = {"ExceptionType": list(types), "IntervalSeconds": interval, "BackoffRate": 3.0}
    if attempts is not None:
        entry["MaxAttempts"] = attempts
    if minutes is not None:
        entry["ExpireAfterMin"] = minutes
    return entry


CAPACITY, SERVICE = "SageMaker.CAPACITY_ERROR", "Step.SERVICE_FAULT"


def test_a_fault_is_retried_with_growing_waits(bench: Workbench) -> None:
    launcher = FaultyLauncher([CAPACITY] * 2)
    step = processing("A", [], retries=[policy(CAPACITY, attempts=3)])
    result = bench.run(definition(step), launcher=launcher)
    assert (result.status, result.steps[0].attempts) == ("Succeeded", 3)
    first, second = (later - sooner for sooner, later in zip(launcher.times, launcher.times[1:], strict=False))
    assert first >= 0.02
    assert second >= 0.06


def test_a_wait_is_told_at_once_with_its_cause(bench: Workbench) -> None:
    step = processing("A", [], retries=[policy(CAPACITY, attempts=3)])
    told = io.StringIO()
    result = bench.run(definition(step), launcher=FaultyLauncher([CAPACITY]), listener=PlainProgress(told))
    assert (result.status, result.steps[0].reason) == ("Succeeded", None)
    assert f"A: {CAPACITY}: no machine; retry in 0.02 s\n" in told.getvalue()
    waiting = replace(result.steps[0], status="Executing", reason="no machine; retry in 60 s")
    assert "retry in 60 s" in describe(waiting)


@pytest.mark.parametrize(
    ("faults", "retries", "attempts"),
    [
        ([CAPACITY] * 9, [policy(CAPACITY, attempts=2)], 3),
        ([SERVICE] * 9, [policy(CAPACITY, attempts=2)], 1),
        ([CAPACITY, SERVICE, CAPACITY, SERVICE], [policy(CAPACITY, attempts=1), policy(SERVICE, attempts=1)], 3),
        ([CAPACITY], [], 1),
    ],
)
def test_a_policy_that_is_used_up_or_does_not_apply_fails_the_step(
    bench: Workbench, faults: list[str], retries: list[Json], attempts: int
) -> None:
    result = bench.run(definition(processing("A", [], retries=retries)), launcher=FaultyLauncher(list(faults)))
    assert result.failure.reason == f"{faults[attempts - 1]}: no machine (attempts: {attempts})"
    assert result.steps[0].attempts == attempts


def test_a_policy_expires() -> None:
    """After 60 ms (the service takes whole minutes): after waits of 20 and 60 ms it has expired."""
    launcher = FaultyLauncher([CAPACITY] * 9)
    policies = tuple(map(_retry_policy, [policy(CAPACITY, minutes=0.001)]))
    outcome, attempts = with_retries(lambda: launcher.launch(None), policies, StopSignal(), print)  # type: ignore[arg-type]
    assert (outcome.status, outcome.message) == ("Failed", f"{CAPACITY}: no machine (attempts: 3)")
    assert attempts == len(launcher.times) == 3


def test_a_stop_ends_the_wait_for_a_retry() -> None:
    stop = StopSignal()
    policies = tuple(map(_retry_policy, [policy(CAPACITY, attempts=1, interval=60)]))
    launcher = FaultyLauncher([CAPACITY])
    threading.Timer(0.05, stop.request).start()
    begin = time.monotonic()
    outcome, attempts = with_retries(lambda: launcher.launch(None), policies, stop, print)  # type: ignore[arg-type]
    assert time.monotonic() - begin < 5
    assert (outcome.status, attempts) == ("Stopped", 1)


def test_a_bad_exit_is_not_retried(bench: Workbench) -> None:
    every = [policy(CAPACITY, SERVICE, "SageMaker.JOB_INTERNAL_ERROR", attempts=5)]
    result = bench.run(definition(processing("A", [f"count:{bench.counter('A')}", "exit:1"], retries=every)))
    assert result.status == "Failed"
    assert (bench.ran("A"), result.steps[0].attempts) == (1, 1)


def test_a_machine_that_cannot_start_processes_is_a_fault(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from pipeline.local.launch import launch_process

    real, calls = launch_process.subprocess.Popen, []

    def out_of_memory(*arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return real(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(launch_process.subprocess, "Popen", out_of_memory)
    result = bench.run(definition(processing("A", [], retries=[policy(CAPACITY, attempts=1)])))
    assert (result.status, result.steps[0].attempts) == ("Succeeded", 2)


def test_a_fault_after_the_request_to_stop_is_the_end_that_was_asked_for() -> None:
    stop = StopSignal()

    def attempt() -> JobOutcome:
        stop.request()
        raise LaunchFault(SERVICE, "the engine's command was interrupted, too")

    assert with_retries(attempt, (), stop, pytest.fail) == (STOPPED_ON_REQUEST, 1)
