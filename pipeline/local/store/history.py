"""The history of a store's runs: history.jsonl, a line a run, which outlives what the clean-up removes.

A line is appended when a run ends, so that a list of a thousand runs reads one file. Runs without a line (of an earlier
release, killed, executing) are read from their own records. Appending is one write under a lock, and is on the disk
when it returns; a line that was cut by a power failure is named, and blocks only itself.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pipeline.contract import names as c
from pipeline.contract.history.runs import RunEntry, decision_of, read_entries, with_results
from pipeline.local.store.locks import is_held
from pipeline.local.store.run_record import (
    EXECUTING,
    STOPPED,
    SUCCEEDED,
    DamagedRecordError,
    RunError,
    RunResult,
    load_run,
)
from pipeline.local.store.store import Store, join_uri, sync

HISTORY_FILE = "history.jsonl"
KILLED = "the runner was killed"


def lock_file(store: Store, execution_id: str) -> Path:
    """What the process of a local run holds as long as it lives."""
    return store.run_folder(execution_id) / "lock"


def output_uri(run: RunResult, step: str, channel: str, file: str) -> str | None:
    """Where a processing step of the run has written a file; None where it has not succeeded."""
    found = next((result for result in run.steps if result.name == step), None)
    if found is None or found.status != SUCCEEDED:
        return None
    outputs = found.properties.get("ProcessingOutputConfig", {}).get("Outputs", ())
    output = (outputs if isinstance(outputs, dict) else {o["OutputName"]: o for o in outputs}).get(channel)
    return join_uri(output["S3Output"]["S3Uri"], file) if output else None


def decide(run: RunResult) -> str | None:
    """registered, champion-kept, no-new-data or failed; None for a run that was stopped."""
    steps = {step.name: step for step in run.steps}
    registered = "Register" in steps and steps["Register"].status == SUCCEEDED
    has_new_data = steps["HasNewData"].outcome if "HasNewData" in steps else None
    return decision_of(run.status, registered=registered, has_new_data=has_new_data)


def entry_of(store: Store, run: RunResult, *, just_ended: bool = False) -> RunEntry:
    """The history's entry of a run. Alarms are known when it has `just_ended`: the next run writes over the monitor."""
    evaluation = output_uri(run, "Evaluate", c.EVALUATION_CHANNEL, c.EVALUATION_FILE)
    prepared = output_uri(run, "Prepare", c.REPORT_CHANNEL, c.PREPARED_FILE)
    monitor = output_uri(run, "Predict", c.MONITOR_CHANNEL, c.MONITOR_FILE) if just_ended else None
    package = next((step.properties for step in run.steps if step.name == "Register"), {})
    failure = run.failure
    stopped = next((step.reason for step in run.steps if step.reason), None)
    entry = RunEntry(
        run_id=run.execution_id,
        status=run.status,
        started_at=run.started_at,
        ended_at=run.ended_at,
        trigger=str(run.parameters.get("TriggerReason", "")),
        started_by=run.started_by,
        decision=decide(run),
        reason=failure.reason if failure else (stopped or "") if run.status != SUCCEEDED else "",
        failed_step=failure.step if failure else None,
        version=package.get("ModelPackageVersion"),
        code=run.constants.get("CodeVersion"),
        git=run.constants.get("GitRevision"),
        definition=run.definition_sha256,
        parameters={name: str(value) for name, value in run.parameters.items()},
        seconds={step.name: round(step.seconds, 3) for step in run.steps if step.job_name},
        report=join_uri(evaluation.rsplit("/", 1)[0], c.REPORT_FILE) if evaluation else None,
    )
    return with_results(entry, *map(store.readable_json, (prepared, evaluation, monitor)))


def note_run(store: Store, run: RunResult) -> None:
    """Append the entry of a run that has ended; where that fails, the next clean-up does it, from the run's record."""
    with suppress(OSError):
        append(store.root / HISTORY_FILE, entry_of(store, run, just_ended=True).line)


def append(path: Path, text: str) -> None:
    """Append whole lines; they are on the disk when this returns."""
    new = not path.exists()
    with path.open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
        size = file.seek(0, os.SEEK_END)
        if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
            text = f"\n{text}"  # the line before was cut
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    if new:
        sync(path.parent)


def read_text(path: Path) -> str:
    """The text of a file of lines; empty where there is none. Bytes that are no text damage their own line only."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def read_history(store: Store) -> tuple[dict[str, RunEntry], list[str]]:
    """The entries by run id, and a sentence for each damaged line or record."""
    path = store.root / HISTORY_FILE
    entries, faults = read_entries(read_text(path), str(path))
    executing = {entry.name for entry in os.scandir(store.root / "executing")}
    for folder in os.scandir(store.root / "runs"):
        if folder.name in entries and folder.name not in executing:
            continue
        try:
            run = load_run(store, folder.name)
        except DamagedRecordError as error:
            faults.append(str(error))
        except RunError:
            continue  # it has no record yet, or was removed meanwhile
        else:
            entry = entry_of(store, run)
            if run.status == EXECUTING and folder.name in executing and not is_held(lock_file(store, folder.name)):
                entry = replace(entry, status=STOPPED, reason=KILLED)  # the next run marks it so in its record
            entries[folder.name] = entry
    return entries, faults


def keep_entries(store: Store) -> None:
    """Append the entries of ended runs that have none yet, before the clean-up removes their records."""
    known, _ = read_entries(read_text(store.root / HISTORY_FILE), HISTORY_FILE)
    found, _ = read_history(store)
    missing = [entry for name, entry in found.items() if name not in known and entry.status != EXECUTING]
    text = "".join(entry.line for entry in sorted(missing, key=lambda entry: entry.started_at))
    if text:
        append(store.root / HISTORY_FILE, text)
