"""The history of a deployed pipeline: two objects of the artifact bucket, and the list of its executions.

The function that watches runs writes an entry when a run has ended (`infra.failure_notifications`), the one that
follows the registry what happened to versions. So a list asks three times for a page of runs, and never for a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from infra.lambda_shared.console import s3_object
from pipeline.contract.history import runs, versions
from pipeline.contract.history.runs import RunEntry
from pipeline.cost.prices import PriceError, Prices, load_prices
from pipeline.cost.run_cost import jobs
from pipeline.cost.run_limit import with_parameters
from scripts.cloud.review import AwsReview
from scripts.history.history import RunHistory

PAGE: Final = 100  # MaxResults of ListPipelineExecutions


def cloud_history(review: AwsReview, *, since: float | None, limit: int) -> RunHistory:
    """At least the newest `limit` runs since a moment; reading changes nothing."""
    deployed = review.deployed
    entries, faults = runs.read_entries(review.read_text(runs.HISTORY_KEY), runs.HISTORY_KEY)
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
        runs=runs.newest_first(found),
        events=events,
        faults=[*faults, *more],
        link=lambda run: run.report and s3_object(deployed.region, deployed.partition, run.report),
        cost=lambda run: run_cost(run, definition, prices),
        champion=in_service[-1] if in_service else None,
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
        decision=runs.FAILED.lower() if status == runs.FAILED else None,
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
