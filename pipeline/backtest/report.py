"""A backtest as one HTML page that loads nothing: what to choose, what it costs, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray

from pipeline import evaluation
from pipeline.backtest import figures
from pipeline.backtest.fit_cache import write_atomically
from pipeline.backtest.policies import NIGHTLY_STATE, default_policy
from pipeline.backtest.results import PolicyResult
from pipeline.backtest.run import BacktestResult
from pipeline.contract.metrics import metrics_of, primary_metric
from pipeline.contract.spec import Metric, Spec
from pipeline.evaluation.report_words import capitalized, number, signed

TEMPLATE: Final = "backtest.html.j2"
STYLE: Final = Path(evaluation.__file__).parent  # of all reports
_MOST_ROWS: Final = 8


@dataclass(frozen=True)
class BoundRow:
    """The bound with so many promotions, and how much better it is than `never`."""

    promotions: int
    loss: float
    against_never: float


def write_report(file: Path, done: BacktestResult, *, simulated: bool) -> None:
    """Write the page, whole or not at all."""
    write_atomically(file, render(done, simulated=simulated).encode())


def render(done: BacktestResult, *, simulated: bool) -> str:
    """The page's text."""
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, STYLE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "signed": signed, "capitalized": capitalized}
    settings, service, spec = done.prepared.settings, done.prepared.service, done.prepared.settings.spec
    shown = pictured(done)
    return environment.get_template(TEMPLATE).render(
        settings=settings,
        rows=spec.rows,
        row=spec.row,
        period=done.prepared.world.period_word,
        loss=primary_metric(spec).label,
        metrics=shown_metrics(spec),
        unit={"row": "days"}.get(spec.unit, f"{spec.unit}s"),
        simulated=simulated,
        results=sorted(done.results, key=lambda result: result.loss),
        default=default_policy(spec).name,
        choice=done.choice,
        bounds=bound_rows(done),
        periods=sorted({int(period) for period in service.period}),
        shown=[done.results[n] for n in shown],
        n_rows=int(service.n_rows.sum()),
        n_nights=len(done.prepared.world.nights),
        n_candidates=len(done.prepared.calendar.candidates),
        refusal=done.prepared.faults.refusal,
        limits=settings.limits,
        overrides=settings.overrides,
        nights=done.nights,
        **_figures(done, shown, f" (simulated {spec.rows})" if simulated else ""),
    )


def shown_metrics(spec: Spec) -> list[Metric]:
    """The metrics of a table of policies: those that are better when lower, but not of quantiles."""
    return [m for m in metrics_of(spec) if m.better == "lower" and m.key not in ("quantile_loss", "coverage_error")]


def pictured(done: BacktestResult) -> list[int]:
    """The few policies that the pictures show: the default, the chosen one, the best, and others that differ."""
    names = [result.name for result in done.results]
    ranked = sorted(range(len(names)), key=lambda n: done.results[n].loss)
    wanted = [
        default_policy(done.prepared.settings.spec).name,
        *([done.choice.best.name, done.choice.cheapest.name] if done.choice else []),
        "nightly",
    ]
    candidates = [names.index(name) for name in wanted if name in names] + ranked
    found: list[int] = []
    paths: set[bytes] = {done.outcome.champion[0].tobytes()}  # never is the zero line
    for n in candidates:
        path = done.outcome.champion[n].tobytes()
        if path not in paths and done.results[n].policy.state == NIGHTLY_STATE:
            paths.add(path)
            found.append(n)
    return found[: figures.MOST_LINES]


def bound_rows(done: BacktestResult) -> list[BoundRow]:
    """The bound at a few counts of promotions."""
    n_rows = float(done.prepared.service.n_rows.sum())
    never = float(done.losses[0].sum())
    periods = len(set(done.prepared.service.period.tolist()))
    counts = sorted({1, periods, 6 * periods, done.bounds[-1].promotions})
    return [
        BoundRow(b.promotions, b.loss / n_rows, (b.loss - never) / n_rows)
        for b in done.bounds
        if b.promotions in counts
    ]


def _figures(done: BacktestResult, shown: Sequence[int], source: str) -> dict[str, Any]:
    settings, service = done.prepared.settings, done.prepared.service
    days = service.days.astype("datetime64[D]")
    loss = primary_metric(settings.spec).label
    lines = [figures.Line(done.results[n].name, np.cumsum(done.losses[0] - done.losses[n])) for n in shown]
    span = (str(settings.first), str(settings.last))
    rows = [_row(done, n) for n in list(dict.fromkeys([0, *shown]))[:_MOST_ROWS]]
    return {
        "saved_figure": figures.saved_over_time(days, lines, settings.injections, f"Loss over time{source}", loss),
        "dollars_figure": figures.dollars_against_loss(
            _dots(done, shown), _affordable_bound(done), f"Dollars against loss{source}", loss
        ),
        "promotions_figure": figures.promotions(rows, settings.injections, span, f"Promotions{source}"),
    }


def _affordable_bound(done: BacktestResult) -> float | None:
    """The bound for one promotion a period."""
    periods = len(set(done.prepared.service.period.tolist()))
    found = [b for b in done.bounds if b.promotions <= periods]
    return found[-1].loss / float(done.prepared.service.n_rows.sum()) if found else None


def _dots(done: BacktestResult, shown: Sequence[int]) -> list[figures.Dot]:
    """Policies on nightly state only: those with an older state are far above, and in the table."""
    never = done.results[0].loss
    return [
        figures.Dot(
            dollars=result.dollars_a_month,
            loss=result.loss,
            lower=never + result.difference.lower,
            upper=never + result.difference.upper,
            label=result.name if n in shown or n == 0 else "",
            highlighted=n in shown or n == 0,
        )
        for n, result in enumerate(done.results)
        if result.policy.state == NIGHTLY_STATE
    ]


def _row(done: BacktestResult, n: int) -> figures.Row:
    result: PolicyResult = done.results[n]
    promoted: NDArray[np.int32] = done.outcome.promoted[n]
    versions = promoted[promoted >= 0].tolist()
    faulty = np.array([done.prepared.calendar.candidates[v].fault != "" for v in versions], dtype=np.bool_)
    return figures.Row(result.name, np.array(result.promotions, dtype="datetime64[D]"), faulty)
