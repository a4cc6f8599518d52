"""Has one team's scoring changed overnight? Evidence from its points, before and since each week of games.

A team whose scores are wrong (doubled, scaled, of another team) soon has a rating that fits them, so that the
champion's forecasts look right again: outcomes alone do not show it. A team's points less half of its opponent's (which
takes out pace and overtime) have a standard deviation of 10.8 from game to game, and a level that moves by about 1.8
within a season (2005 to 2019). So for each team and each week: the level since then is the level before it and natural
change, against a level that jumped. The likelihood ratio of these two, both normal, is an e-process again; averaged
over teams and summed over weeks it has the same limit as the forecasts' evidence (`monitor_evidence`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.monitoring.monitor_evidence import LIMIT
from pipeline.workloads.nba import columns as n

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

OPPONENT_SHARE: Final = 0.5
GAME_DEVIATION: Final = 10.8  # points
NATURAL_CHANGE: Final = 2.0  # points: of a team's level within a season
JUMP: Final = 15.0  # points: what is looked for
MIN_GAMES_BEFORE: Final = 10
MAX_GAMES_BEFORE: Final = 41
MIN_SCORED_DAYS: Final = 7  # of games since the cut-off


@dataclass(frozen=True)
class Scores:
    """One season's played games in order of day; arrays of the shape (games,)."""

    day: IntArray
    home: NDArray[Any]
    away: NDArray[Any]
    home_points: FloatArray
    away_points: FloatArray


@dataclass(frozen=True)
class ScorePath:
    """Evidence after each day with games since the cut-off, on `monitor_evidence`'s scale: 1 is the limit."""

    day: IntArray
    evidence: FloatArray  # (days,)
    team: str | None  # that it is most about, after the last day

    def alarm(self) -> NDArray[np.bool_]:
        """Whether each day's evidence is beyond the limit."""
        return np.asarray(self.evidence >= 1.0)


def score_evidence(scores: Scores, cut_off: int) -> ScorePath:
    """The evidence that each run since day `cut_off` would have seen against one team's scores."""
    days = np.unique(scores.day[scores.day >= cut_off])
    monday = (days + 3) // 7  # 1970-01-01 was a Thursday
    starts = days[np.flatnonzero(np.diff(monday, prepend=monday[:1] - 1))]
    names = np.unique(np.concatenate([scores.home, scores.away]))
    if days.size == 0:
        return ScorePath(days, np.empty(0), None)
    by_team = np.stack([_team_evidence(*_levels(scores, team), starts, days) for team in names])
    together = np.logaddexp.reduce(by_team, axis=0) - np.log(len(names))
    loudest = str(names[int(by_team[:, -1].argmax())])
    return ScorePath(days, together / np.log(LIMIT), loudest)


def _levels(scores: Scores, team: str) -> tuple[IntArray, FloatArray]:
    """Days and points (less half of the opponent's) of a team's games."""
    at_home, away = scores.home == team, scores.away == team
    difference = np.where(
        at_home,
        scores.home_points - OPPONENT_SHARE * scores.away_points,
        scores.away_points - OPPONENT_SHARE * scores.home_points,
    )
    return scores.day[at_home | away], difference[at_home | away]


def _team_evidence(day: IntArray, level: FloatArray, starts: IntArray, days: IntArray) -> FloatArray:
    """Log of the sum over the starts of a team's likelihood ratios, after each of `days`."""
    prefix = np.concatenate([[0.0], np.cumsum(level)])
    known = np.searchsorted(day, days, side="right")  # games up to each day
    total = np.full(len(days), -np.inf)
    for start in starts:
        first = int(np.searchsorted(day, start))
        before = min(first, MAX_GAMES_BEFORE)
        since = known - first
        running = days >= start
        if before < MIN_GAMES_BEFORE:
            total[running] = np.logaddexp(total[running], 0.0)  # it has not begun to bet: one, whatever comes
            continue
        mean_before = (prefix[first] - prefix[first - before]) / before
        n = np.maximum(since[running], 1)
        gap = (prefix[known[running]] - prefix[first]) / n - mean_before
        natural = GAME_DEVIATION**2 * (1 / n + 1 / before) + NATURAL_CHANGE**2
        jumped = natural + JUMP**2
        ratio = 0.5 * (np.log(natural / jumped) + gap**2 * (1 / natural - 1 / jumped))
        total[running] = np.logaddexp(total[running], np.where(since[running] > 0, ratio, 0.0))
    return total


def parts(results: pa.Table, cut_off: int) -> dict[str, dict[str, Any]]:
    """One team's points since day `cut_off`, in the newest season; nothing before a week of games."""
    season = results[n.SEASON].to_numpy()
    now = results.filter(pa.array(season == season[-1]))
    points = [now[column].to_numpy().astype(np.float64) for column in n.POINTS]
    sides = [np.array(now[column].to_pylist(), dtype=str) for column in n.FRANCHISES]
    days = now[c.TIME].to_numpy().astype("datetime64[D]").astype(np.int64)
    path = score_evidence(Scores(days, *sides, *points), cut_off)
    if len(path.day) < MIN_SCORED_DAYS:
        return {}
    alarm = f"the points of one team ({path.team}) are at another level than before"
    scores = {
        "label": "Scores",
        "meaning": "the points of one team at another level than before",
        "evidence": float(path.evidence[-1]),
        "team": path.team,
        "alarms": [alarm] * bool(path.alarm()[-1]),
    }
    return {"scores": scores}
