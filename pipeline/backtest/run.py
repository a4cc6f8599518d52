"""A whole backtest: load, fit, judge, simulate, score. What `python -m scripts.backtest` and the tests call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.candidates import ALL_PERIODS, CandidateCalendar, build_calendar
from pipeline.backtest.faults import Faults, Injection, inject
from pipeline.backtest.fit_cache import FitCache
from pipeline.backtest.fits import CLEAN, Advance, Fits, Source, fit_all
from pipeline.backtest.judgements import Alarms, Judgements
from pipeline.backtest.policies import Policy, default_policy
from pipeline.backtest.results import Bound, Choice, PolicyResult, bounds, choose, summarise
from pipeline.backtest.service import Service
from pipeline.backtest.simulate import NO_CHAMPION, Outcome, Simulation
from pipeline.backtest.world import BacktestError, World, load_world
from pipeline.contract.gates import gate_parameters
from pipeline.contract.parameters import parameters_of, snake_case
from pipeline.contract.spec import Spec, Value
from pipeline.contract.workload import Workload, current_workload
from pipeline.cost.run_cost import RunCosts, default_run_costs
from pipeline.training.model import Hyperparameters

MOST_PROMOTIONS: Final = 120  # of the bound: more gain nothing that could have been known


@dataclass(frozen=True)
class BacktestSettings:
    """What is tested; `overrides` are pipeline parameters, checked and typed."""

    data: Path
    first: date
    last: date
    policies: tuple[Policy, ...]
    overrides: Mapping[str, Value] = field(default_factory=dict)
    injections: tuple[Injection, ...] = ()
    choose_until: int | None = None  # last of the earlier periods; None: two thirds of the periods
    run_days: tuple[date, ...] | None = None  # None: every day of the span
    jobs: int | None = None
    workload: Workload = field(default_factory=current_workload)

    @property
    def spec(self) -> Spec:
        return self.workload.spec

    def parameter(self, name: str) -> Any:  # noqa: ANN401 - of the parameter's own type
        if name in self.overrides:
            return self.overrides[name]
        return parameters_of(self.spec).defaults[name]

    @property
    def own_parameters(self) -> dict[str, str]:
        """The workload's parameters that its features are told."""
        return {p.name: str(self.parameter(p.name)) for p in self.spec.parameters if p.for_prepare}

    @property
    def limits(self) -> dict[str, float]:
        return {name: float(self.parameter(name)) for name in gate_parameters(self.spec)}

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The training config; raises ValueError that names key, value and range."""
        names = {snake_case(p.name): p.name for p in parameters_of(self.spec).hyperparameters}
        return Hyperparameters.from_strings({key: str(self.parameter(name)) for key, name in names.items()})


Progress = Callable[[str, int], Advance]  # told a stage's name and how many parts it has


def silent(stage: str, total: int) -> Advance:
    return lambda _: None


@dataclass(frozen=True)
class Prepared:
    """Everything that policies share: after this, they cost microseconds a run."""

    settings: BacktestSettings
    world: World
    calendar: CandidateCalendar
    fits: Fits
    judgements: Judgements
    passes: NDArray[np.bool_]
    alarms: Alarms
    service: Service
    faults: Faults


@dataclass(frozen=True)
class BacktestResult:
    prepared: Prepared
    outcome: Outcome
    losses: NDArray[np.float64]  # (policies, days), summed over a day's rows
    results: tuple[PolicyResult, ...]
    bounds: tuple[Bound, ...]
    choice: Choice | None
    run_costs: RunCosts

    @property
    def n_rows(self) -> int:
        return int(self.prepared.service.n_rows.sum())

    @property
    def affordable_bound(self) -> float | None:
        """The bound for one promotion a period, a row."""
        periods = len(set(self.prepared.service.period.tolist()))
        found = [bound for bound in self.bounds if bound.promotions <= periods]
        return found[-1].loss / self.n_rows if found else None


def prepare(settings: BacktestSettings, cache: FitCache, progress: Progress = silent) -> Prepared:
    """Load the rows, fit every candidate that the policies may ask for, and judge each alone."""
    world = load_world(
        settings.workload,
        settings.data,
        first=settings.first,
        last=settings.last,
        parameters=settings.own_parameters,
        max_bad_row_share=float(settings.parameter("MaxBadRowShare")),
        min_rows=int(settings.parameter("MinRows")),
        run_days=settings.run_days,
    )
    faults = inject(world, settings.data, settings.injections, settings.parameter("MaxBadRowShare"))
    windows = {policy.window for policy in settings.policies} | {ALL_PERIODS}
    n_rows = int(settings.parameter("WalkForwardRows"))
    calendar = build_calendar(world, windows, n_rows, faults.tampering)
    clean = Source(world.X, world.target, world.layout)
    sources = {CLEAN: clean, **faults.sources}
    keys = set(calendar.fit_keys())
    fitting = progress("fitting", len(keys))
    fits = fit_all(keys, sources, settings.hyperparameters, cache, jobs=settings.jobs, progress=fitting)
    judgements = Judgements(world, calendar, fits)
    passes = judgements.passes(settings.limits, progress("judging", len(calendar.candidates)))
    service = Service(judgements, clean.digests[-1], faults.refused)
    return Prepared(settings, world, calendar, fits, judgements, passes, Alarms(judgements), service, faults)


def simulate(prepared: Prepared, policies: Sequence[Policy], progress: Progress = silent) -> Outcome:
    p = prepared
    simulation = Simulation(policies, p.judgements, p.passes, p.alarms, p.settings.limits, p.faults.refused)
    return simulation.run(progress("runs", len(p.world.run_days)))


def run_backtest(settings: BacktestSettings, cache: FitCache, progress: Progress = silent) -> BacktestResult:
    """Everything, in order. Raises BacktestError, BadData, StepError or ValueError for what cannot be tested."""
    prepared = prepare(settings, cache, progress)
    outcome = simulate(prepared, settings.policies, progress)
    prepared.judgements.save()
    done = progress("scoring", 3)
    losses = prepared.service.losses(outcome)
    done(1)
    run_costs = default_run_costs(workload=settings.spec.name)
    results = summarise(outcome, losses, prepared.service, run_costs)
    done(1)
    found = bound_of(prepared)
    done(1)
    margin = float(settings.parameter("NonInferiorityMargin"))
    until = settings.choose_until if settings.choose_until is not None else two_thirds(prepared.service)
    default = default_policy(settings.spec).name
    choice = choose(outcome, losses, prepared.service, run_costs, until, margin=margin, default=default)
    if choice is None and settings.choose_until is not None:
        periods = np.unique(prepared.service.period)
        raise BacktestError(
            f"--choose-until {until} leaves nothing to score: the span has the periods {periods[0]} to {periods[-1]}"
        )
    return BacktestResult(prepared, outcome, losses, tuple(results), tuple(found), choice, run_costs)


def two_thirds(service: Service) -> int:
    """The last of the first two thirds of the periods."""
    periods = np.unique(service.period)
    return int(periods[max(0, len(periods) * 2 // 3 - 1)])


def bound_of(prepared: Prepared) -> list[Bound]:
    """The bound over the candidates of all periods on nightly state, without any fault."""
    service, world = prepared.service, prepared.world
    of_run = prepared.calendar.of_run[ALL_PERIODS]
    numbers, first_run = np.unique(of_run, return_index=True)
    sound = np.array([not prepared.calendar.candidates[n].fault for n in numbers.tolist()])
    numbers, first_run = numbers[sound], first_run[sound]
    # made by a run, in service from the next one on
    start = np.searchsorted(service.run_of_day, first_run, side="right")
    serves = start < len(service.days)
    numbers, start = numbers[serves], start[serves]
    order = np.argsort(start, kind="stable")
    champion = np.repeat(numbers[order].astype(np.int32)[:, None], len(world.run_days), axis=1)
    every = Outcome((Policy(),) * len(numbers), champion, champion, {})
    without = Outcome((Policy(),), np.full((1, len(world.run_days)), NO_CHAMPION, np.int32), champion[:1], {})
    return bounds(service.losses(every), start[order], service.losses(without)[0], MOST_PROMOTIONS)
