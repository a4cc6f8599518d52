"""The record of a run: the content of its run.json."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pipeline.local.plan.expressions import Value
from pipeline.local.store.store import Store, parsed_json
from pipeline.local.store.store_errors import explain, shown

EXECUTING, SUCCEEDED, FAILED, STOPPED = "Executing", "Succeeded", "Failed", "Stopped"
# Steps only: not reached because the run ended first; or on a side that a condition did not take.
NOT_STARTED, SKIPPED = "NotStarted", "Skipped"


class RunError(Exception):
    """A run that cannot be found or resumed; the message says why and lists recent runs."""


class DamagedRecordError(RunError):
    """A run whose record cannot be read; the message names the file and what to do."""


@dataclass(frozen=True)
class StepResult:
    """State of a step of a run. Times are seconds since the epoch."""

    name: str
    type: str
    status: str = NOT_STARTED
    started_at: float | None = None
    ended_at: float | None = None
    cached: bool = False  # restored from the cache
    reused: bool = False  # kept from before the run was resumed
    reason: str | None = None
    attempts: int = 0
    outcome: bool | None = None  # of a Condition
    job_name: str | None = None
    log_path: str | None = None  # relative to the store
    outputs: tuple[str, ...] = ()  # S3 locations of the objects written
    properties: dict[str, Any] = field(default_factory=dict)  # in the shape of the Describe* response

    @property
    def seconds(self) -> float:
        """How long the step took; 0 for one that has not run to its end."""
        ended = self.started_at is not None and self.ended_at is not None
        return max(0.0, (self.ended_at or 0.0) - (self.started_at or 0.0)) if ended else 0.0  # a clock may be set back


@dataclass(frozen=True)
class RunFailure:
    step: str
    reason: str
    log_lines: tuple[str, ...] = ()  # the last ones of the step's program


@dataclass(frozen=True)
class RunResult:
    """State of a run. Times are seconds since the epoch."""

    execution_id: str
    pipeline_name: str
    definition_sha256: str
    constants: Mapping[str, str]
    parameters: Mapping[str, Value]
    started_at: float
    status: str = EXECUTING
    ended_at: float | None = None
    resumed: int = 0  # how often
    steps: tuple[StepResult, ...] = ()
    failure: RunFailure | None = None
    started_by: str = ""  # the user; not known of older runs

    def step(self, name: str) -> StepResult:
        return next(step for step in self.steps if step.name == name)

    def with_step(self, changed: StepResult) -> RunResult:
        return replace(self, steps=tuple(changed if step.name == changed.name else step for step in self.steps))


def user_name() -> str:
    """Who runs this program, as the system or LOGNAME, USER, ... say; the number of a user without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # in a container, under a number that no file names
        return f"user {os.getuid()}"


def record_path(store: Store, execution_id: str) -> Path:
    return store.run_folder(execution_id) / "run.json"


def save_run(store: Store, run: RunResult) -> None:
    """Replaces a run's record; that of a run that has ended is there after a power failure too."""
    content = asdict(run)
    for step, entry in zip(run.steps, content["steps"], strict=True):
        entry["seconds"] = round(step.seconds, 3)  # for readers; computed again when loaded
    store.write_json(record_path(store, run.execution_id), content, durable=run.status != EXECUTING)


def load_run(store: Store, execution_id: str) -> RunResult:
    """Reads a run's record; raises RunError that lists recent runs for an id that does not exist.

    Raises DamagedRecordError for a record that cannot be read.
    """
    path = record_path(store, execution_id)
    try:
        return _parsed(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        recent = ", ".join(f"{run.execution_id} ({run.status})" for run in recent_runs(store)) or "none"
        raise RunError(f"there is no run {execution_id} in {store.root}; recent runs: {recent}") from None
    except OSError as error:
        raise DamagedRecordError(explain(error)) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DamagedRecordError(
            f"{shown(path)} is damaged ({type(error).__name__}: {error}): the run is ignored; remove its folder, or "
            "put the file back from a backup"
        ) from error


def _parsed(data: bytes) -> RunResult:
    content: Any = parsed_json(data)
    steps = tuple(StepResult(**{**_known(StepResult, e), "outputs": tuple(e["outputs"])}) for e in content["steps"])
    failure = content["failure"]
    if failure is not None:
        failure = RunFailure(failure["step"], failure["reason"], tuple(failure["log_lines"]))
    run = RunResult(**{**_known(RunResult, content), "steps": steps, "failure": failure})
    if run.status not in (EXECUTING, SUCCEEDED, FAILED, STOPPED):
        raise ValueError(f"its status is {run.status!r}")
    return run


def _known(kind: type[RunResult | StepResult], entry: dict[str, Any]) -> dict[str, Any]:
    """The fields that this release knows: a later one may have written more."""
    known = {item.name for item in fields(kind)}
    return {name: value for name, value in entry.items() if name in known}


def recent_runs(store: Store, count: int | None = 5) -> tuple[RunResult, ...]:
    """The runs that started last and have a readable record, newest first; None: all of them."""
    records = (store.root / "runs").glob("*/run.json")
    runs = [run for path in records if (run := readable_run(store, path.parent.name))]
    return tuple(sorted(runs, key=lambda run: run.started_at, reverse=True)[:count])


def readable_run(store: Store, execution_id: str) -> RunResult | None:
    """A run, or None where its record is damaged or gone."""
    path = record_path(store, execution_id)
    try:
        return _parsed(path.read_bytes())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def damaged_records(store: Store) -> tuple[str, ...]:
    """What is wrong with the records that cannot be read, a sentence each."""
    faults = []
    for path in sorted((store.root / "runs").glob("*/run.json")):
        try:
            load_run(store, path.parent.name)
        except DamagedRecordError as error:
            faults.append(str(error))
        except RunError:
            continue  # removed meanwhile
    return tuple(faults)
