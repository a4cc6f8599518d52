"""The model's features by name, in the order of the model's columns. Standard library only.

A "difference" is the home team's value minus the away team's. A value "at home" is zero on a neutral site. Margins,
surprises and the league's home edge are in spreads: one spread is the standard deviation of what the ratings lately
failed to foresee of a margin, about 12 points in 2004 and 14 in 2022.
"""

from __future__ import annotations

from typing import Final

from pipeline.contract.feature_layout import FeatureLayout

# Each changes its sign when the two teams change places, or is zero at a neutral site: so the linear part of the
# model needs no intercept, and equals on a neutral site get exactly one half.
LINEAR_FEATURES: Final[tuple[str, ...]] = (
    "margin_rating_difference",  # expected margin on a neutral site
    "elo_difference",  # in hundreds of points, without home advantage
    "home_court",  # 1, or 0 on a neutral site
    "league_home_edge",  # what home court has lately been worth in this league
    "back_to_back_difference",
    "rest_difference",  # days since the last game, at most four
    "games_in_7_days_difference",
    "elo_level_at_home",  # mean Elo of the two teams above 1505, in hundreds of points
    "back_to_backs_at_home",  # how many of the two teams played yesterday
    "playoff_margin_rating_difference",
    "playoff_home_court",
)
TREE_FEATURES: Final[tuple[str, ...]] = (
    "rest_home",  # days, at most seven
    "rest_away",
    "games_in_4_days_difference",
    "games_in_14_days_difference",
    "season_games",  # that the two teams have played this season, mean
    "season_win_difference",  # shares of wins beyond one half
    "season_margin_difference",
    "win_10_difference",  # the same over the last ten games of the season
    "margin_10_difference",
    "surprise_5_difference",  # margin beyond what the ratings foresaw: form, adjusted for opponents
    "surprise_1_difference",
    "home_games_5_difference",  # home games among the last five: home stands against road trips
    "team_home_edge",  # both teams' surprise at home less their surprise away, last 82 games
    "meetings_surprise",  # the home team's surprise in this season's meetings (in the playoffs: of the series)
    "league_home_surprise",  # of home teams, last 400 games of the league
    "points_level",  # points in the two teams' last 20 games relative to the league's
    "is_playoff",
)
FEATURES: Final[tuple[str, ...]] = LINEAR_FEATURES + TREE_FEATURES
LAYOUT: Final = FeatureLayout(FEATURES, n_linear=len(LINEAR_FEATURES), intercept=False)
