"""What Train must know of all games before it reads their features: months, outcomes, seasons.

Three short columns: every host reads them whole, so that all agree on the checkpoints without a word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.contract import names as c

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class PlayedMonths:
    """Played games in order of date, by calendar month; arrays of the shape (months,)."""

    first_days: NDArray[np.datetime64]
    starts: IntArray  # row of each month's first game
    wins_before: FloatArray  # of home teams, in the games before that row
    n_games: int
    n_wins: float
    first_season: int
    last_day: np.datetime64

    @property
    def ends(self) -> IntArray:
        """Row after each month's last game."""
        return np.append(self.starts[1:], self.n_games).astype(np.int64)

    @property
    def home_win_rate(self) -> float:
        """Share of games that the home team won."""
        return self.n_wins / self.n_games

    @classmethod
    def of(cls, tables: Iterable[pa.Table]) -> PlayedMonths:
        """From the games in consecutive tables with the columns date, season and home_won.

        Raises ValueError when there is none, when they are out of order or when one has no outcome.
        """
        months: list[Any] = []
        starts: list[int] = []
        wins_before: list[float] = []
        row, wins, season, last = 0, 0.0, np.iinfo(np.int64).max, np.datetime64("0001-01-01", "D")
        for table in tables:
            if table.num_rows == 0:
                continue
            day, won = days_in_order(table, last), outcomes(table)
            found, first = np.unique(day.astype("datetime64[M]"), return_index=True)
            for month, at in zip(found, first.tolist(), strict=True):
                if not months or month != months[-1]:
                    months.append(month)
                    starts.append(row + at)
                    wins_before.append(wins + float(won[:at].sum()))
            row, wins, last = row + table.num_rows, wins + float(won.sum()), day[-1]
            season = min(season, int(table[c.SEASON].to_numpy().min()))
        if row == 0:
            raise ValueError("there is no played game to train on")
        return cls(
            first_days=np.array(months, dtype="datetime64[M]").astype("datetime64[D]"),
            starts=np.array(starts, dtype=np.int64),
            wins_before=np.array(wins_before),
            n_games=row,
            n_wins=wins,
            first_season=season,
            last_day=last,
        )

    @classmethod
    def read(cls, file: pq.ParquetFile) -> PlayedMonths:
        """From a file of features, a row group at a time; raises as `of`."""
        groups = range(file.metadata.num_row_groups)
        return cls.of(file.read_row_group(group, [c.DATE, c.SEASON, c.HOME_WON]) for group in groups)


def days_in_order(table: pa.Table, after: np.datetime64) -> NDArray[np.datetime64]:
    """The games' days; raises ValueError unless they ascend from `after` on."""
    day = table[c.DATE].to_numpy().astype("datetime64[D]")
    if (day[1:] < day[:-1]).any() or day[0] < after:
        raise ValueError("the games are not in order of date: a walk forward would train on later games")
    return np.asarray(day)


def outcomes(table: pa.Table) -> FloatArray:
    """1 where the home team won, 0 where it lost; raises ValueError for a game without an outcome."""
    if table[c.HOME_WON].null_count:
        raise ValueError("a game has no outcome: walk forward through played games only")
    return np.asarray(table[c.HOME_WON].to_numpy().astype(np.float64))
