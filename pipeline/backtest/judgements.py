"""What gates and monitor see, by the functions of Evaluate and of the monitor, memoised.

Judgements: a candidate, and a candidate beside a champion. Alarms: on which runs the monitor's evidence is against a
champion.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

import numpy as np

from pipeline.backtest.candidates import CandidateCalendar
from pipeline.backtest.fit_cache import digest, judging_code
from pipeline.backtest.fits import Advance, Fits
from pipeline.backtest.world import BoolArray, FloatArray, IntArray, World
from pipeline.contract import gates
from pipeline.contract import names as c
from pipeline.evaluation.evaluation import Evaluated, candidate_numbers, difference_on, out_of_sample
from pipeline.evaluation.metrics import Difference
from pipeline.monitoring import monitor_evidence
from pipeline.monitoring.claims import claims_of, residual_quantiles
from pipeline.monitoring.monitor import groups_of

_PREDICTIONS_KEPT = 4_096
_FIRST_HORIZON = 400  # days: most champions are replaced by then, and evidence over years takes seconds


class Judgements:
    """Quality of each candidate, and the difference of each pair that a policy compared."""

    def __init__(self, world: World, calendar: CandidateCalendar, fits: Fits) -> None:
        self.world, self.calendar, self.fits, self._cache = world, calendar, fits, fits.cache
        self._ids = np.array(world.ids, dtype=object)
        self.evaluated = lru_cache(_PREDICTIONS_KEPT)(self._evaluated)
        self.baseline = cache(self._baseline)
        self._key = digest(judging_code(world.spec.name), fits.digest, *(str(x) for x in calendar.candidates))
        known = self._cache.load_arrays("differences", self._key) or {"pairs": np.empty(0), "values": np.empty((0, 2))}
        # by pair, champion * candidates + candidate: mean difference and its upper bound
        self._pairs = dict(zip(known["pairs"].tolist(), known["values"].tolist(), strict=True))
        self._n_kept = len(self._pairs)

    # --- walk-forward predictions -------------------------------------------------------------------------------------
    def _evaluated(self, number: int) -> Evaluated:
        """The candidate's walk-forward predictions, and the baseline's for the same rows."""
        candidate = self.calendar.candidates[number]
        rows = slice(candidate.first, candidate.end)
        parts = [(self.fits.row(p.fit), p.begin, p.end) for p in candidate.walk_forward]
        quantiles = [self.fits.quantiles(*part) for part in parts]
        return Evaluated(
            spec=self.world.spec,
            row_id=self._ids[rows],
            days=self.world.day[rows],
            target=self.world.target[rows],
            predictions={
                c.CANDIDATE: np.concatenate([np.empty(0), *(self.fits.predictions(*part) for part in parts)]),
                c.BASELINE: self.baseline(candidate.begin)[rows],
            },
            quantiles={q: np.concatenate([part[q] for part in quantiles]) for q in (quantiles[0] if parts else ())},
        )

    def _baseline(self, begin: int) -> FloatArray:
        """The baseline for the walk-forward rows of candidates that learn from the row `begin` on."""
        if begin == 0:
            return self.world.baseline
        alike = [candidate for candidate in self.calendar.candidates if candidate.begin == begin]
        first, last = min(candidate.first for candidate in alike), max(candidate.end for candidate in alike)
        return self.world.baseline_from(begin, first, last)

    # --- the quality gate ---------------------------------------------------------------------------------------------
    def numbers(self, number: int) -> dict[str, Any]:
        """The part of evaluation.json that the quality gate reads; raises ValueError where there is no row."""
        return candidate_numbers(self.evaluated(number))

    def passes(self, limits: Mapping[str, float], progress: Advance = lambda _: None) -> BoolArray:
        """Whether each candidate keeps every quality limit; one without predictions fails, as in Evaluate."""
        spec = self.world.spec
        quality = {limit.parameter: limits[limit.parameter] for limit in gates.quality_limits(spec)}
        key = digest(self._key, str(sorted(quality.items())))
        known = self._cache.load_arrays("quality", key)
        if known is not None:
            progress(len(self.calendar.candidates))
            return known["passes"].astype(np.bool_)
        passes = np.zeros(len(self.calendar.candidates), dtype=np.bool_)
        for number, candidate in enumerate(self.calendar.candidates):
            if candidate.walk_forward:
                passes[number] = not gates.failed_limits(spec, self.numbers(number), quality)
            progress(1)
        self._cache.save_arrays("quality", key, {"passes": passes})
        return passes

    # --- the promotion gate -------------------------------------------------------------------------------------------
    def pair(self, champion: int, candidate: int) -> Difference | None:
        """The candidate's loss minus the champion's; None where the champion has predicted none of the rows."""
        incumbent = self._champion_on(champion, candidate)
        known = np.isfinite(incumbent)
        return difference_on(self.evaluated(candidate), incumbent, known) if known.any() else None

    def _champion_on(self, champion: int, candidate: int) -> FloatArray:
        """The champion's prediction for each row of the candidate's walk-forward predictions, by Evaluate's rule."""
        incumbent, judged = self.calendar.candidates[champion], self.calendar.candidates[candidate]
        first, end = judged.first, judged.end
        own, shipped = np.full((2, end - first), np.nan)
        begin, stop = max(first, incumbent.first), min(end, incumbent.end)
        if begin < stop:
            predicted = self.evaluated(champion).predictions[c.CANDIDATE]
            own[begin - first : stop - first] = predicted[begin - incumbent.first : stop - incumbent.first]
        begin = max(first, incumbent.end)
        if begin < end:
            shipped[begin - first :] = self.fits.predictions(self.fits.row(incumbent.shipped), begin, end)
        cut_off = int(self.world.day[incumbent.end - 1]) + 1
        return out_of_sample(own, shipped, self.world.day[first:end], cut_off)

    def pairs(self, champions: IntArray, candidates: IntArray) -> FloatArray:
        """Mean difference and its upper bound for each pair, of the shape (2, pairs); computes what is new."""
        n = len(self.calendar.candidates)
        pairs, place = np.unique(champions * n + candidates, return_inverse=True)
        for pair in pairs.tolist():
            if pair not in self._pairs:
                difference = self.pair(*divmod(pair, n))
                # without a row in common Evaluate takes the champion for none, and any candidate replaces it
                self._pairs[pair] = [difference.mean, difference.upper] if difference else [-np.inf, -np.inf]
        return np.array([self._pairs[pair] for pair in pairs.tolist()]).T[:, place]

    def save(self) -> None:
        """Keep the pairs for the next backtest of the same rows and code."""
        if len(self._pairs) > self._n_kept:
            arrays = {"pairs": np.array([*self._pairs]), "values": np.array([*self._pairs.values()])}
            self._cache.save_arrays("differences", self._key, arrays)
            self._n_kept = len(self._pairs)


class Alarms:
    """Whether the monitor raises an alarm, for each champion and run, from the labels known since its cut-off."""

    def __init__(self, judgements: Judgements) -> None:
        self._judgements, self._world = judgements, judgements.world
        self._groups = groups_of(self._world.spec, self._world.results_of_rows)
        self._known: dict[int, tuple[int, monitor_evidence.EvidencePath | None]] = {}

    def on(self, champion: int, day: int, family: str | None) -> bool:
        """Whether the evidence that the run of `day` knows is beyond the limit; of any family, if None."""
        last_known = day - self._world.spec.label_delay_days
        path = self._path(champion, last_known)
        if path is None:
            return False
        position = int(np.searchsorted(path.day, last_known)) - 1
        return bool(position >= 0 and path.alarm(family)[position])

    def _path(self, champion: int, end: int) -> monitor_evidence.EvidencePath | None:
        """The evidence of rows before the day `end`, and of some later days, which are not looked at yet."""
        begin = self._judgements.calendar.candidates[champion].end
        start = int(self._world.day[begin - 1]) + 1
        until, path = self._known.get(champion, (start, None))
        if until < end:
            until = max(end, start + _FIRST_HORIZON, start + 2 * (until - start))
            path = self._evidence(champion, begin, int(np.searchsorted(self._world.day, until)))
            self._known[champion] = (until, path)
        return path

    def _evidence(self, champion: int, begin: int, end: int) -> monitor_evidence.EvidencePath | None:
        if begin >= end:
            return None
        world, fits, rows = self._world, self._judgements.fits, slice(begin, end)
        candidate = self._judgements.calendar.candidates[champion]
        fit = fits.row(candidate.shipped)
        prediction, quantiles = fits.predictions(fit, begin, end), fits.quantiles(fit, begin, end)
        baseline = None
        if world.spec.task == "binary":
            whole = candidate.begin == 0
            baseline = world.baseline[rows] if whole else world.baseline_from(candidate.begin, begin, end)[rows]
        elif not quantiles:
            own = self._judgements.evaluated(champion)
            quantiles = residual_quantiles(prediction, own.target - own.predictions[c.CANDIDATE])
        claims = claims_of(
            world.spec,
            world.ids[rows],
            world.day[rows],
            prediction,
            world.target[rows],
            tuple((names[rows], sign) for names, sign in self._groups),
            baseline=baseline,
            quantiles=quantiles,
        )
        return monitor_evidence.evidence_by_day(claims, world.spec.monitor)
