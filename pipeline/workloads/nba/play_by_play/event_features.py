"""Features of a game from the play-by-play of earlier days: how well each team has used its possessions this season.

They are not features of the model: on the one season there is they do not help it (docs/scaling.md). Prepare makes them
of what Aggregate left, and compares the final scores.

in   processing/input/team_games/team_games.csv      one row a team and game; missing where events are not used
out  processing/output/features/event_features.parquet   EVENT_FEATURES of the seasons with play-by-play, and of games
                                                         to come

As in features.py every sum is one of whole numbers over games of earlier days, so nothing of a game's own day or later
can be seen, and whatever is added later leaves earlier features as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.contract.container import StepError, processing_input, processing_output
from pipeline.contract.reasons import counted, some
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.game_data.franchises import franchise_of
from pipeline.workloads.nba.team_state.history import History, IntArray

FloatArray = NDArray[np.float64]

EVENT_FEATURES: Final = (
    # home team less away team, each a team's own share less that of its opponents
    "net_efficiency_difference",  # points for a possession
    "effective_field_goal_difference",  # the Four Factors
    "turnover_difference",
    "offensive_rebound_difference",
    "free_throw_difference",
    "unlucky_margin_difference",  # points a game that threes and free throws at the league's rate would have added
)
COUNTED: Final = (
    *("points", "possessions", "turnovers", "offensive_rebounds", "defensive_rebounds"),
    *(f"{shot}_{what}" for shot in ("field_goals", "threes", "free_throws") for what in ("made", "attempted")),
)
_COLUMNS: Final = (nba.DATE, "team", "opponent", "opponent_points", *COUNTED)
_SIDE: Final = ["day", "own", "other"]  # what tells a team and game apart
_NAMED: Final = 5  # games that a note names
# Pseudo-count of games of an average team, as in features.py. Not tuned: there is one season.
_PRIOR_GAMES: Final = 10


# --- Prepare's part ---------------------------------------------------------------------------------------------------
def join_events(games: pd.DataFrame) -> list[str]:
    """Write the features of `games` (as `load_games` returns them), and return notes for the data report.

    Without play-by-play nothing is written and nothing said. Raises StepError for a file that Aggregate did not write.
    """
    path = processing_input(nba.TEAM_GAMES_CHANNEL) / nba.TEAM_GAMES_FILE
    if not path.exists():
        return []
    team_games = read_team_games(path)
    events = match_events(games, team_games)
    features = event_features(games, events)
    with_events = set(games.loc[events.known[0::2], nba.SEASON])
    rows = games[nba.SEASON].isin(with_events).to_numpy()
    table = pd.concat([games[[nba.GAME_ID, nba.DATE, *nba.TEAMS]], features], axis=1)[rows]
    table.to_parquet(processing_output(c.FEATURES_CHANNEL) / nba.EVENT_FEATURES_FILE, index=False)
    n_known, odd = int(events.known.sum()) // 2, events.contradicting
    of_games = f"play-by-play of {counted(len(team_games) // 2, 'game')}, of which {n_known:,} fit a game played"
    contradicted = f"in {len(odd):,} game(s) the play-by-play's points are not the final score: {some(odd, _NAMED)}"
    return [f"{of_games} before the as-of date", *([contradicted] if odd else [])]


def read_team_games(path: Path) -> pd.DataFrame:
    """The rows of team_games.csv; raises StepError that says how to make it again."""
    remedy = f"run Aggregate again, or remove {nba.TEAM_GAMES_CHANNEL}/{path.name}"
    types = {**dict.fromkeys((nba.DATE, "team", "opponent"), "str"), **dict.fromkeys(COUNTED, "int64")}
    try:
        found = pd.read_csv(path, dtype=types)
        if missing := [name for name in _COLUMNS if name not in found.columns]:
            raise StepError(f'{path.name}: column "{missing[0]}" is missing: {remedy}')
        return found.astype({nba.DATE: "datetime64[s]"})
    except (ValueError, OSError) as error:
        raise StepError(f"{path.name} cannot be read ({error}): {remedy}") from error


# --- the features -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class MatchedEvents:
    """What both teams of each game did, by the play-by-play; arrays of the shape (2 * games,): home, away, home, ...

    All zero for a game without play-by-play, and for one whose points differ from the final score.
    """

    own: dict[str, IntArray]
    known: NDArray[np.bool_]
    contradicting: tuple[str, ...]  # game_id of games whose points differ


def match_events(games: pd.DataFrame, team_games: pd.DataFrame) -> MatchedEvents:
    """The rows of `team_games` (columns of team_games.csv) that belong to `games` (those of `load_games`).

    They belong together where the day and both franchises agree; a code is resolved in the season of its day's games.
    """
    season_of = games.drop_duplicates(nba.DATE).set_index(nba.DATE)[nba.SEASON]
    days = team_games[nba.DATE].astype("datetime64[s]")
    rows = team_games.assign(day=days)[days.isin(season_of.index)]
    seasons = rows["day"].map(season_of)
    own, other = (franchise_of(rows[team], seasons).astype("str") for team in ("team", "opponent"))
    rows = rows.assign(own=own, other=other)
    rows = rows.drop_duplicates(_SIDE, keep=False)  # two games of a day: which is which is not known
    franchises = games[list(nba.FRANCHISES)].astype("str").to_numpy()
    sides = pd.DataFrame({"own": franchises.ravel(), "other": franchises[:, ::-1].ravel()})
    sides["day"] = games[nba.DATE].astype("datetime64[s]").repeat(2).to_numpy()
    found = sides.merge(rows, on=_SIDE, how="left", validate="many_to_one")
    score = games[list(nba.POINTS)].to_numpy(dtype=np.float64, na_value=np.nan).ravel()
    has_events = found["possessions"].notna().to_numpy()
    agrees = found["points"].to_numpy() == score
    differs = (has_events & ~np.isnan(score) & ~agrees).reshape(-1, 2).any(axis=1)
    known = (has_events & agrees).reshape(-1, 2).all(axis=1).repeat(2)
    return MatchedEvents(
        own={name: found[name].fillna(0).to_numpy(dtype=np.int64) * known for name in COUNTED},
        known=known,
        contradicting=tuple(games[nba.GAME_ID].astype(str).to_numpy()[differs].tolist()),
    )


def of_opponents(by_team: IntArray) -> IntArray:
    """The other team's values of each game; the shape is (2 * games,)."""
    return by_team.reshape(-1, 2)[:, ::-1].ravel()


def event_features(games: pd.DataFrame, events: MatchedEvents) -> pd.DataFrame:
    """EVENT_FEATURES (float32) of each row of `games`; zero where neither team has earlier events this season."""
    franchises = games[list(nba.FRANCHISES)].astype("str").to_numpy().ravel()
    owner = np.unique(franchises, return_inverse=True)[1].astype(np.int64)
    day = games[nba.DATE].to_numpy().astype("datetime64[D]").astype(np.int64).repeat(2)
    season = games[nba.SEASON].to_numpy(dtype=np.int64).repeat(2)
    teams, league = (History.of(who, day, season, events.known) for who in (owner, np.zeros_like(owner)))
    own = {  # with what shares of shots and rebounds are made from, in whole numbers
        **events.own,
        "twice_effective_goals": 2 * events.own["field_goals_made"] + events.own["threes_made"],
        "chances_to_rebound": events.own["offensive_rebounds"] + of_opponents(events.own["defensive_rebounds"]),
    }
    other = {name: of_opponents(values) for name, values in own.items()}

    def of_league(made: str, of: str) -> FloatArray:
        return np.asarray(league.total(own[made]) / np.maximum(league.total(own[of]), 1))

    def beyond(side: Mapping[str, IntArray], made: str, of: str) -> FloatArray:
        """A share less the league's, shrunk towards zero by _PRIOR_GAMES of an average team."""
        n = teams.total(side[of])
        prior = _PRIOR_GAMES * (league.total(own[of]) / np.maximum(league.count(), 1))
        return np.asarray((teams.total(side[made]) - of_league(made, of) * n) / np.maximum(n + prior, 1.0))

    def missing(side: Mapping[str, IntArray], shot: str) -> FloatArray:
        """Shots that would have been made beyond those that were, at the league's rate."""
        made, attempted = f"{shot}_made", f"{shot}_attempted"
        return of_league(made, attempted) * teams.total(side[attempted]) - teams.total(side[made])

    def net(made: str, of: str) -> FloatArray:
        return beyond(own, made, of) - beyond(other, made, of)

    unlucky = [3 * missing(side, "threes") + missing(side, "free_throws") for side in (own, other)]
    by_team = {
        "net_efficiency_difference": net("points", "possessions"),
        "effective_field_goal_difference": net("twice_effective_goals", "field_goals_attempted") / 2.0,
        "turnover_difference": net("turnovers", "possessions"),
        "offensive_rebound_difference": net("offensive_rebounds", "chances_to_rebound"),
        "free_throw_difference": net("free_throws_made", "field_goals_attempted"),
        "unlucky_margin_difference": (unlucky[0] - unlucky[1]) / (teams.count() + _PRIOR_GAMES),
    }
    columns = {name: (by_team[name][0::2] - by_team[name][1::2]).astype(np.float32) for name in EVENT_FEATURES}
    return pd.DataFrame(columns, index=games.index)
