"""One entry a run, in a history that outlives the run's own files. Standard library only.

A line of JSON each, in the order in which the runs ended. A run that was resumed and ended again has another line: the
last one counts. A local store keeps the lines in `history.jsonl`, a deployment in the object `HISTORY_KEY`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, TypeVar

from pipeline.contract import names as c

HISTORY_KEY: Final = "history/runs.jsonl"  # in the artifact bucket
# Where a run of the deployed pipeline writes what an entry is made of: keys in the artifact bucket.
PREPARED_KEY: Final = f"runs/{{run_id}}/prepare/{c.REPORT_CHANNEL}/{c.PREPARED_FILE}"
EVALUATION_KEY: Final = f"runs/{{run_id}}/evaluate/{c.EVALUATION_CHANNEL}/{c.EVALUATION_FILE}"
REPORT_KEY: Final = f"runs/{{run_id}}/evaluate/{c.EVALUATION_CHANNEL}/{c.REPORT_FILE}"
MONITOR_KEY: Final = f"{c.MONITOR_CHANNEL}/{c.MONITOR_FILE}"
_Read = TypeVar("_Read")
SUCCEEDED, FAILED, STOPPED = "Succeeded", "Failed", "Stopped"


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
        """Raises KeyError, TypeError or ValueError for one that is damaged; a name of a later release is ignored."""
        known = {item.name: content[item.name] for item in fields(cls) if item.name in content}
        known["alarms"] = tuple(known.get("alarms", ()))
        if known.get("data") is not None:
            known["data"] = DataWindow(**known["data"])
        entry = cls(**known)
        if not (isinstance(entry.run_id, str) and isinstance(entry.started_at, float | int)):
            raise TypeError("it has no id or no start")
        return entry


def read_entries(text: str, name: str) -> tuple[dict[str, RunEntry], list[str]]:
    """The entries by run id, and a sentence for each damaged line of the file `name`, which is ignored."""
    entries, faults = read_lines(text, name, RunEntry.from_json)
    return {entry.run_id: entry for entry in entries}, faults


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
        return replace(entry, **_results(entry, prepared or {}, evaluation or {}, monitor or {}))
    except (KeyError, TypeError, AttributeError):
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
        "data": DataWindow(
            data["first_date"], data["last_labelled_date"], data["n_labelled"], prepared.get("data_fingerprint")
        )
        if data
        else None,
        "fingerprint": prepared.get("fingerprint"),
        "code": entry.code or prepared.get("code_version") or versions.get("code"),
        "git": entry.git or versions.get("git"),
        "alarms": tuple(str(alarm["what"]) for alarm in monitor.get("alarms", ())),
    }


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
