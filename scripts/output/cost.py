"""An estimate of the bill in words and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.cost.estimate import Estimate
from pipeline.cost.prices import PRICES_FILE, Prices
from pipeline.cost.run_cost import SLOW_STARTUP_SECONDS, Night


@dataclass(frozen=True)
class Notes:
    """What an estimate rests on."""

    pipeline: str
    enabled: bool
    prices: Prices
    origin: str
    startup_seconds: float


def page(found: Estimate, notes: Notes) -> list[str]:
    """The estimate for people."""
    title = f"{notes.pipeline} in {notes.prices.region}, US dollars, list prices of {notes.prices.as_of}"
    return [
        title,
        "",
        *night_table(found),
        "",
        *standing_table(found),
        "",
        *span_table(found),
        "",
        *remarks(found, notes),
    ]


def night_table(found: Estimate) -> list[str]:
    """A night with each job."""
    step = max(10, *(len(cost.job.step) + 2 for cost in found.nights.training.jobs))
    left = step + 16
    lines = [f"{'a night':<{left}}{'without news':>14}{'with training':>15}"]
    for cost in found.nights.training.jobs:
        quiet = f"{cost.dollars:.4f}" if cost.job.always else ""
        why = f"   {cost.billed_seconds - cost.work_seconds:.0f} s start-up, {cost.work_seconds:.0f} s work"
        several = f" each of {cost.job.count} machines" if cost.job.count > 1 else ""
        lines.append(f"  {cost.job.step:<{step}}{cost.job.machine:<14}{quiet:>14}{cost.dollars:>15.4f}{why}{several}")
    pair = (found.nights.no_news, found.nights.training)
    for name, values in {
        "  requests, log lines": [night.request_dollars for night in pair],
        "  together": [night.dollars for night in pair],
        "  machine hours": [night.machine_hours for night in pair],
    }.items():
        lines.append(f"{name:<{left}}{values[0]:>14.4f}{values[1]:>15.4f}")
    return lines


def standing_table(found: Estimate) -> list[str]:
    """What is charged each month whether runs come or not; a ? marks a price that is not verified."""
    lines = ["fixed monthly cost"]
    for line in sorted(found.standing, key=lambda line: -line.dollars):
        lines.append(f"  {line.what:<28}{line.dollars:>8.2f}{' ' if line.verified else '?'}  {line.why}")
    return [*lines, f"  {'together':<28}{found.standing_dollars:>8.2f}"]


def span_table(found: Estimate) -> list[str]:
    """What each span costs."""
    lines = [f"{'':<22}{'runs':>6}{'trainings':>11}{'runs cost':>11}{'standing':>10}{'together':>10}"]
    for span in found.spans:
        lines.append(
            f"{'a ' + span.name:<22}{span.runs:>6.0f}{span.trainings:>11.0f}{span.run_dollars:>11.2f}"
            f"{span.standing_dollars:>10.2f}{span.dollars:>10.2f}"
        )
    return lines


def remarks(found: Estimate, notes: Notes) -> list[str]:
    """What it rests on."""
    lines = [] if notes.enabled else ["The schedule is off (enabled=false): no run starts by itself."]
    unverified = sum(line.dollars for line in found.standing if not line.verified)
    return [
        *lines,
        f"Seconds of work: {notes.origin}, over the speed of each machine.",
        f"Start-up billed: {notes.startup_seconds:.0f} s a job (--startup-seconds; all of a slow start would be "
        f"{SLOW_STARTUP_SECONDS:.0f}).",
        f"Prices and their sources: pipeline/cost/{PRICES_FILE.name}. A ? marks those that were not verified: "
        f"${unverified:.2f} a month.",
        "Free tiers are not taken off. This has not been compared with a real bill.",
    ]


def as_object(found: Estimate, notes: Notes) -> dict[str, Any]:
    """The estimate for programs."""

    def night(one: Night) -> dict[str, Any]:
        jobs_of_it = [
            {**asdict(cost.job), "dollars": cost.dollars, "billed_seconds": cost.billed_seconds} for cost in one.jobs
        ]
        return {"dollars": one.dollars, "machine_hours": one.machine_hours, "jobs": jobs_of_it}

    return {
        "pipeline": notes.pipeline,
        "region": notes.prices.region,
        "prices_as_of": notes.prices.as_of,
        "startup_seconds": notes.startup_seconds,
        "seconds_from": notes.origin,
        "night_without_news": night(found.nights.no_news),
        "night_with_training": night(found.nights.training),
        "standing_dollars_a_month": found.standing_dollars,
        "standing": [asdict(line) for line in found.standing],
        "spans": [{**asdict(span), "dollars": span.dollars} for span in found.spans],
    }
