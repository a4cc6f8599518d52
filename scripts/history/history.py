"""What a store or a deployed pipeline remembers of its runs and versions, and how two runs differ.

Of a deployed pipeline that is two objects of the artifact bucket and the list of its executions. The function that
watches runs writes an entry when a run has ended (`infra.failure_notifications`), the one that follows the registry
what happened to versions. So a list asks three times for a page of runs, and never for a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from time import time
from typing import Any, Final

import click

from infra.lambda_shared.console import s3_object
from pipeline.contract import names as c
from pipeline.contract.history import versions
from pipeline.contract.history.runs import FAILED, HISTORY_KEY, RunEntry, changes, newest_first, read_entries
from pipeline.contract.history.versions import VersionEvent, decision_about, new_events, read_events
from pipeline.contract.promotion import APPROVED
from pipeline.cost.prices import PriceError, Prices, load_prices
from pipeline.cost.run_cost import jobs
from pipeline.cost.run_limit import with_parameters
from pipeline.local.local_deployment import ARTIFACT_BUCKET, MODEL_PACKAGE_GROUP
from pipeline.local.store.history import read_history, read_text
from pipeline.local.store.local_champion import read_champion, versions_file
from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.run_record import record_path
from pipeline.local.store.store import Store
from pipeline.local.store.store_errors import StoreError
from scripts.cloud.connection import DeployedPipeline
from scripts.cloud.review import AwsReview

PAGE: Final = 100  # MaxResults of ListPipelineExecutions


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
    deployed: DeployedPipeline | None = None

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

    @cached_property
    def _before(self) -> Mapping[str, RunEntry | None]:
        return dict(zip((run.run_id for run in self.runs), [*self.runs[1:], None], strict=True))

    def before(self, run: RunEntry) -> RunEntry | None:
        return self._before[run.run_id]

    def approval(self, run: RunEntry) -> VersionEvent | None:
        """The last decision about the version that a run registered."""
        return None if run.version is None else decision_about(self.events, run.version)

    def rows(self, runs: Sequence[RunEntry]) -> Iterator[dict[str, Any]]:
        """Runs as JSON objects, with approval, cost, report and what has changed since the run before."""
        for run in runs:
            decision, previous = self.approval(run), self.before(run)
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


def local_history(store: Store) -> RunHistory:
    """All runs of a store; reading changes nothing."""
    entries, faults = read_history(store)
    events, champion, more = local_versions(store)
    return RunHistory(
        name=str(store.root),
        runs=newest_first(entries),
        events=events,
        faults=[*faults, *more],
        link=lambda run: _report(store, run),
        cost=lambda run: None,  # this machine has no price
        champion=champion,
    )


def local_versions(store: Store) -> tuple[list[VersionEvent], int | None, list[str]]:
    """What happened to versions, also where an earlier release kept no history; the version in use; faults."""
    path = versions_file(store, MODEL_PACKAGE_GROUP)
    known, faults = read_events(read_text(path), str(path))
    registry = LocalRegistry(store)
    faults += registry.damaged(MODEL_PACKAGE_GROUP).values()
    try:
        champion = read_champion(store, ARTIFACT_BUCKET)["version"]
    except StoreError as error:
        return known, None, [*faults, str(error)]
    return [*known, *new_events(known, registry.packages(MODEL_PACKAGE_GROUP), champion, time())], champion, faults


def _report(store: Store, run: RunEntry) -> str | None:
    """What the run has left to read: its report, or else the monitor's, or else its record; None once all are gone."""
    folder = store.run_folder(run.run_id)
    evaluated = [folder / c.REPORT_FILE, store.object_path(run.report)] if run.report else []
    found: list[Path] = [*evaluated, folder / c.MONITOR_REPORT_FILE, record_path(store, run.run_id)]
    return next((str(path) for path in found if path.is_file()), None)


def cloud_history(review: AwsReview, *, since: float | None, limit: int) -> RunHistory:
    """At least the newest `limit` runs since a moment; reading changes nothing."""
    deployed = review.deployed
    entries, faults = read_entries(review.read_text(HISTORY_KEY), HISTORY_KEY)
    events, more = review.history()
    found = dict(entries)
    given: dict[str, Any] = {} if since is None else {"CreatedAfter": datetime.fromtimestamp(since, UTC)}
    n_listed = 0
    while True:
        page = deployed.client.list_pipeline_executions(
            PipelineName=deployed.name, SortBy="CreationTime", SortOrder="Descending", MaxResults=PAGE, **given
        )
        listed = [_listed(summary, entries) for summary in page["PipelineExecutionSummaries"]]
        found |= {entry.run_id: entry for entry in listed}
        n_listed += len(listed)
        all_known = len(entries) >= limit and all(entry is entries.get(entry.run_id) for entry in listed)
        if "NextToken" not in page or n_listed >= limit or all_known:
            break
        given["NextToken"] = page["NextToken"]
    in_service = [event.version for event in events if event.event == versions.IN_SERVICE]
    prices, definition = load_prices(), review.definition
    return RunHistory(
        name=deployed.name,
        runs=newest_first(found),
        events=events,
        faults=[*faults, *more],
        link=lambda run: run.report and s3_object(deployed.region, deployed.partition, run.report),
        cost=lambda run: run_cost(run, definition, prices),
        champion=in_service[-1] if in_service else None,
        deployed=deployed,
    )


def _listed(summary: Mapping[str, Any], entries: Mapping[str, RunEntry]) -> RunEntry:
    """The history's entry where it is of this state of the run, else what the list says."""
    run_id = str(summary["PipelineExecutionArn"]).rsplit("/", maxsplit=1)[-1]
    status = str(summary["PipelineExecutionStatus"])
    known = entries.get(run_id)
    if known and known.status == status:
        return known
    return RunEntry(
        run_id,
        status,
        (summary.get("StartTime") or datetime.now(UTC)).timestamp(),  # optional in the API: it has just begun
        decision=c.FAILED if status == FAILED else None,
        reason=str(summary.get("PipelineExecutionFailureReason") or ""),
    )


def run_cost(run: RunEntry, definition: Mapping[str, Any], prices: Prices) -> float | None:
    """Dollars of the run's jobs, if all of their time is billed (the wait for an instance is not).

    List prices of us-east-1; None where the seconds are not known, or a type has no price.
    """
    known = {job.step: job for job in jobs(with_parameters(definition, run.parameters))}
    try:
        dollars = [
            known[step].count * seconds / 3600 * prices.instance(known[step].instance).price(known[step].kind).usd
            for step, seconds in run.seconds.items()
            if step in known
        ]
    except PriceError:
        return None
    return sum(dollars) if dollars else None


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
