"""Faults put into a replay from a date: a feed that Prepare refuses, a leak, a broken fit. Nothing else is changed.

bad-feed        the nightly export lacks a column; Prepare's own validation refuses it until the last day
leak            Train sees form that includes the game itself; games to come have honest features, as in life
broken-fit      Train gets outcomes drawn at random: record and shipped weights are worthless
broken-weights  only the shipped weights are worthless; the record, which the gates judge, is sound
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.candidates import Tampering
from pipeline.backtest.fits import CLEAN, Source
from pipeline.backtest.world import EPOCH, ReplayError, World, digests_of
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.game_data.games import BadData, load_games
from pipeline.workloads.nba.team_state.feature_names import FEATURES

BAD_FEED, LEAK, BROKEN_FIT, BROKEN_WEIGHTS = "bad-feed", "leak", "broken-fit", "broken-weights"
KINDS: Final = (BAD_FEED, LEAK, BROKEN_FIT, BROKEN_WEIGHTS)
DEFAULT_DAYS: Final = 14  # until somebody has mended it
_RANDOM: Final = "random"
_SEED: Final = 20_150_101
_UNSHIFTED: Final = {  # form, and over how many games it is a mean
    "surprise_1_difference": 1,
    "surprise_5_difference": 5,
    "margin_10_difference": 10,
    "season_margin_difference": 40,
}
_SPREAD: Final = 13.0  # points; what form is measured in, about


@dataclass(frozen=True)
class Injection:
    """A fault on the days from `first` to `last`, both included."""

    kind: str
    first: date
    last: date

    def __str__(self) -> str:
        return f"{self.kind} from {self.first} to {self.last}"


def parse_injection(text: str) -> Injection:
    """`leak@2015-01-10` (two weeks) or `leak@2015-01-10..2015-02-10`; raises ReplayError."""
    found = re.fullmatch(r"([a-z-]+)@(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?", text)
    if not found or found[1] not in KINDS:
        raise ReplayError(f'--inject "{text}" is not KIND@DATE or KIND@DATE..DATE with KIND one of {", ".join(KINDS)}')
    try:
        first = date.fromisoformat(found[2])
        last = date.fromisoformat(found[3]) if found[3] else first + timedelta(days=DEFAULT_DAYS - 1)
    except ValueError as error:
        raise ReplayError(f'--inject "{text}": {error}') from error
    if last < first:
        raise ReplayError(f'--inject "{text}": it ends before it begins')
    return Injection(found[1], first, last)


@dataclass(frozen=True)
class Injury:
    """What the injections do to the nights, to training, and how Prepare worded its refusal."""

    feed_refused: NDArray[np.bool_]  # (nights,)
    tampering: tuple[Tampering, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict)
    refusal: str = ""


def injure(world: World, data: Path, injections: Sequence[Injection], max_bad_row_share: float) -> Injury:
    """Prepare the faults. Raises ReplayError for one outside the span, and where Prepare would accept the bad feed."""
    refused = np.zeros(len(world.nights), dtype=np.bool_)
    tampering: list[Tampering] = []
    sources: dict[str, Source] = {}
    refusal = ""
    for injection in injections:
        first, last = (injection.first - EPOCH).days, (injection.last - EPOCH).days
        nights = (world.nights >= first) & (world.nights <= last)
        if not nights.any():
            raise ReplayError(f"--inject {injection}: no night of the replay lies within")
        if injection.kind == BAD_FEED:
            refusal = _refusal_of(data, injection.first, max_bad_row_share)
            refused |= nights
        elif injection.kind == LEAK:
            sources[LEAK] = _leaking(world)
            tampering.append(Tampering(LEAK, first, last, taught=LEAK, scored=LEAK))
        else:
            sources[_RANDOM] = _random_outcomes(world)
            only = injection.kind == BROKEN_WEIGHTS
            tampering.append(Tampering(injection.kind, first, last, taught=_RANDOM, scored=CLEAN, only_weights=only))
    return Injury(refused, tuple(tampering), sources, refusal)


def _refusal_of(data: Path, day: date, max_bad_row_share: float) -> str:
    """What Prepare says to the games with an export beside them that lacks a column."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "games"
        if data.is_dir():
            shutil.copytree(data, folder)
        else:
            folder.mkdir()
            shutil.copy(data, folder)
        columns = [column for column in n.REQUIRED_COLUMNS if column != n.AWAY_POINTS]
        (folder / f"export_{day}.csv").write_text(",".join(columns) + f"\n{day},{day.year},BOS,NYK,101\n")
        try:
            today = datetime.now(UTC).date()
            load_games(folder, as_of=day, today=today, max_bad_row_share=max_bad_row_share, min_rows=1)
        except BadData as refusal:
            return str(refusal)
    raise ReplayError("Prepare accepts the bad feed: there would be no fault to replay")


def _leaking(world: World) -> Source:
    """Form with the game itself in it: rolling means that nobody shifted."""
    points = [world.modelled_results[name].to_numpy() for name in (n.HOME_POINTS, n.AWAY_POINTS)]
    margin = (points[0] - points[1]).astype(np.float32)
    X = world.X.copy()
    for name, games in _UNSHIFTED.items():
        X[:, FEATURES.index(name)] += 2.0 * margin / games / _SPREAD
    return Source(X, world.target, digests_of(X, world.target))


def _random_outcomes(world: World) -> Source:
    rate = float(world.target.mean())
    target = (np.random.default_rng(_SEED).random(len(world.target)) < rate).astype(np.float64)
    return Source(world.X, target, digests_of(world.X, target))
