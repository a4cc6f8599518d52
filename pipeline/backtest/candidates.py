"""Each run's candidate: what Train would have made of the labels known then, by window of periods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from pipeline.backtest.fits import CLEAN, FitKey
from pipeline.backtest.world import IntArray, World
from pipeline.training.walk_forward import checkpoints

ALL_PERIODS: Final = 0


@dataclass(frozen=True)
class WalkForwardPart:
    """Rows [begin, end) of a candidate's walk-forward predictions, predicted by the fit of one checkpoint."""

    begin: int
    end: int
    fit: FitKey


@dataclass(frozen=True)
class Candidate:
    """A training set, the fit that is shipped and those of its walk-forward predictions.

    `fault` names what was wrong with it.
    """

    begin: int
    end: int
    shipped: FitKey
    walk_forward: tuple[WalkForwardPart, ...]
    fault: str = ""

    @property
    def first(self) -> int:
        """The first row of its walk-forward predictions; `end` where it has none."""
        return self.walk_forward[0].begin if self.walk_forward else self.end


@dataclass(frozen=True)
class CandidateCalendar:
    """All candidates, and which one each run has: `of_run` by window, of the shape (runs,)."""

    candidates: tuple[Candidate, ...]
    of_run: dict[int, IntArray]

    def fit_keys(self) -> Iterable[FitKey]:
        for candidate in self.candidates:
            yield candidate.shipped
            yield from (part.fit for part in candidate.walk_forward)


@dataclass(frozen=True)
class Tampering:
    """A fault of training on the days [first, last]: what Train is taught, what its predictions are made on.

    `only_weights`: the walk-forward predictions are as they should be, the shipped fit is not.
    """

    name: str
    first: int  # days since 1970-01-01
    last: int
    taught: str
    scored: str
    only_weights: bool = False

    def on(self, day: int) -> bool:
        return self.first <= day <= self.last


def build_calendar(
    world: World, windows: Iterable[int], n_rows: int, tampering: Sequence[Tampering] = ()
) -> CandidateCalendar:
    """The candidates of every run for each window (so many periods, or ALL_PERIODS)."""
    numbers: dict[Candidate, int] = {}
    made = cache(lambda begin, end, fault: _candidate(world, begin, end, n_rows, fault))

    def number(window: int, day: int, end: int) -> int:
        fault = next((t for t in tampering if t.on(day)), None)
        return numbers.setdefault(made(_window_start(world, window, end), end, fault), len(numbers))

    runs = [*zip(world.run_days.tolist(), world.known.tolist(), strict=True)]
    of_run = {window: np.array([number(window, day, end) for day, end in runs]) for window in sorted(set(windows))}
    return CandidateCalendar(tuple(numbers), of_run)


def _window_start(world: World, window: int, end: int) -> int:
    if window == ALL_PERIODS or end == 0:
        return 0
    return int(np.searchsorted(world.period, world.period[end - 1] - window + 1))


def _candidate(world: World, begin: int, end: int, n_rows: int, fault: Tampering | None) -> Candidate:
    taught, scored = (fault.taught, fault.scored) if fault else (CLEAN, CLEAN)
    in_walk_forward = (CLEAN, CLEAN) if fault and fault.only_weights else (taught, scored)
    points = checkpoints(world.labels.days[begin:end], n_rows, world.spec.label_delay_days)
    return Candidate(
        begin,
        end,
        # the rows that the shipped weights will meet have no label yet: their features are always as they should be
        shipped=FitKey(begin, end, taught, CLEAN),
        walk_forward=tuple(
            WalkForwardPart(
                begin + point.begin, begin + point.end, FitKey(begin, begin + point.fit_end, *in_walk_forward)
            )
            for point in points
        ),
        fault=fault.name if fault else "",
    )
