"""A backtest as one HTML page that loads nothing: what to choose, what it costs, and what it rests on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pipeline.backtest.figures import MOST_LINES, figures_of
from pipeline.backtest.fit_cache import whole_or_absent
from pipeline.backtest.policies import NIGHTLY_STATE, default_policy
from pipeline.backtest.results import Bound
from pipeline.backtest.run import BacktestResult
from pipeline.contract.metrics import metrics_of, primary_metric
from pipeline.contract.spec import Metric, Spec
from pipeline.evaluation.report_words import page_template

TEMPLATE: Final = Path(__file__).with_name("backtest.html.j2")


def write_report(file: Path, done: BacktestResult, *, simulated: bool) -> None:
    """Write the page, whole or not at all."""
    with whole_or_absent(file) as partial:
        partial.write_text(render(done, simulated=simulated), encoding="utf-8")


def render(done: BacktestResult, *, simulated: bool) -> str:
    settings, service, spec = done.prepared.settings, done.prepared.service, done.prepared.settings.spec
    shown, n_rows = pictured(done), done.n_rows
    return page_template(TEMPLATE).render(
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
        bounds=_bounds_shown(done),
        never=done.losses[0].sum() / n_rows,
        periods=sorted({int(period) for period in service.period}),
        shown=[done.results[n] for n in shown],
        n_rows=n_rows,
        n_runs=len(done.prepared.world.run_days),
        n_candidates=len(done.prepared.calendar.candidates),
        refusal=done.prepared.faults.refusal,
        limits=settings.limits,
        overrides=settings.overrides,
        run_costs=done.run_costs,
        **figures_of(done, shown, f" (simulated {spec.rows})" if simulated else ""),
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
    return found[:MOST_LINES]


def _bounds_shown(done: BacktestResult) -> list[Bound]:
    periods = len(set(done.prepared.service.period.tolist()))
    return [b for b in done.bounds if b.promotions in (1, periods, 6 * periods, done.bounds[-1].promotions)]
