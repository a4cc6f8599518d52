"""Each night's candidate: what Train would have made of the games known then, by window of seasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.fits import CLEAN, FitKey
from pipeline.backtest.world import World
from pipeline.training.walk_forward import checkpoints

IntArray = NDArray[np.int64]

ALL_SEASONS: Final = 0


@dataclass(frozen=True)
class RecordPart:
    """Games [begin, end) of a record, predicted by one checkpoint."""

    begin: int
    end: int
    fit: FitKey


@dataclass(frozen=True)
class Candidate:
    """A training set, the fit that is shipped and the fits of the record. `fault` names what was wrong with it."""

    begin: int
    end: int
    shipped: FitKey
    record: tuple[RecordPart, ...]
    fault: str = ""


@dataclass(frozen=True)
class Calendar:
    """All candidates, and which one each night has: `of_night` by window, of the shape (nights,)."""

    candidates: tuple[Candidate, ...]
    of_night: dict[int, IntArray]

    def fit_keys(self) -> Iterable[FitKey]:
        """Every fit that is needed."""
        for candidate in self.candidates:
            yield candidate.shipped
            yield from (part.fit for part in candidate.record)


@dataclass(frozen=True)
class Tampering:
    """A fault of training on the nights [first, last]: what Train is taught, what its record is scored on.

    `only_weights`: the record is as it should be, the shipped fit is not.
    """

    name: str
    first: int  # days since 1970-01-01
    last: int
    taught: str
    scored: str
    only_weights: bool = False

    def on(self, night: int) -> bool:
        """Whether the fault is there that night."""
        return self.first <= night <= self.last


def build_calendar(world: World, windows: Iterable[int], n_rows: int, tampering: Sequence[Tampering] = ()) -> Calendar:
    """The candidates of every night for each window (so many seasons, or ALL_SEASONS)."""
    candidates: dict[Candidate, int] = {}
    of_night: dict[int, IntArray] = {}
    month = world.month
    known_candidates: dict[tuple[int, int, str], int] = {}
    for window in sorted(set(windows)):
        nights = np.empty(len(world.nights), dtype=np.int64)
        for position, (night, end) in enumerate(zip(world.nights.tolist(), world.known.tolist(), strict=True)):
            fault = next((t for t in tampering if t.on(night)), None)
            begin = _window_start(world, window, end)
            where = (begin, end, fault.name if fault else "")
            if where not in known_candidates:
                candidate = _candidate(month, begin, end, n_rows, fault)
                known_candidates[where] = candidates.setdefault(candidate, len(candidates))
            nights[position] = known_candidates[where]
        of_night[window] = nights
    return Calendar(tuple(candidates), of_night)


def _window_start(world: World, window: int, end: int) -> int:
    if window == ALL_SEASONS or end == 0:
        return 0
    return int(np.searchsorted(world.season, world.season[end - 1] - window + 1))


def _candidate(month: NDArray[np.datetime64], begin: int, end: int, n_rows: int, fault: Tampering | None) -> Candidate:
    taught, scored = (fault.taught, fault.scored) if fault else (CLEAN, CLEAN)
    on_record = (CLEAN, CLEAN) if fault and fault.only_weights else (taught, scored)
    return Candidate(
        begin,
        end,
        # the games that the shipped weights will meet are not played yet: their features are always as they should be
        shipped=FitKey(begin, end, taught, CLEAN),
        record=tuple(
            RecordPart(begin + point.begin, begin + point.end, FitKey(begin, begin + point.fit_end, *on_record))
            for point in checkpoints(month[begin:end], n_rows)
        ),
        fault=fault.name if fault else "",
    )
