"""Would a run cost more than the deployment allows (setting `max_run_usd`)? Asked before each start, by hand or not.

Standard library only: a Lambda function asks it too, so `client` is boto3's client of SageMaker.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from pipeline.cost.prices import PriceError, Prices, load_prices
from pipeline.cost.run_cost import (
    STARTUP_SECONDS,
    JobCost,
    PipelineJob,
    RunCost,
    job_cost,
    jobs,
    measured_seconds,
    total_cost,
)

LIMIT_TAG: Final = "max-run-usd"  # of the pipeline: the setting, for the command that starts a run
LOOK_BACK: Final = 31  # runs: a month of nightly ones, of which one trains
_OF_TYPE: Final = {"Integer": int, "Float": float}


def check_run_cost(
    client: Any,  # noqa: ANN401 - boto3 builds it at run time
    pipeline: str,
    definition: Mapping[str, Any],
    given: Mapping[str, str],
    limit: float,
) -> str | None:
    """Why a run with these parameters may not start, or None; what the jobs took is read from the latest runs."""
    asked = with_parameters(definition, given)
    return refusal(asked, limit, last_seconds(client, pipeline, {job.step for job in jobs(asked)}))


def last_seconds(client: Any, pipeline: str, steps: Collection[str]) -> dict[str, float]:  # noqa: ANN401
    """Seconds from begin to end of each step, where it last succeeded in the latest runs: waiting for instances too."""
    found: dict[str, float] = {}
    runs = client.list_pipeline_executions(
        PipelineName=pipeline, SortBy="CreationTime", SortOrder="Descending", MaxResults=LOOK_BACK
    )["PipelineExecutionSummaries"]
    for run in runs:
        if found.keys() >= set(steps):
            break
        listed = client.list_pipeline_execution_steps(PipelineExecutionArn=run["PipelineExecutionArn"], MaxResults=100)
        for step in listed["PipelineExecutionSteps"]:
            if step.get("StepStatus") == "Succeeded" and "EndTime" in step and "CacheHitResult" not in step:
                found.setdefault(step["StepName"], (step["EndTime"] - step["StartTime"]).total_seconds())
    return found


def refusal(definition: Mapping[str, Any], limit: float, last: Mapping[str, float]) -> str | None:
    """Why a run of this definition, with the defaults of its parameters, may not start, or None.

    The estimate is of a run that trains. A job takes as long as the committed measurement says, or as it last took
    (`last`, billed seconds by step) where that is longer: on other instances than last time too, because how much
    faster those are is not known. A price or a duration that is not known is a reason to refuse, not to guess.
    """
    prices = load_prices()
    try:
        costs = [_cost(job, last.get(job.step), prices) for job in jobs(definition)]
    except PriceError as error:
        return f"what a run costs cannot be compared with max_run_usd ({limit:g}): {error}"
    run = total_cost(costs, prices)
    if run.dollars <= limit:
        return None
    return (
        f"a run that trains is estimated at ${run.dollars:.4g}, above max_run_usd ({limit:g}): {_drivers(run, prices)} "
        f"(list prices of {prices.region}, {prices.as_of}; ? marks those that were not verified). Choose smaller or "
        "fewer instances, or raise max_run_usd in the settings and deploy"
    )


def _cost(job: PipelineJob, last: float | None, prices: Prices) -> JobCost:
    """Raises PriceError for an instance type without a price, and a step without a duration."""
    seconds, speed = measured_seconds().get(job.step), prices.instance(job.instance).speed
    if seconds is None and last is None:
        raise PriceError(
            f"how long {job.step} takes is not known: it never succeeded here, and was never measured "
            "(python -m benchmarks.job_needs --write)"
        )
    return job_cost(job, max(seconds or 0.0, ((last or 0.0) - STARTUP_SECONDS) * speed), prices)


def _drivers(run: RunCost, prices: Prices) -> str:
    """The jobs, the dearest first."""
    found = []
    for cost in sorted(run.jobs, key=lambda cost: -cost.dollars):
        job, mark = cost.job, "" if prices.instance(cost.job.instance).price(cost.job.kind).verified else "?"
        instances = f"{job.count} x {job.instance} for {cost.billed_seconds:,.0f} s"
        found.append(f"{job.step} ${cost.dollars:.4g}{mark} ({instances})")
    return ", ".join(found)


def with_parameters(definition: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """The definition with these values, which are text, as its parameters' defaults."""
    parameters = [
        {**p, "DefaultValue": _OF_TYPE.get(p["Type"], str)(given[p["Name"]])} if p["Name"] in given else p
        for p in definition["Parameters"]
    ]
    return {**definition, "Parameters": parameters}
