"""What a replay knows: games and features, loaded once, and how much of them each night knew.

A feature of a game uses earlier days only (tests/pipeline/workloads/nba/test_features.py), so the features that a run
on the morning of a day computes for the games before it are the first rows of the features of all games, and those for
that day's games are the rows that follow. `tests/scripts/test_backtest.py` holds this against real runs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.contract.workload import Workload
from pipeline.training.training_sets import FeatureMatrix
from pipeline.training.walk_forward import feature_matrix
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.features import build_features
from pipeline.workloads.nba.game_data.games import load_games
from pipeline.workloads.nba.tables import feature_table, result_table

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

EPOCH = date(1970, 1, 1)


class ReplayError(Exception):
    """A span or data that cannot be replayed; the text says what to do."""


@dataclass(frozen=True)
class World:
    """Played games of the modelled seasons in order of date, each array of the shape (games, ...)."""

    games: pd.DataFrame  # every validated game, older ones and unplayed ones too
    features: pa.Table  # of the modelled games: the columns of `build_features`
    X: FeatureMatrix
    target: FloatArray
    p_elo: FloatArray  # what Predict says without a champion
    day: IntArray  # days since 1970-01-01
    season: IntArray
    nights: IntArray  # mornings on which a run starts, ascending
    first_season: int
    workload: Workload

    @property
    def month(self) -> NDArray[np.datetime64]:
        """First day of each game's month."""
        return self.day.astype("datetime64[D]").astype("datetime64[M]").astype("datetime64[D]")

    @cached_property
    def known(self) -> IntArray:
        """How many modelled games were played before each night."""
        return np.searchsorted(self.day, self.nights, side="left")

    @cached_property
    def game_night(self) -> IntArray:
        """Position of the latest night at or before each game's day: its run predicts the game; -1 before the first."""
        return np.searchsorted(self.nights, self.day, side="right") - 1

    @cached_property
    def reference(self) -> FloatArray:
        """Elo-logistic's probability for each game that has one (NaN in the first month)."""
        return self.reference_from(self.first_season, 0, len(self.day))

    def reference_from(self, first_season: int, begin: int, end: int) -> FloatArray:
        """The reference of Evaluate for the games [begin, end), fitted on games from `first_season` on."""
        month = self.month
        first = int(np.searchsorted(self.season, first_season))
        start = max(begin, int(np.searchsorted(month, month[first], side="right")))
        forecast = np.full(len(self.day), np.nan)
        if start < end:
            ids = self.features[c.ROW_ID].slice(start, end - start).to_pylist()
            forecast[start:end] = self.workload.baseline.forecast(
                self.results, ids, date.fromordinal(EPOCH.toordinal() + int(self.day[first]))
            )
        return forecast

    @cached_property
    def results(self) -> pa.Table:
        """The result of every played game, older seasons too, as Prepare hands it to Evaluate."""
        return result_table(self.games)

    @cached_property
    def modelled_results(self) -> pa.Table:
        """The results of the modelled games, in their order."""
        row_of = {game: row for row, game in enumerate(self.results[c.ROW_ID].to_pylist())}
        return self.results.take([row_of[game] for game in self.features[c.ROW_ID].to_pylist()])

    @cached_property
    def prefix_digests(self) -> list[str]:
        """For each count of games the digest of their features and outcomes: what a fit on them depends on."""
        return digests_of(self.X, self.target)


def digests_of(X: FeatureMatrix, target: FloatArray) -> list[str]:
    """Digest of the first 0, 1, ... games: equal where the fits on them are equal."""
    running = hashlib.sha256()
    digests = [running.hexdigest()]
    for row, won in zip(np.ascontiguousarray(X), target, strict=True):
        running.update(row.tobytes() + (b"1" if won else b"0"))
        digests.append(running.hexdigest())
    return digests


def load_world(
    workload: Workload,
    data: Path,
    *,
    first: date,
    last: date,
    first_season: int,
    max_bad_row_share: float,
    min_rows: int,
    nights: list[date] | None = None,
) -> World:
    """Load and validate `data` with the production code and compute its features.

    Nights are every day from `first` to `last`, or the given ones. Raises BadData where production refuses the data,
    ReplayError where the span is empty or starts before production would have anything to train on.
    """
    if last < first:
        raise ReplayError(f"--to {last} is before --from {first}")
    as_of = date.fromordinal(last.toordinal() + 1)
    games = load_games(
        data, as_of=as_of, today=datetime.now(UTC).date(), max_bad_row_share=max_bad_row_share, min_rows=min_rows
    ).games
    features = build_features(games)
    modelled = features[features[c.TARGET].notna() & (features[n.SEASON] >= first_season)]
    table = feature_table(modelled)
    days = table[c.TIME].to_numpy().astype("datetime64[D]").astype(np.int64)
    start = (first - EPOCH).days
    before = int(((games[n.DATE] < pd.Timestamp(first)) & games[n.HOME_POINTS].notna()).sum())
    if before < min_rows:
        raise ReplayError(
            f"only {before:,} games were played before --from {first}, fewer than MinRows {min_rows:,}: start later"
        )
    if not (days < start).any():
        raise ReplayError(
            f"no game of season {first_season} or later was played before --from {first}: start later, or lower "
            "FirstSeason (--param FirstSeason=...)"
        )
    if not (days >= start).any():
        raise ReplayError(f"no game was played from {first} to {last}: choose a span with games")
    span = np.arange(start, (last - EPOCH).days + 1)
    return World(
        games=games,
        features=table,
        X=feature_matrix(table),
        target=table[c.TARGET].to_numpy().astype(np.float64),
        p_elo=table[n.P_ELO].to_numpy().astype(np.float64),
        day=days,
        season=table[n.SEASON].to_numpy().astype(np.int64),
        nights=np.array([(night - EPOCH).days for night in nights]) if nights else span,
        first_season=first_season,
        workload=workload,
    )
