"""What gates and monitor see, by the functions of Evaluate and of the monitor, memoised.

Judgements: a candidate, and a candidate beside a champion. Alarms: on which nights the monitor's evidence is against a
champion.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.candidates import Candidate, CandidateCalendar
from pipeline.backtest.fit_cache import FitCache, digest
from pipeline.backtest.fits import Advance, Fits
from pipeline.backtest.world import World
from pipeline.contract import gates
from pipeline.contract import names as c
from pipeline.contract.code_version import code_version
from pipeline.evaluation.evaluation import Evaluated, candidate_numbers, difference_on, out_of_sample
from pipeline.evaluation.metrics import Difference
from pipeline.monitoring import monitor_evidence
from pipeline.monitoring.claims import claims_of, residual_quantiles
from pipeline.monitoring.monitor import groups_of

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_PREDICTIONS_KEPT = 4_096
_FIRST_HORIZON = 400  # days: most champions are replaced by then, and evidence over years takes seconds


class Judgements:
    """Quality of each candidate, and the difference of each pair that a policy compared."""

    def __init__(self, world: World, calendar: CandidateCalendar, fits: Fits, cache: FitCache) -> None:
        self.world, self.calendar, self.fits, self._cache = world, calendar, fits, cache
        self._ids = np.array(world.ids, dtype=object)
        self._baseline: dict[int, FloatArray] = {}
        self._slot = np.full(len(calendar.candidates), -1, dtype=np.int64)  # of a champion among the pairs' rows
        self._pairs = np.full((2, 16, len(calendar.candidates)), np.nan)
        self._n_slots = 0
        self._new_pairs = 0
        self.evaluated = lru_cache(_PREDICTIONS_KEPT)(self._evaluated)
        self._key = digest(code_version(world.spec.name), fits.digest, *(str(x) for x in calendar.candidates))
        self._load_pairs()

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
                c.BASELINE: self._baseline_of(candidate)[rows],
            },
            quantiles={q: np.concatenate([part[q] for part in quantiles]) for q in (quantiles[0] if parts else ())},
        )

    def _baseline_of(self, candidate: Candidate) -> FloatArray:
        if candidate.begin == 0:
            return self.world.baseline
        if candidate.begin not in self._baseline:
            alike = [other for other in self.calendar.candidates if other.begin == candidate.begin]
            first, last = min(other.first for other in alike), max(other.end for other in alike)
            self._baseline[candidate.begin] = self.world.baseline_from(candidate.begin, first, last)
        return self._baseline[candidate.begin]

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
            passes[number] = bool(candidate.walk_forward) and not gates.failed_limits(
                spec, self.numbers(number), quality
            )
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

    def pairs(self, champions: IntArray, candidates: IntArray) -> tuple[FloatArray, FloatArray]:
        """Mean difference and its upper bound for each pair, both of the shape of the inputs; computes what is new."""
        for champion in np.unique(champions[self._slot[champions] < 0]).tolist():
            self._add_slot(champion)
        slots = self._slot[champions]
        for at in np.flatnonzero(np.isnan(self._pairs[0, slots, candidates])).tolist():
            slot, candidate = int(slots[at]), int(candidates[at])
            if np.isnan(self._pairs[0, slot, candidate]):
                difference = self.pair(int(champions[at]), candidate)
                # without a row in common Evaluate takes the champion for none, and any candidate replaces it
                self._pairs[:, slot, candidate] = (difference.mean, difference.upper) if difference else -np.inf
                self._new_pairs += 1
        return self._pairs[0, slots, candidates], self._pairs[1, slots, candidates]

    def _add_slot(self, champion: int) -> None:
        if self._n_slots == self._pairs.shape[1]:
            self._pairs = np.concatenate([self._pairs, np.full_like(self._pairs, np.nan)], axis=1)
        self._slot[champion] = self._n_slots
        self._n_slots += 1

    # --- on disk ------------------------------------------------------------------------------------------------------
    def _load_pairs(self) -> None:
        known = self._cache.load_arrays("pairs", self._key)
        if known is None:
            return
        for champion in np.unique(known["champion"]).tolist():
            self._add_slot(champion)
        self._pairs[:, self._slot[known["champion"]], known["candidate"]] = known["values"]

    def save(self) -> None:
        """Keep the pairs for the next backtest of the same rows and code."""
        if not self._new_pairs:
            return
        champions = np.flatnonzero(self._slot >= 0)
        slot, candidate = np.nonzero(~np.isnan(self._pairs[0]))
        champion_of = np.empty(self._n_slots, dtype=np.int64)
        champion_of[self._slot[champions]] = champions
        self._cache.save_arrays(
            "pairs",
            self._key,
            {"champion": champion_of[slot], "candidate": candidate, "values": self._pairs[:, slot, candidate]},
        )
        self._new_pairs = 0


class Alarms:
    """Whether the monitor raises an alarm, for each champion and night, from the labels known since its cut-off."""

    def __init__(self, judgements: Judgements) -> None:
        self._judgements, self._world = judgements, judgements.world
        self._groups = groups_of(self._world.spec, self._world.results_of_rows)
        self._known: dict[int, tuple[int, monitor_evidence.EvidencePath | None]] = {}

    def on(self, champion: int, night: int, family: str | None) -> bool:
        """Whether the evidence that the run of `night` (a day) knows is beyond the limit; of any family, if None."""
        last_known = night - self._world.spec.label_delay_days
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
