"""What an owner (a team, a pair of teams, the league) had done before a day, for all games at once.

Rows are ordered by owner and day, so "the last ten played games before this day" is a slice, and a sum over it is the
difference of two prefix sums. The sums are of whole numbers: exact, so no later row can change the bytes of an
earlier answer through rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
PositionArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]

_DAY_BITS = 32  # the sort key holds the owner's number above these bits, its day within them
_DAY_OFFSET = 1 << 30  # keeps the days before 1970 positive

# Marks of a row that the running ratings must not treat as an ordinary one
NEW_SEASON: Final = 1  # the owner's first row of a season, other than its first of all
DAY_CONTINUES: Final = 2  # the owner's first row of a day that has several
SAME_DAY: Final = 4  # a further row of the same day


@dataclass(frozen=True)
class History:
    """Rows in order of owner and day, with the bounds of what each may see: every slice ends before its day."""

    order: PositionArray  # (rows,) input position of each sorted row
    key: IntArray  # (rows,) owner and day of each sorted row
    day_start: PositionArray  # (rows,) sorted position of the first row of the same owner and day
    owner_start: PositionArray  # (rows,) sorted position of the owner's first row
    season_start: PositionArray  # (rows,) sorted position of the owner's first row of the row's season
    played_order: PositionArray  # (played rows,) input position of each sorted row that has a result
    played_before: PositionArray  # (rows + 1,) number of played rows before a sorted position

    @classmethod
    def of(cls, owner: IntArray, day: IntArray, season: IntArray, played: BoolArray) -> History:
        """Sort the rows and find the bounds; all inputs have the shape (rows,), `day` counts days since any epoch."""
        key = (owner.astype(np.int64) << _DAY_BITS) + (day + _DAY_OFFSET)
        order = np.argsort(key, kind="stable").astype(np.int32)
        key = key[order]
        new_owner = _changes(key >> _DAY_BITS)
        return cls(
            order=order,
            key=key,
            day_start=_last_start(_changes(key)),
            owner_start=_last_start(new_owner),
            season_start=_last_start(new_owner | _changes(season[order])),
            played_order=order[played[order]],
            played_before=np.concatenate(([0], np.cumsum(played[order], dtype=np.int32)), dtype=np.int32),
        )

    def total(self, values: NDArray[np.integer], *, last: int | None = None, this_season: bool = True) -> IntArray:
        """Sum of `values` over each row's played games of earlier days, in the rows' input order.

        `last` limits the sum to so many latest games; `this_season=False` lets it reach into earlier seasons.
        """
        prefix = np.zeros(int(self.played_before[-1]) + 1, dtype=np.int64)
        np.cumsum(values[self.played_order], dtype=np.int64, out=prefix[1:])
        begin, end = self._window(last, this_season)
        return self._unsorted(prefix[end] - prefix[begin])

    def count(self, *, last: int | None = None, this_season: bool = True) -> IntArray:
        """Number of games that `total` with the same limits sums over."""
        begin, end = self._window(last, this_season)
        return self._unsorted(end - begin)

    def days_since_previous(self, at_most: int) -> IntArray:
        """Days since the owner's previous day with a game, played or only scheduled; `at_most` also where none was."""
        previous = np.maximum(self.day_start - 1, self.owner_start)
        days = np.minimum(self.key - self.key[previous], at_most)
        return self._unsorted(np.where(self.day_start == self.owner_start, at_most, days))

    def games_within(self, days: int) -> IntArray:
        """Number of the owner's games, played or only scheduled, on the `days` days before each row's day."""
        return self._unsorted(self.day_start - np.searchsorted(self.key, self.key - days, side="left"))

    def marks(self) -> IntArray:
        """NEW_SEASON, DAY_CONTINUES, SAME_DAY or sums of them for each row, 0 for most, in the rows' input order."""
        position = np.arange(len(self.order), dtype=np.int32)
        further = position != self.day_start
        new_season = (position == self.season_start) & (position != self.owner_start)
        continues = np.zeros(len(position), dtype=np.bool_)
        continues[:-1] = further[1:] & ~further[:-1]
        return self._unsorted(NEW_SEASON * new_season + DAY_CONTINUES * continues + SAME_DAY * further)

    def _window(self, last: int | None, this_season: bool) -> tuple[PositionArray, PositionArray]:
        end = self.played_before[self.day_start]
        # A season that changes within a day would start after the day does; the slice must not have a negative length.
        start = np.minimum(self.season_start, self.day_start) if this_season else self.owner_start
        begin = self.played_before[start]
        return (begin if last is None else np.maximum(begin, end - np.int32(last))), end

    def _unsorted(self, in_order: NDArray[np.integer]) -> IntArray:
        result = np.empty(len(in_order), dtype=np.int64)
        result[self.order] = in_order
        return result


def _changes(values: IntArray) -> BoolArray:
    """Whether each value differs from the one before it; the first does."""
    starts = np.ones(len(values), dtype=np.bool_)
    starts[1:] = values[1:] != values[:-1]
    return starts


def _last_start(starts: BoolArray) -> PositionArray:
    """Position of the nearest start at or before each row."""
    positions = np.where(starts, np.arange(len(starts), dtype=np.int32), np.int32(0))
    return np.maximum.accumulate(positions)
