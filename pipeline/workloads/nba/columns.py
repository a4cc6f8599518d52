"""Columns of a game and of a play-by-play event (docs/data.md, docs/events.md). Standard library only."""

from __future__ import annotations

from typing import Final

from pipeline.contract.names import ROW_ID, TIME
from pipeline.contract.spec import Column

GAME_ID: Final = "game_id"
DATE: Final = "date"  # the local game day
SEASON: Final = "season"  # the year in which the season ends
HOME_TEAM: Final = "home_team"
AWAY_TEAM: Final = "away_team"
HOME_POINTS: Final = "home_points"
AWAY_POINTS: Final = "away_points"
NEUTRAL_SITE: Final = "neutral_site"
PLAYOFF: Final = "playoff"
# Optional ones may have other names too (plurals and prefixes are taken off first), and other columns may say the same
# in values of their own, which are not read.
_NEUTRAL: Final = ("neutral", "neutralsite", "neutral_venue", "neutral_court", "neutral_game", "neutral_location")
_PLAYOFF: Final = ("play_off", "playoff_game", "post_season", "postseason", "post_season_game", "postseason_game")
_STAGE: Final = ("season_type", "game_type", "game_stage", "season_stage", "stage", "playoff_round", "regular_season")
COLUMNS: Final = (
    Column(GAME_ID, required=False, near_names=("gameid", "game_identifier"), role="id", type="text"),
    Column(DATE, role="time", type="day"),
    Column(SEASON, role="other", type="integer"),
    Column(HOME_TEAM, role="group", type="category"),
    Column(AWAY_TEAM, role="group", type="category"),
    Column(HOME_POINTS, role="other", type="integer"),
    Column(AWAY_POINTS, role="other", type="integer"),
    Column(NEUTRAL_SITE, required=False, near_names=_NEUTRAL, role="other", type="flag"),
    Column(PLAYOFF, required=False, near_names=_PLAYOFF, telling_names=_STAGE, role="other", type="flag"),
)
GAME_COLUMNS: Final = tuple(column.name for column in COLUMNS)
# added by validation
HOME_FRANCHISE: Final = "home_franchise"
AWAY_FRANCHISE: Final = "away_franchise"
# of the home and the away side
TEAMS: Final = (HOME_TEAM, AWAY_TEAM)
FRANCHISES: Final = (HOME_FRANCHISE, AWAY_FRANCHISE)
POINTS: Final = (HOME_POINTS, AWAY_POINTS)
FLAGS: Final = (NEUTRAL_SITE, PLAYOFF)
# what happened, as validated: all that the baseline of Evaluate knows
RESULT_COLUMNS: Final = (GAME_ID, DATE, SEASON, *FRANCHISES, *POINTS, NEUTRAL_SITE)
ROLES: Final = {GAME_ID: ROW_ID, DATE: TIME}  # what core calls them
P_ELO: Final = "p_elo"  # Elo's chance, beside the features

# --- columns, channels and files of the play-by-play, by the names of the NBA's own feed (docs/events.md) -------------
EVENT_COLUMNS: Final = (
    *("game_id", "date", "period", "clock", "actionNumber", "actionType"),
    *("shotResult", "team", "description", "qualifier"),
)
EVENTS_CHANNEL: Final = "events"  # raw play-by-play files
TEAM_GAMES_CHANNEL: Final = "team_games"  # one row a team and game, from events
TEAM_GAMES_FILE: Final = "team_games.csv"
AGGREGATED_FILE: Final = "aggregated.json"
EVENT_FEATURES_FILE: Final = "event_features.parquet"
