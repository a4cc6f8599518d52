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

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.contract.container import StepError, processing_input, processing_output
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
    "points",
    "possessions",
    "field_goals_made",
    "field_goals_attempted",
    "threes_made",
    "threes_attempted",
    "free_throws_made",
    "free_throws_attempted",
    "offensive_rebounds",
    "defensive_rebounds",
    "turnovers",
)
_COLUMNS: Final = (nba.DATE, "team", "opponent", "opponent_points", *COUNTED)
_NAMED: Final = 5  # games that a note names
# Imagined games of an average team that steady the first weeks, as in features.py. Not tuned: there is one season.
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
    return _notes(len(team_games) // 2, int(events.known.sum()) // 2, events.contradicting)


def read_team_games(path: Path) -> pd.DataFrame:
    """The rows of team_games.csv; raises StepError that says how to make it again."""
    remedy = f"run Aggregate again, or remove {nba.TEAM_GAMES_CHANNEL}/{path.name}"
    try:
        found = pd.read_csv(path, dtype={nba.DATE: "str", "team": "str", "opponent": "str"})
    except (ValueError, OSError) as error:
        raise StepError(f"{path.name} cannot be read ({error}): {remedy}") from error
    missing = [name for name in _COLUMNS if name not in found.columns]
    if missing:
        raise StepError(f'{path.name}: column "{missing[0]}" is missing: {remedy}')
    return found


def _notes(n_given: int, n_known: int, contradicting: tuple[str, ...]) -> list[str]:
    notes = [f"play-by-play of {n_given:,} games, of which {n_known:,} fit a game played before the as-of date"]
    if contradicting:
        named = ", ".join(contradicting[:_NAMED]) + (", ..." if len(contradicting) > _NAMED else "")
        notes.append(f"in {len(contradicting):,} game(s) the play-by-play's points are not the final score: {named}")
    return notes


# --- the features -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class MatchedEvents:
    """What both teams of each game did, by the play-by-play; arrays of the shape (2 * games,): home, away, home, ...

    All zero for a game without play-by-play, and for one whose points differ from the final score.
    """

    own: dict[str, IntArray]
    opponent: dict[str, IntArray]
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
    rows = rows.assign(own=_codes(rows["team"], seasons), other=_codes(rows["opponent"], seasons))
    rows = rows.drop_duplicates(["day", "own", "other"], keep=False)  # two games of a day: which is which is not known
    sides = _sides(games)
    found = sides.merge(rows, on=["day", "own", "other"], how="left", validate="many_to_one")
    has_events = found["possessions"].notna().to_numpy()
    agrees = (found["points"] == found["score"]).to_numpy()
    differs = (has_events & found["score"].notna().to_numpy() & ~agrees).reshape(-1, 2).any(axis=1)
    known = (has_events & agrees).reshape(-1, 2).all(axis=1).repeat(2)
    counts = found[list(COUNTED)].fillna(0).to_numpy(dtype=np.int64) * known[:, None]
    other = counts.reshape(-1, 2, len(COUNTED))[:, ::-1].reshape(-1, len(COUNTED))
    return MatchedEvents(
        own={name: counts[:, place] for place, name in enumerate(COUNTED)},
        opponent={name: other[:, place] for place, name in enumerate(COUNTED)},
        known=known,
        contradicting=tuple(games[nba.GAME_ID].astype(str).to_numpy()[differs].tolist()),
    )


def event_features(games: pd.DataFrame, events: MatchedEvents) -> pd.DataFrame:
    """EVENT_FEATURES (float32) of each row of `games`; zero where neither team has earlier events this season."""
    franchises = games[[nba.HOME_FRANCHISE, nba.AWAY_FRANCHISE]].astype("str").to_numpy().ravel()
    owner = np.unique(franchises, return_inverse=True)[1].astype(np.int64)
    day = games[nba.DATE].to_numpy().astype("datetime64[D]").astype(np.int64).repeat(2)
    season = games[nba.SEASON].to_numpy(dtype=np.int64).repeat(2)
    past = _Past(
        teams=History.of(owner, day, season, events.known),
        league=History.of(np.zeros_like(owner), day, season, events.known),
    )
    columns = _rates(past, _with_shares(events.own, events.opponent), _with_shares(events.opponent, events.own))
    return pd.DataFrame({name: columns[name].astype(np.float32) for name in EVENT_FEATURES}, index=games.index)


def _codes(codes: pd.Series[str], seasons: pd.Series[int]) -> pd.Series[str]:
    return franchise_of(codes, seasons).astype("str")


def _sides(games: pd.DataFrame) -> pd.DataFrame:
    """Day, own and other franchise and score of both teams of each game: two rows a game, home before away."""
    home, away = games[nba.HOME_FRANCHISE].astype("str"), games[nba.AWAY_FRANCHISE].astype("str")
    scores = [games[side].to_numpy(dtype=np.float64, na_value=np.nan) for side in nba.POINTS]
    return pd.DataFrame(
        {
            "day": games[nba.DATE].astype("datetime64[s]").repeat(2).to_numpy(),
            "own": np.stack([home, away], axis=1).ravel(),
            "other": np.stack([away, home], axis=1).ravel(),
            "score": np.stack(scores, axis=1).ravel(),
        }
    )


def _with_shares(own: dict[str, IntArray], other: dict[str, IntArray]) -> dict[str, IntArray]:
    """With what shares of shots and rebounds are made from, in whole numbers."""
    return {
        **own,
        "twice_effective_goals": 2 * own["field_goals_made"] + own["threes_made"],
        "chances_to_rebound": own["offensive_rebounds"] + other["defensive_rebounds"],
    }


@dataclass(frozen=True)
class _Past:
    """Games with events of earlier days this season, of each team and of the league."""

    teams: History
    league: History

    def rate(self, made: IntArray, of: IntArray) -> FloatArray:
        """The league's share."""
        return np.asarray(self.league.total(made) / np.maximum(self.league.total(of), 1))

    def mean(self, values: IntArray) -> FloatArray:
        """The league's mean of a team and game."""
        return np.asarray(self.league.total(values) / np.maximum(self.league.count(), 1))

    def beyond(self, made: IntArray, of: IntArray) -> FloatArray:
        """A team's share less the league's, drawn towards zero by _PRIOR_GAMES of an average team."""
        n = self.teams.total(of)
        prior = _PRIOR_GAMES * self.mean(of)
        return np.asarray((self.teams.total(made) - self.rate(made, of) * n) / np.maximum(n + prior, 1.0))


def _rates(past: _Past, own: dict[str, IntArray], other: dict[str, IntArray]) -> dict[str, FloatArray]:
    def net(made: str, of: str) -> FloatArray:
        return _difference(past.beyond(own[made], own[of]) - past.beyond(other[made], other[of]))

    steadied = past.teams.count() + _PRIOR_GAMES
    return {
        "net_efficiency_difference": net("points", "possessions"),
        "effective_field_goal_difference": net("twice_effective_goals", "field_goals_attempted") / 2.0,
        "turnover_difference": net("turnovers", "possessions"),
        "offensive_rebound_difference": net("offensive_rebounds", "chances_to_rebound"),
        "free_throw_difference": net("free_throws_made", "field_goals_attempted"),
        "unlucky_margin_difference": _difference((_missing(past, own) - _missing(past, other)) / steadied),
    }


def _missing(past: _Past, counts: dict[str, IntArray]) -> FloatArray:
    """Points that a team's threes and free throws would have made beyond those they did, at the league's rates."""
    points = np.zeros(len(counts["points"]))
    for shot, worth in (("threes", 3), ("free_throws", 1)):
        made, attempted = counts[f"{shot}_made"], counts[f"{shot}_attempted"]
        points += worth * (past.rate(made, attempted) * past.teams.total(attempted) - past.teams.total(made))
    return points


def _difference(by_team: FloatArray) -> FloatArray:
    return np.asarray(by_team[0::2] - by_team[1::2])
