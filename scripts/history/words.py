"""Runs and versions of the past as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.contract.history.runs import RunEntry, changes
from pipeline.contract.history.versions import Service, VersionEvent
from pipeline.contract.metrics import decimal
from pipeline.contract.promotion import APPROVED
from scripts.history.history import RunHistory
from scripts.output.execution import duration as between


def moment(seconds: float | None) -> str:
    """Minutes, UTC."""
    return "-" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def number(value: float | None) -> str:
    """At most four significant digits."""
    return "-" if value is None else decimal(value)


def lasting(run: RunEntry) -> str:
    """`4 min 12 s`."""
    start = datetime.fromtimestamp(run.started_at, UTC)
    return "-" if run.ended_at is None else between(start, datetime.fromtimestamp(run.ended_at, UTC))


def approval(run: RunEntry, decision: VersionEvent | None) -> str:
    """`version 3, approved by ann on 2025-03-01 08:00: better`."""
    if run.version is None:
        return "none"
    if decision is None:
        return f"version {run.version}, not decided"
    word = "approved" if decision.event == APPROVED else "rejected"
    by = f" by {decision.by}" if decision.by else ""
    reason = f": {decision.reason}" if decision.reason else ", no reason given"
    return f"version {run.version}, {word}{by} on {moment(decision.at)}{reason}"


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line a run; `rows` as RunHistory gives them."""
    yield (
        f"{'run':<14}{'started (UTC)':<18}{'trigger':<12}{'status':<11}{'decision':<15}{'candidate':>9}{'champion':>10}"
        f"  {'version':<13}{'took':<12}changed"
    )
    for row in rows:
        run = RunEntry.from_json(row)
        decided = row["approval"] and ("approved" if row["approval"]["approved"] else "rejected")
        version = "-" if run.version is None else f"{run.version} {decided or 'waits'}"
        yield (
            f"{run.run_id:<14}{moment(run.started_at):<18}{(run.trigger or '-')[:11]:<12}{run.status:<11}"
            f"{run.decision or '-':<15}{number(run.candidate_loss):>9}{number(run.champion_loss):>10}  {version:<13}"
            f"{lasting(run):<12}{', '.join(row['changed']) or '-'}"
        )


def facts(history: RunHistory, run: RunEntry, loss: str) -> dict[str, str]:
    """What is known of a run, each in words; `loss` is what its losses are called."""
    cost, data = history.cost(run), run.data
    return {
        "status": f"{run.status}{f' in {run.failed_step}' if run.failed_step else ''}",
        "decision": run.decision or "none",
        "reason": run.reason or "-",
        "started": moment(run.started_at),
        "started by": f"{run.started_by or 'unknown'} (trigger: {run.trigger or 'unknown'})",
        "took": lasting(run),
        "cost": "-" if cost is None else f"${cost:.4f} at most",
        "as of": run.as_of_date or "-",
        "data": f"{data.n_rows:,} {run.rows or 'rows'}, {data.first_date} to {data.last_date}" if data else "-",
        "data fingerprint": (data and data.fingerprint) or "-",
        "fingerprint": run.fingerprint or "-",
        loss: f"candidate {number(run.candidate_loss)}, champion {number(run.champion_loss)}, baseline "
        f"{number(run.baseline_loss)}",
        "version": approval(run, history.approval(run)),
        "code": f"{(run.code or '-')[:12]}, git {run.git or 'unknown'}",
        "definition": (run.definition or "-")[:12],
        "alarms": "; ".join(run.alarms) or "none",
        "report": history.link(run) or "no longer kept",
    }


def shown(history: RunHistory, run: RunEntry) -> Iterator[str]:
    """A run for people, with what has changed since the run before."""
    yield f"run {run.run_id}"
    for name, text in facts(history, run, run.loss or "loss").items():
        yield f"  {name:<17} {text}"
    before = history.before(run)
    if before:
        yield f"changed since the run before, {before.run_id}:"
        yield from _changes(before, run)


def compared(history: RunHistory, first: RunEntry, second: RunEntry) -> Iterator[str]:
    """Two runs beside each other: where they differ, first the one and then the other."""
    loss = first.loss or second.loss or "loss"
    left, right = facts(history, first, loss), facts(history, second, loss)
    yield f"{'':<19} {first.run_id} / {second.run_id}"
    for name, one in left.items():
        other = right[name]
        yield f"  {name:<17} {one}" if one == other else f"  {name:<17} {one}\n  {'':<17} {other}"
    yield f"changed from {first.run_id} to {second.run_id}:"
    yield from _changes(first, second)


def _changes(before: RunEntry, after: RunEntry) -> Iterator[str]:
    found = changes(before, after)
    yield from (f"  {name}: {text}" for name, text in found.items())
    if not found:
        yield "  nothing that both know: data, code, parameters, definition"


def service_lines(services: Sequence[Service]) -> Iterator[str]:
    """The times in service, newest first."""
    if not services:
        yield "no version was in service"
    for service in reversed(services):
        until = f"to {moment(service.until)}" if service.until is not None else "until now"
        yield f"version {service.version}: {moment(service.since)} {until} (UTC)"
        approved = service.approved
        if approved is None:
            yield "    approved before there was a history"
        else:
            by = f" by {approved.by}" if approved.by else ", by whom is not known,"
            yield f"    approved{by} on {moment(approved.at)}: {approved.reason or 'no reason given'}"
        if service.left:
            yield f"    went because {service.left}"
