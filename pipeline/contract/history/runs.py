"""One entry a run, in a history that outlives the run's own files. Standard library only.

A line of JSON each, in the order in which the runs ended. A run that was resumed and ended again has another line: the
last one counts. A local store keeps the lines in `history.jsonl`, a deployment in the object `HISTORY_KEY`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import UnionType
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from pipeline.contract import names as c

HISTORY_KEY: Final = "history/runs.jsonl"  # in the artifact bucket
# Where a run of the deployed pipeline writes what an entry is made of: keys in the artifact bucket.
PREPARED_KEY: Final = f"runs/{{run_id}}/prepare/{c.REPORT_CHANNEL}/{c.PREPARED_FILE}"
EVALUATION_KEY: Final = f"runs/{{run_id}}/evaluate/{c.EVALUATION_CHANNEL}/{c.EVALUATION_FILE}"
REPORT_KEY: Final = f"runs/{{run_id}}/evaluate/{c.EVALUATION_CHANNEL}/{c.REPORT_FILE}"
MONITOR_KEY: Final = f"{c.MONITOR_CHANNEL}/{c.MONITOR_FILE}"
_Read = TypeVar("_Read")
_LATEST: Final = 253_370_764_800.0  # the year 9999, which is the last of datetime
SUCCEEDED, FAILED, STOPPED = "Succeeded", "Failed", "Stopped"
_JOBS: Final = ("ProcessingJob", "TrainingJob")


@dataclass(frozen=True)
class DataWindow:
    """What a run has read: the labelled rows, and a digest of them."""

    first_date: str
    last_date: str
    n_rows: int
    fingerprint: str | None = None


@dataclass(frozen=True)
class RunEntry:
    """What is known of a run. Times are seconds since 1970; None and empty where it is not known, or did not happen."""

    run_id: str
    status: str
    started_at: float
    ended_at: float | None = None
    trigger: str = ""  # the parameter TriggerReason
    started_by: str = ""  # a person, or a role
    decision: str | None = None
    reason: str = ""
    failed_step: str | None = None
    as_of_date: str | None = None
    rows: str = ""  # what the workload calls them
    loss: str = ""  # the name of the losses below
    candidate_loss: float | None = None
    champion_loss: float | None = None
    baseline_loss: float | None = None
    version: int | None = None  # that it registered
    data: DataWindow | None = None
    fingerprint: str | None = None  # of rows, training config, parameters and code
    code: str | None = None
    git: str | None = None
    definition: str | None = None  # digest, or in the cloud its version
    parameters: Mapping[str, str] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()  # of the monitor
    seconds: Mapping[str, float] = field(default_factory=dict)  # of each job
    report: str | None = None  # S3 location, where the run evaluated a candidate

    @property
    def duration(self) -> float | None:
        return None if self.ended_at is None else self.ended_at - self.started_at

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "data": None if self.data is None else {**vars(self.data)}, "alarms": list(self.alarms)}

    @property
    def line(self) -> str:
        """The entry as the history keeps it, with its newline."""
        return json.dumps(self.as_json(), separators=(",", ":")) + "\n"

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RunEntry:
        """Raises TypeError, ValueError or AttributeError for one that is damaged, as `from_line` does."""
        data = content.get("data")
        read = {
            "data": None if data is None else from_line(DataWindow, data),
            "alarms": tuple(map(str, content.get("alarms", ()))),
            "seconds": {name: float(seconds) for name, seconds in content.get("seconds", {}).items()},
        }
        return from_line(cls, {**content, **read})


def from_line(kind: Callable[..., _Read], content: Mapping[str, Any]) -> _Read:
    """A dataclass from JSON; raises TypeError where a name is missing. A name of a later release is ignored."""
    return checked(kind(**{name: content[name] for name in _kinds(kind) if name in content}))


def checked(made: _Read) -> _Read:
    """Raises TypeError for a value of another type than its field, ValueError for a time out of range.

    What reads it later would fail for all lines.
    """
    kind: Callable[..., object] = type(made)
    for name, allowed in _kinds(kind).items():
        value = getattr(made, name)
        if not isinstance(value, allowed):
            raise TypeError(f"{name} is {value!r}")
        if name.endswith("at") and isinstance(value, float | int) and not 0 <= value < _LATEST:
            raise ValueError(f"{name} is {value!r}, no time")
    return made


@cache
def _kinds(kind: Callable[..., object]) -> dict[str, tuple[type, ...]]:
    """What each field may hold: what it is declared as, without what is in brackets; whole numbers are numbers, too."""
    parts = {name: get_args(h) if isinstance(h, UnionType) else (h,) for name, h in get_type_hints(kind).items()}
    return {n: (*(get_origin(p) or p for p in some), *([int] if float in some else [])) for n, some in parts.items()}


def read_entries(text: str, name: str) -> tuple[dict[str, RunEntry], list[str]]:
    """The last entry of each run by its id, in their order, and a sentence for each damaged line of the file `name`."""
    entries, faults = read_lines(text, name, RunEntry.from_json)
    found: dict[str, RunEntry] = {}
    for entry in entries:
        found.pop(entry.run_id, None)  # of a run that was resumed: it ended last with its last line
        found[entry.run_id] = entry
    return found, faults


def read_lines(text: str, name: str, parse: Callable[[Any], _Read]) -> tuple[list[_Read], list[str]]:
    """What `parse` makes of each line of JSON, and a sentence for each damaged line of the file `name`."""
    found: list[_Read] = []
    faults: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found.append(parse(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            faults.append(f"{name}, line {number} is damaged ({error}): that line is ignored")
    return found, faults


def decision_of(status: str, *, registered: bool, has_new_data: bool | None) -> str | None:
    """What a run has decided; None for one that was stopped or executes."""
    if status == FAILED:
        return c.FAILED
    if status != SUCCEEDED:
        return None
    if registered:
        return c.REGISTERED
    return c.NO_NEW_DATA if has_new_data is False else c.CHAMPION_KEPT


def describe_execution(
    client: Any,  # noqa: ANN401 - boto3's
    arn: str,
) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]], Mapping[str, str]]:
    """A run of the deployed pipeline as the service describes it, its steps (oldest first) and its parameters."""
    asked = {"PipelineExecutionArn": arn}
    pages = client.get_paginator("list_pipeline_execution_steps").paginate(**asked, SortOrder="Ascending")
    chosen = client.get_paginator("list_pipeline_parameters_for_execution").paginate(**asked)
    return (
        client.describe_pipeline_execution(**asked),
        [step for page in pages for step in page["PipelineExecutionSteps"]],
        {p["Name"]: str(p["Value"]) for page in chosen for p in page.get("PipelineParameters", ())},
    )


def entry_of_execution(
    described: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    parameters: Mapping[str, str],
    failure_of: Callable[[Mapping[str, Any]], str],
) -> RunEntry:
    """The entry of a run as `describe_execution` gives it; `failure_of` gives the reason of a failed step."""
    status, version = str(described["PipelineExecutionStatus"]), described.get("PipelineVersionId")
    by_name = {step["StepName"]: step for step in steps}
    failed = next((step for step in steps if step["StepStatus"] == FAILED), None)
    register = by_name.get("Register", {})
    registered = register.get("StepStatus") == SUCCEEDED
    outcome = by_name.get("HasNewData", {}).get("Metadata", {}).get("Condition", {}).get("Outcome")
    reason = failure_of(failed) if failed else str(described.get("FailureReason") or "")
    return RunEntry(
        run_id=_id(described["PipelineExecutionArn"]),
        status=status,
        started_at=described["CreationTime"].timestamp(),
        ended_at=described["LastModifiedTime"].timestamp(),
        trigger=parameters.get("TriggerReason") or "manual",
        started_by=_starter(described),
        decision=decision_of(
            status, registered=registered, has_new_data=None if outcome is None else str(outcome).lower() == "true"
        ),
        reason=reason if status != SUCCEEDED else "",
        failed_step=failed["StepName"] if failed else None,
        version=int(_id(register["Metadata"]["RegisterModel"]["Arn"])) if registered else None,
        definition=f"version {version}" if version else None,
        parameters=parameters,
        seconds={
            name: (step["EndTime"] - step["StartTime"]).total_seconds()
            for name, step in by_name.items()
            if any(kind in step.get("Metadata", {}) for kind in _JOBS) and {"StartTime", "EndTime"} <= step.keys()
        },
    )


def _id(arn: str) -> str:
    return arn.rsplit("/", maxsplit=1)[-1]


def _starter(described: Mapping[str, Any]) -> str:
    """Who started it; the execution's name where the service does not say: the workflow names those that it starts."""
    who = described.get("CreatedBy") or {}
    known = who.get("UserProfileName") or (who.get("IamIdentity") or {}).get("Arn")
    return str(known or described.get("PipelineExecutionDisplayName") or "")


def with_results(
    entry: RunEntry,
    prepared: Mapping[str, Any] | None,
    evaluation: Mapping[str, Any] | None,
    monitor: Mapping[str, Any] | None,
) -> RunEntry:
    """The entry with what prepared.json, evaluation.json and monitor.json say, where the run has written them.

    A file that is damaged hides what it says, and not the run: then the entry is as it was.
    """
    try:
        return checked(replace(entry, **_results(entry, prepared or {}, evaluation or {}, monitor or {})))
    except (KeyError, TypeError, ValueError, AttributeError):
        return entry


def _results(
    entry: RunEntry, prepared: Mapping[str, Any], evaluation: Mapping[str, Any], monitor: Mapping[str, Any]
) -> dict[str, Any]:
    data, metrics, key = prepared.get("data"), evaluation.get("metrics") or {}, evaluation.get("primary_metric", "")
    versions = evaluation.get("versions", {})
    why = evaluation if entry.decision in (c.REGISTERED, c.CHAMPION_KEPT) else prepared
    return {
        "reason": entry.reason or ("" if entry.decision is None else str(why.get("reason", ""))),
        "as_of_date": prepared.get("as_of_date"),
        "rows": evaluation.get("rows") or monitor.get("rows", ""),
        "loss": evaluation.get("metric_words", {}).get(key, {}).get("label", ""),
        **{f"{who}_loss": (metrics.get(who) or {}).get(key) for who in (c.CANDIDATE, c.CHAMPION, c.BASELINE)},
        "data": checked(
            DataWindow(
                data["first_date"], data["last_labelled_date"], data["n_labelled"], prepared.get("data_fingerprint")
            )
        )
        if data
        else None,
        "fingerprint": prepared.get("fingerprint"),
        "code": entry.code or prepared.get("code_version") or versions.get("code"),
        "git": entry.git or versions.get("git"),
        "alarms": alarms_of(monitor),
    }


def alarms_of(monitor: Mapping[str, Any]) -> tuple[str, ...]:
    """What a monitor report asks people to look at; that it could not be computed is one of these."""
    failure = (str(monitor["summary"]),) if "failure" in monitor else ()
    return (*failure, *(str(alarm["what"]) for alarm in monitor.get("alarms", ())))


def changes(before: RunEntry, after: RunEntry) -> dict[str, str]:
    """What differs between two runs: any of data, code, parameters, definition, each in words.

    Where one of them did not get so far as to know, nothing is said.
    """
    found: dict[str, str] = {}
    if before.data and after.data and _data_key(before, after) != _data_key(after, before):
        found["data"] = f"{_window(before.data)} -> {_window(after.data)}"
    if before.code and after.code and before.code != after.code:
        found["code"] = f"{_revision(before)} -> {_revision(after)}"
    if before.definition and after.definition and before.definition != after.definition:
        found["definition"] = f"{before.definition[:12]} -> {after.definition[:12]}"
    names = sorted(before.parameters.keys() | after.parameters.keys())
    differing = [
        f"{name} {before.parameters.get(name, 'default')} -> {after.parameters.get(name, 'default')}"
        for name in names
        if before.parameters.get(name) != after.parameters.get(name)
    ]
    if differing:
        found["parameters"] = ", ".join(differing)
    return found


def _data_key(run: RunEntry, other: RunEntry) -> object:
    """The digests of the rows where both are known, else the window."""
    if run.data and other.data and run.data.fingerprint and other.data.fingerprint:
        return run.data.fingerprint
    return run.data and (run.data.first_date, run.data.last_date, run.data.n_rows)


def _window(data: DataWindow) -> str:
    return f"{data.n_rows:,} rows to {data.last_date}" + (f" ({data.fingerprint[:8]})" if data.fingerprint else "")


def _revision(run: RunEntry) -> str:
    return f"git {run.git[:12]}" if run.git and run.git != "unknown" else str(run.code)[:12]


def newest_first(entries: Mapping[str, RunEntry]) -> Sequence[RunEntry]:
    return sorted(entries.values(), key=lambda entry: (entry.started_at, entry.run_id), reverse=True)
