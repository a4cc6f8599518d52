"""What was in service: each row's prediction under a policy, and the losses of many policies at once.

A row is predicted by the champion of the morning of the first run that sees it, on that morning's state of the past.
Two things make the state older: a policy that refreshes it only with the model, and data that Prepare refuses. Features
on an old state are computed by the production code from the labels that were known then.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from pipeline.backtest.fit_cache import digest, judging_code
from pipeline.backtest.fits import predictions_of
from pipeline.backtest.judgements import Judgements
from pipeline.backtest.policies import STATE_OF_MODEL, Policy
from pipeline.backtest.simulate import NO_CHAMPION, Outcome
from pipeline.backtest.world import BoolArray, FloatArray, IntArray
from pipeline.evaluation.metrics import blocks_of, row_losses
from pipeline.training.model import predict_log_odds
from pipeline.training.training_sets import FeatureMatrix

FRESH, OF_MODEL = 0, 1


def _state_of(policy: Policy) -> int:
    return OF_MODEL if policy.state == STATE_OF_MODEL else FRESH


class Service:
    """Rows of the span, by day, and the losses of each champion on them."""

    def __init__(self, judgements: Judgements, rows_digest: str, refused: BoolArray) -> None:
        """`rows_digest`: of the rows that are predicted; `refused`: runs whose data Prepare refuses."""
        world = judgements.world
        self.world, self.calendar, self.fits = world, judgements.calendar, judgements.fits
        self.begin = int(np.searchsorted(world.first_run, world.run_days[0]))
        self.days, self._first, self.n_rows = np.unique(world.day[self.begin :], return_index=True, return_counts=True)
        self.run_of_day = world.row_run[self.begin :][self._first]  # position of the run that predicts each day
        self.period = world.period[self.begin :][self._first]
        self._key = digest(judging_code(world.spec.name), rows_digest)
        self._refused = refused
        # By state and candidate + 1; a page of memory is taken when it is first written.
        self._losses = np.zeros((2, len(self.calendar.candidates) + 1, len(self.days)))
        self._known = np.zeros(self._losses.shape[:2], dtype=np.bool_)
        self._old_features: dict[int, FeatureMatrix] = {}

    @property
    def blocks(self) -> IntArray:
        """Number of each day's unit of independence; single rows are drawn by days, too."""
        unit = self.world.spec.unit
        return blocks_of("day" if unit == "row" else unit, self.days)

    @property
    def target(self) -> FloatArray:
        """Targets of the rows of the span."""
        return self.world.target[self.begin :]

    @cached_property
    def last_good_day(self) -> IntArray:
        """Day of the latest run up to each one whose data was accepted."""
        good = np.where(self._refused, -1, np.arange(len(self._refused)))
        latest = np.maximum.accumulate(good)
        return np.where(latest >= 0, self.world.run_days[np.maximum(latest, 0)], self.world.run_days[0])

    def losses(self, outcome: Outcome) -> FloatArray:
        """Each policy's loss, summed over the rows of each day, of the shape (policies, days)."""
        state = np.array([[_state_of(policy)] for policy in outcome.policies])
        champion = outcome.champion[:, self.run_of_day].astype(np.int64)
        missing = ~self._known[state, champion + 1]
        for kind in (FRESH, OF_MODEL) if missing.any() else ():
            for number in np.unique(champion[missing & (state == kind)]).tolist():
                prediction = self._predictions(number, kind, self.begin, len(self.world.day))
                self._losses[kind, number + 1] = np.add.reduceat(self._row_losses(prediction, self.target), self._first)
                self._known[kind, number + 1] = True
        rows = state * self._losses.shape[1] + champion + 1
        found = self._losses.reshape(-1).take(rows * len(self.days) + np.arange(len(self.days)))
        for day in self._outage_days():
            for number in np.unique(champion[:, day]).tolist():
                rows_of_day = slice(self._first[day], self._first[day] + self.n_rows[day])
                prediction = self._during_outage(number, day)
                found[champion[:, day] == number, day] = self._row_losses(prediction, self.target[rows_of_day]).sum()
        return found

    def _row_losses(self, prediction: FloatArray, target: FloatArray) -> FloatArray:
        return row_losses(self.world.spec.task, prediction, target)

    def _predictions(self, champion: int, state: int, begin: int, end: int) -> FloatArray:
        """A champion's predictions for the rows [begin, end); NaN for those that it was trained on."""
        if champion == NO_CHAMPION:
            return self.world.fallback[begin:end]
        candidate = self.calendar.candidates[champion]
        found = np.full(end - begin, np.nan)
        start = max(begin, candidate.end)
        if start >= end:
            return found
        if state == FRESH:
            found[start - begin :] = self.fits.predictions(self.fits.row(candidate.shipped), start, end)
        else:
            trained_on = int(self.world.day[candidate.end - 1]) + 1 + self.world.spec.label_delay_days
            found[start - begin :] = self._on_old_state(champion, trained_on, start, end)
        return found

    def _on_old_state(self, champion: int, morning: int, begin: int, end: int) -> FloatArray:
        """The champion's predictions for the rows [begin, end) on the state of that morning (a day)."""
        row, cache = self.fits.row(self.calendar.candidates[champion].shipped), self.fits.cache
        key = digest(self.fits.names[row], self._key, str((morning, begin, end)))
        known = cache.load_arrays("state", key)
        if known is None:
            known = {"kept": predict_log_odds(self.fits.booster(row), self._features_on(morning)[begin:end])}
            cache.save_arrays("state", key, known)
        return predictions_of(self.world.spec.task, known["kept"])

    def _features_on(self, morning: int) -> FeatureMatrix:
        if morning not in self._old_features:
            if len(self._old_features) > 8:
                self._old_features.clear()
            self._old_features[morning] = self.world.features_on(morning)
        return self._old_features[morning]

    def _outage_days(self) -> list[int]:
        return np.flatnonzero(self._refused[self.run_of_day]).tolist()

    def _during_outage(self, champion: int, day: int) -> FloatArray:
        begin = self.begin + int(self._first[day])
        end = begin + int(self.n_rows[day])
        if champion == NO_CHAMPION:
            return self.world.fallback[begin:end]
        return self._on_old_state(champion, int(self.last_good_day[self.run_of_day[day]]), begin, end)

    def predictions(self, outcome: Outcome, number: int) -> FloatArray:
        """One policy's prediction for each row of the span."""
        champion = outcome.champion[number, self.run_of_day]
        state = _state_of(outcome.policies[number])
        found = np.empty(len(self.target))
        bounds = np.append(self._first, len(found))
        changes = np.flatnonzero(np.diff(champion)) + 1
        for first, last in zip([0, *changes], [*changes, len(champion)], strict=True):
            rows = slice(int(bounds[first]), int(bounds[last]))
            found[rows] = self._predictions(int(champion[first]), state, self.begin, len(self.world.day))[rows]
        for day in self._outage_days():
            found[bounds[day] : bounds[day + 1]] = self._during_outage(int(champion[day]), day)
        return found
