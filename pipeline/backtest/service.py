"""What was in service: each game's probability under a policy, and the losses of many policies at once.

A game is predicted by the champion of its morning on that morning's state. Two things make the state older: a policy
that refreshes it only with the model, and a feed that Prepare refuses. Features on an old state are computed by the
production code from the games as they were known then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.candidates import Calendar
from pipeline.backtest.fit_cache import FitCache, digest
from pipeline.backtest.fits import CLEAN, Fits, Source, fit_name
from pipeline.backtest.policies import STATE_OF_MODEL
from pipeline.backtest.simulate import NOBODY, Outcome
from pipeline.backtest.world import EPOCH, World
from pipeline.contract import names as c
from pipeline.evaluation.metrics import log_losses
from pipeline.training.logistic import sigmoid
from pipeline.training.model import Hyperparameters, predict_log_odds
from pipeline.training.training_sets import FeatureMatrix
from pipeline.training.walk_forward import feature_matrix
from pipeline.workloads.nba.features import build_features
from pipeline.workloads.nba.game_data.games import as_known_on
from pipeline.workloads.nba.tables import feature_table

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

FRESH, OF_MODEL = 0, 1


@dataclass(frozen=True)
class Losses:
    """Sums over the games of each day, of the shape (policies, days)."""

    log_loss: FloatArray
    brier: FloatArray


class Service:
    """Games of the span, by day, and the losses of each champion on them."""

    def __init__(
        self,
        world: World,
        calendar: Calendar,
        fits: Fits,
        sources: Mapping[str, Source],
        hyperparameters: Hyperparameters,
        cache: FitCache,
        feed_refused: BoolArray | None = None,
    ) -> None:
        self.world, self.calendar, self.fits = world, calendar, fits
        self._sources, self._hyperparameters, self._cache = sources, hyperparameters, cache
        self.begin = int(np.searchsorted(world.day, world.nights[0]))
        self.days, self._first, self.n_rows = np.unique(world.day[self.begin :], return_index=True, return_counts=True)
        self.night = world.game_night[self.begin :][self._first]  # position of the night that predicts each day
        self.season = world.season[self.begin :][self._first]
        self._refused = np.zeros(len(world.nights), dtype=np.bool_) if feed_refused is None else feed_refused
        self._row = np.full((2, len(calendar.candidates) + 1), -1, dtype=np.int64)  # by state and candidate + 1
        self._losses = np.zeros((2, 64, len(self.days)))
        self._n_rows = 0
        self._frozen: dict[int, FeatureMatrix] = {}

    @property
    def weeks(self) -> IntArray:
        """Number of each day's week, Monday to Sunday."""
        return (self.days + 3) // 7

    @property
    def target(self) -> FloatArray:
        """Outcomes of the games of the span."""
        return self.world.target[self.begin :]

    @cached_property
    def last_good_night(self) -> IntArray:
        """Day of the latest night up to each one on which the feed was accepted."""
        good = np.where(self._refused, -1, np.arange(len(self._refused)))
        latest = np.maximum.accumulate(good)
        return np.where(latest >= 0, self.world.nights[np.maximum(latest, 0)], self.world.nights[0])

    def losses(self, outcome: Outcome) -> Losses:
        """Each policy's losses on each day."""
        of_model = np.array([policy.state == STATE_OF_MODEL for policy in outcome.policies]).astype(np.int64)
        champion = outcome.champion[:, self.night].astype(np.int64)
        rows = self._row[of_model[:, None], champion + 1]
        if (rows < 0).any():
            for state in (FRESH, OF_MODEL):
                for number in np.unique(champion[(rows < 0) & (of_model[:, None] == state)]).tolist():
                    self._add_row(state, number)
            rows = self._row[of_model[:, None], champion + 1]
        flat = rows * len(self.days) + np.arange(len(self.days))
        found = Losses(*(table.reshape(-1).take(flat) for table in self._losses))
        self._patch_outages(outcome, found)
        return found

    def _add_row(self, state: int, champion: int) -> None:
        if self._n_rows == self._losses.shape[1]:
            self._losses = np.concatenate([self._losses, np.zeros_like(self._losses)], axis=1)
        p = self._forecast(champion, state, self.begin, len(self.world.day))
        self._losses[0, self._n_rows], self._losses[1, self._n_rows] = self._by_day(p, self.target)
        self._row[state, champion + 1] = self._n_rows
        self._n_rows += 1

    def _by_day(self, p: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.add.reduceat(log_losses(p, y), self._first), np.add.reduceat((p - y) ** 2, self._first)

    def _forecast(self, champion: int, state: int, begin: int, end: int) -> FloatArray:
        """A champion's probabilities for the games [begin, end); one half for those it was trained on."""
        if champion == NOBODY:
            return self.world.p_elo[begin:end]
        candidate = self.calendar.candidates[champion]
        p = np.full(end - begin, 0.5)
        start = max(begin, candidate.end)
        if start >= end:
            return p
        if state == FRESH:
            p[start - begin :] = self.fits.probabilities(self.fits.row(candidate.shipped), start, end)
        else:
            cut_off = int(self.world.day[candidate.end - 1]) + 1
            p[start - begin :] = self._on_old_state(champion, cut_off, start, end)
        return p

    def _on_old_state(self, champion: int, state_day: int, begin: int, end: int) -> FloatArray:
        """The champion's probabilities for the games [begin, end) on the state of the morning of `state_day`."""
        key = self.calendar.candidates[champion].shipped
        name = fit_name(key, self._sources[key.taught], self._hyperparameters, self._cache)
        kept = digest(name, self._sources[CLEAN].digests[-1], str((state_day, begin, end)))
        known = self._cache.load_arrays("old-state", kept)
        if known is None:
            booster = self._cache.load(name)
            if booster is None:
                raise FileNotFoundError(f"the fit {name} is gone from the cache: replay again to make it anew")
            known = {"log_odds": predict_log_odds(booster, self._features_on(state_day)[begin:end])}
            self._cache.save_arrays("old-state", kept, known)
        return sigmoid(known["log_odds"].astype(np.float64))

    def _features_on(self, state_day: int) -> FeatureMatrix:
        """Features of all modelled games as a run on that morning would compute them for games to come."""
        if state_day not in self._frozen:
            if len(self._frozen) > 8:
                self._frozen.clear()
            as_of = date.fromordinal(EPOCH.toordinal() + state_day)
            features = build_features(as_known_on(self.world.games, as_of)[0])
            position = {game: row for row, game in enumerate(features[c.ROW_ID].tolist())}
            rows = [position[game] for game in self.world.features[c.ROW_ID].to_pylist()]
            self._frozen[state_day] = feature_matrix(feature_table(features.iloc[rows]))
        return self._frozen[state_day]

    def _outage_days(self) -> list[int]:
        return np.flatnonzero(self._refused[self.night]).tolist()

    def _patch_outages(self, outcome: Outcome, found: Losses) -> None:
        for day in self._outage_days():
            champions = outcome.champion[:, self.night[day]]
            for champion in np.unique(champions).tolist():
                begin = self.begin + int(self._first[day])
                y = self.world.target[begin : begin + int(self.n_rows[day])]
                p = self._during_outage(champion, day)
                who = champions == champion
                found.log_loss[who, day] = log_losses(p, y).sum()
                found.brier[who, day] = ((p - y) ** 2).sum()

    def _during_outage(self, champion: int, day: int) -> FloatArray:
        begin = self.begin + int(self._first[day])
        end = begin + int(self.n_rows[day])
        if champion == NOBODY:
            return self.world.p_elo[begin:end]
        return self._on_old_state(champion, int(self.last_good_night[self.night[day]]), begin, end)

    def probabilities(self, outcome: Outcome, number: int) -> FloatArray:
        """One policy's probability for each game of the span."""
        champion = outcome.champion[number, self.night]
        state = OF_MODEL if outcome.policies[number].state == STATE_OF_MODEL else FRESH
        p = np.empty(len(self.target))
        bounds = np.append(self._first, len(p))
        changes = np.flatnonzero(np.diff(champion)) + 1
        for first, last in zip([0, *changes], [*changes, len(champion)], strict=True):
            begin, end = int(bounds[first]), int(bounds[last])
            forecast = self._forecast(int(champion[first]), state, self.begin, len(self.world.day))
            p[begin:end] = forecast[begin:end]
        for day in self._outage_days():
            p[bounds[day] : bounds[day + 1]] = self._during_outage(int(champion[day]), day)
        return p
