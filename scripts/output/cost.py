"""An estimate of the cost as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.contract.metrics import decimal
from pipeline.cost.estimate import Estimate
from pipeline.cost.prices import PRICES_FILE, Prices
from pipeline.cost.run_cost import SLOW_STARTUP_SECONDS, RunCost


@dataclass(frozen=True)
class EstimateBasis:
    pipeline: str
    enabled: bool
    prices: Prices
    origin: str
    startup_seconds: float


def page(found: Estimate, basis: EstimateBasis) -> list[str]:
    title = f"{basis.pipeline} in {basis.prices.region}, US dollars, list prices of {basis.prices.as_of}"
    parts = (run_table(found), _fixed_costs(found), _spans(found), _assumptions(found, basis))
    return [title, *(line for part in parts for line in ("", *part))]


def run_table(found: Estimate) -> list[str]:
    step = max(10, *(len(cost.job.step) + 2 for cost in found.run_costs.with_training.jobs))
    left = step + 16
    lines = [f"{'a run':<{left}}{'no training':>14}{'with training':>15}"]
    for cost in found.run_costs.with_training.jobs:
        dollars = decimal(cost.dollars)
        always = dollars if cost.job.always else ""
        why = f"   {cost.billed_seconds - cost.work_seconds:.0f} s start-up, {cost.work_seconds:.0f} s work"
        several = f" each of {cost.job.count} instances" if cost.job.count > 1 else ""
        lines.append(f"  {cost.job.step:<{step}}{cost.job.instance:<14}{always:>14}{dollars:>15}{why}{several}")
    pair = (found.run_costs.without_training, found.run_costs.with_training)
    for name, values in {
        "  requests, log lines": [cost.request_dollars for cost in pair],
        "  total": [cost.dollars for cost in pair],
        "  instance hours": [cost.instance_hours for cost in pair],
    }.items():
        lines.append(f"{name:<{left}}{decimal(values[0]):>14}{decimal(values[1]):>15}")
    return lines


def _fixed_costs(found: Estimate) -> list[str]:
    """A ? marks a price that is not verified."""
    lines = ["fixed monthly cost"]
    for line in sorted(found.fixed_costs, key=lambda line: -line.dollars):
        lines.append(f"  {line.name:<28}{line.dollars:>8.2f}{' ' if line.verified else '?'}  {line.note}")
    return [*lines, f"  {'total':<28}{found.fixed_dollars:>8.2f}"]


def _spans(found: Estimate) -> list[str]:
    lines = [f"{'':<22}{'runs':>6}{'trainings':>11}{'runs cost':>11}{'fixed':>10}{'total':>10}"]
    for span in found.spans:
        lines.append(
            f"{'a ' + span.name:<22}{span.runs:>6.0f}{span.trainings:>11.0f}{span.run_dollars:>11.2f}"
            f"{span.fixed_dollars:>10.2f}{span.dollars:>10.2f}"
        )
    return lines


def _assumptions(found: Estimate, basis: EstimateBasis) -> list[str]:
    unverified = sum(line.dollars for line in found.fixed_costs if not line.verified)
    disabled = "The schedule is disabled (enabled=false): no run starts automatically."
    return [
        *([] if basis.enabled else [disabled]),
        f"Seconds of work: {basis.origin}, over the speed of each instance.",
        f"Start-up billed: {basis.startup_seconds:.0f} s a job (--startup-seconds; the whole of a slow start is "
        f"{SLOW_STARTUP_SECONDS:.0f}).",
        f"Prices and their sources: pipeline/cost/{PRICES_FILE.name}. A ? marks those that were not verified: "
        f"${unverified:.2f} a month.",
        "Free tiers are not deducted. The estimate has not been compared with a real bill.",
    ]


def as_object(found: Estimate, basis: EstimateBasis) -> dict[str, Any]:

    def run(one: RunCost) -> dict[str, Any]:
        jobs_of_it = [
            {**asdict(cost.job), "dollars": cost.dollars, "billed_seconds": cost.billed_seconds} for cost in one.jobs
        ]
        return {"dollars": one.dollars, "instance_hours": one.instance_hours, "jobs": jobs_of_it}

    return {
        "pipeline": basis.pipeline,
        "region": basis.prices.region,
        "prices_as_of": basis.prices.as_of,
        "startup_seconds": basis.startup_seconds,
        "seconds_from": basis.origin,
        "run_without_training": run(found.run_costs.without_training),
        "run_with_training": run(found.run_costs.with_training),
        "fixed_dollars_a_month": found.fixed_dollars,
        "fixed_costs": [asdict(line) for line in found.fixed_costs],
        "spans": [{**asdict(span), "dollars": span.dollars} for span in found.spans],
    }
