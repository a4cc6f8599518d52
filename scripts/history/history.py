"""What a store or a deployment remembers of its runs, and how two runs differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from pipeline.contract.history.runs import RunEntry, changes
from pipeline.contract.history.versions import VersionEvent, decision_about
from pipeline.contract.promotion import APPROVED


@dataclass(frozen=True)
class RunHistory:
    """Runs, newest first, and what happened to versions, oldest first."""

    name: str  # of the store or pipeline
    runs: Sequence[RunEntry]
    events: Sequence[VersionEvent]
    faults: Sequence[str]  # what could not be read, a sentence each
    link: Callable[[RunEntry], str | None]  # the run's own report: a path or an address
    cost: Callable[[RunEntry], float | None]  # dollars
    champion: int | None = None

    def find(self, run_id: str) -> RunEntry:
        """A run by its id or the beginning of it; raises click.UsageError that lists the newest runs."""
        found = [run for run in self.runs if run.run_id.startswith(run_id)] if run_id else []
        exact = [run for run in found if run.run_id == run_id]
        if exact or len(found) == 1:
            return [*exact, *found][0]
        if found:
            raise click.UsageError(f"several runs begin with {run_id}: {', '.join(run.run_id for run in found[:5])}")
        newest = ", ".join(f"{run.run_id} ({run.status})" for run in self.runs[:5]) or "none"
        raise click.UsageError(f"there is no run {run_id} in {self.name}; newest runs: {newest}")

    def before(self, run: RunEntry) -> RunEntry | None:
        return next((other for other in self.runs if other.started_at < run.started_at), None)

    def approval(self, run: RunEntry) -> VersionEvent | None:
        """The last decision about the version that a run registered."""
        return None if run.version is None else decision_about(self.events, run.version)

    def rows(self, runs: Sequence[RunEntry]) -> Iterator[dict[str, Any]]:
        """Runs as JSON objects, with approval, cost, report and what has changed since the run before."""
        before = dict(zip((run.run_id for run in self.runs), [*self.runs[1:], None], strict=True))
        for run in runs:
            decision, previous = self.approval(run), before[run.run_id]
            approval: dict[str, Any] | None = None
            if decision:
                approval = {"approved": decision.event == APPROVED, "by": decision.by}
                approval |= {"at": decision.at, "reason": decision.reason}
            yield {
                **run.as_json(),
                "duration": run.duration,
                "approval": approval,
                "cost_usd": self.cost(run),
                "run_before": previous and previous.run_id,
                "changed": changes(previous, run) if previous else {},
                "report": self.link(run),
            }


class Since(click.ParamType[float]):
    """A day or moment (UTC) or a number of days before now, as seconds since 1970."""

    name = "DAY|Nd"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        try:
            if text.endswith("d") and text[:-1].isdecimal():
                return (datetime.now(UTC) - timedelta(days=int(text[:-1]))).timestamp()
            moment = datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            self.fail(f'"{text}" is no day: write 2025-03-01, or 30d for the last 30 days', param, ctx)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
