"""What the gates see of a candidate, and of a candidate beside a champion: Evaluate's own functions, memoised."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.candidates import Calendar, Candidate
from pipeline.backtest.fit_cache import FitCache, digest
from pipeline.backtest.fits import Fits, Progress
from pipeline.backtest.world import World
from pipeline.contract import gates
from pipeline.contract import names as c
from pipeline.contract.code_version import code_version
from pipeline.evaluation.evaluation import Evaluated, candidate_numbers, difference_on, out_of_sample
from pipeline.evaluation.metrics import Difference

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_RECORDS_KEPT = 4_096


class Judgements:
    """Quality of each candidate, and the difference of each pair that anybody has asked for."""

    def __init__(self, world: World, calendar: Calendar, fits: Fits, cache: FitCache) -> None:
        self.world, self.calendar, self.fits, self._cache = world, calendar, fits, cache
        self._ids = world.features[c.ROW_ID].to_numpy()
        self._reference: dict[int, FloatArray] = {}
        self._slot = np.full(len(calendar.candidates), -1, dtype=np.int64)  # of a champion among the pairs' rows
        self._pairs = np.full((2, 16, len(calendar.candidates)), np.nan)
        self._n_slots = 0
        self._new_pairs = 0
        self.record = lru_cache(_RECORDS_KEPT)(self._record)
        self._key = digest(code_version(world.workload.spec.name), fits.digest, *(str(x) for x in calendar.candidates))
        self._load_pairs()

    # --- records ------------------------------------------------------------------------------------------------------
    def _record(self, number: int) -> Evaluated:
        """The candidate's walk-forward record, and the reference for the same games."""
        candidate = self.calendar.candidates[number]
        first, end = self.bounds(candidate)
        parts = [self.fits.probabilities(self.fits.row(p.fit), p.begin, p.end) for p in candidate.record]
        return Evaluated(
            spec=self.world.workload.spec,
            row_id=self._ids[first:end],
            days=self.world.day[first:end],
            target=self.world.target[first:end],
            predictions={
                c.CANDIDATE: np.concatenate(parts) if parts else np.empty(0),
                c.BASELINE: self._reference_of(candidate)[first:end],
            },
        )

    @staticmethod
    def bounds(candidate: Candidate) -> tuple[int, int]:
        """First game of the record, and the one after its last."""
        return (candidate.record[0].begin if candidate.record else candidate.end), candidate.end

    def _reference_of(self, candidate: Candidate) -> FloatArray:
        if candidate.begin == 0:
            return self.world.reference
        if candidate.begin not in self._reference:
            alike = [self.bounds(other) for other in self.calendar.candidates if other.begin == candidate.begin]
            first, last = min(b for b, _ in alike), max(e for _, e in alike)
            season = int(self.world.season[candidate.begin])
            self._reference[candidate.begin] = self.world.reference_from(season, first, last)
        return self._reference[candidate.begin]

    # --- the quality gate ---------------------------------------------------------------------------------------------
    def numbers(self, number: int) -> dict[str, Any]:
        """The part of evaluation.json that the quality gate reads; raises ValueError where the record is empty."""
        return candidate_numbers(self.record(number))

    def passes(self, limits: Mapping[str, float], progress: Progress = lambda _: None) -> BoolArray:
        """Whether each candidate keeps every quality limit; one without a record fails, as Evaluate does."""
        spec = self.world.workload.spec
        quality = {limit.parameter: limits[limit.parameter] for limit in gates.quality_limits(spec)}
        key = digest(self._key, str(sorted(quality.items())))
        known = self._cache.load_arrays("quality", key)
        if known is not None:
            progress(len(self.calendar.candidates))
            return known["passes"].astype(np.bool_)
        passes = np.zeros(len(self.calendar.candidates), dtype=np.bool_)
        for number, candidate in enumerate(self.calendar.candidates):
            passes[number] = bool(candidate.record) and not gates.failed_limits(spec, self.numbers(number), quality)
            progress(1)
        self._cache.save_arrays("quality", key, {"passes": passes})
        return passes

    # --- the promotion gate -------------------------------------------------------------------------------------------
    def pair(self, champion: int, candidate: int) -> Difference | None:
        """The candidate's log loss minus the champion's; None where the champion has predicted none of the games."""
        record = self.record(candidate)
        incumbent = self._champion_on(champion, candidate)
        known = np.isfinite(incumbent)
        return difference_on(record, incumbent, known) if known.any() else None

    def _champion_on(self, champion: int, candidate: int) -> FloatArray:
        """The champion's probability for each game of the candidate's record, by Evaluate's rule."""
        incumbent = self.calendar.candidates[champion]
        first, end = self.bounds(self.calendar.candidates[candidate])
        own = np.full(end - first, np.nan)
        own_first, own_end = self.bounds(incumbent)
        begin, stop = max(first, own_first), min(end, own_end)
        if begin < stop:
            own[begin - first : stop - first] = self.record(champion).predictions[c.CANDIDATE][
                begin - own_first : stop - own_first
            ]
        shipped = np.full(end - first, np.nan)
        begin = max(first, incumbent.end)
        if begin < end:
            shipped[begin - first :] = self.fits.probabilities(self.fits.row(incumbent.shipped), begin, end)
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
                # without a game in common Evaluate takes the champion for none, and any candidate replaces it
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
        """Keep the pairs for the next replay of the same games and code."""
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
