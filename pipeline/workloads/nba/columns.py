"""Columns of a game and of a play-by-play event (docs/data.md, docs/events.md). Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.contract.names import ROW_ID, TARGET, TIME
from pipeline.contract.spec import Column, ColumnType, Role

GAME_ID: Final = "game_id"
DATE: Final = "date"  # the local game day
SEASON: Final = "season"  # the year in which the season ends
HOME_TEAM: Final = "home_team"
AWAY_TEAM: Final = "away_team"
HOME_POINTS: Final = "home_points"
AWAY_POINTS: Final = "away_points"
NEUTRAL_SITE: Final = "neutral_site"
PLAYOFF: Final = "playoff"
REQUIRED_COLUMNS: Final = (DATE, SEASON, HOME_TEAM, AWAY_TEAM, HOME_POINTS, AWAY_POINTS)
GAME_COLUMNS: Final = (
    GAME_ID,
    DATE,
    SEASON,
    HOME_TEAM,
    AWAY_TEAM,
    HOME_POINTS,
    AWAY_POINTS,
    NEUTRAL_SITE,
    PLAYOFF,
)
# Words that mean an optional column, beside its own name; plurals and the prefixes below are taken off first.
_NEAR_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    GAME_ID: ("gameid", "game_identifier"),
    NEUTRAL_SITE: ("neutral", "neutralsite", "neutral_venue", "neutral_court", "neutral_game", "neutral_location"),
    PLAYOFF: ("play_off", "playoff_game", "post_season", "postseason", "post_season_game", "postseason_game"),
}
# Names of a column that says the same in values of its own, which nobody reads.
_TELLING: Final[Mapping[str, tuple[str, ...]]] = {PLAYOFF: ("season_type", "game_type", "game_stage", "season_stage")}
_ROLES: Final[Mapping[str, tuple[Role, ColumnType]]] = {
    GAME_ID: ("id", "text"),
    DATE: ("time", "day"),
    HOME_TEAM: ("group", "category"),
    AWAY_TEAM: ("group", "category"),
    SEASON: ("other", "integer"),
    HOME_POINTS: ("other", "integer"),
    AWAY_POINTS: ("other", "integer"),
    NEUTRAL_SITE: ("other", "flag"),
    PLAYOFF: ("other", "flag"),
}
COLUMNS: Final = tuple(
    Column(
        name,
        name in REQUIRED_COLUMNS,
        _NEAR_NAMES.get(name, ()),
        _TELLING.get(name, ()),
        role=_ROLES[name][0],
        type=_ROLES[name][1],
    )
    for name in GAME_COLUMNS
)
# added by validation
HOME_FRANCHISE: Final = "home_franchise"
AWAY_FRANCHISE: Final = "away_franchise"
# --- columns of a play-by-play event, by the names of the NBA's own feed (docs/events.md) -----------------------------
EVENT_COLUMNS: Final = (
    "game_id",
    "date",
    "period",
    "clock",
    "actionNumber",
    "actionType",
    "shotResult",
    "team",
    "description",
    "qualifier",
)

# the target
HOME_WON: Final = "home_won"
# what happened, as validated: all that the baseline of Evaluate knows
RESULT_COLUMNS: Final = (
    GAME_ID,
    DATE,
    SEASON,
    HOME_FRANCHISE,
    AWAY_FRANCHISE,
    HOME_POINTS,
    AWAY_POINTS,
    NEUTRAL_SITE,
)
# what core calls them
ROLES: Final = {GAME_ID: ROW_ID, DATE: TIME, HOME_WON: TARGET}
# --- columns that the features and predictions add -------------------------------------------------------------------
P_ELO: Final = "p_elo"

# --- channels and files of the play-by-play ---------------------------------------------------------------------------
EVENTS_CHANNEL: Final = "events"  # raw play-by-play files
TEAM_GAMES_CHANNEL: Final = "team_games"  # one row a team and game, from events
TEAM_GAMES_FILE: Final = "team_games.csv"
AGGREGATED_FILE: Final = "aggregated.json"
EVENT_FEATURES_FILE: Final = "event_features.parquet"
