"""The reference workload: the probability that the home team of an NBA game wins. Standard library only."""

from __future__ import annotations

from typing import Final

from pipeline.contract.names import NO_FOLDER
from pipeline.contract.spec import ExtraInput, Limit, MonitorSpec, Parameter, Span, Spec, UseSpec
from pipeline.workloads.nba.columns import AWAY_FRANCHISE, COLUMNS, HOME_FRANCHISE, POINTS, TEAMS

_INSTANCE: Final = "instance type of"
# Medians of the seasons 2005 to 2019 in the real games: from the first to the last game 232 days, 208 of them after a
# day with games (163 of the regular season).
_SEASON_NIGHTS: Final = 232
_GAME_DAYS: Final = 208

SPEC: Final = Spec(
    name="nba",
    title="NBA home-win probability",
    row="game",
    rows="games",
    task="binary",
    event="a home win",
    prediction="home_win_probability",
    columns=COLUMNS,
    label_columns=POINTS,
    shown=TEAMS,
    baseline="Elo-logistic",
    baseline_meaning="two numbers fitted to Elo ratings that are made of results alone, not of the model's features",
    fallback="Elo's formula",
    time_zone="America/New_York",  # in which the league schedules its games
    data_prefix="games",
    deployed_as="retraining",
    model_group="nba-home-win",
    use=UseSpec(
        intended="Previews and discussions of the day's games by people who know that a probability is no certainty.",
        excluded="betting with money that may not be lost, and judging players, coaches or referees",
        risk="Low",
        risk_reason="A wrong probability decides about no person; it misleads a reader about a game.",
    ),
    unit="week",  # the games of a week share teams in the same state
    parameters=(
        Parameter("FirstSeason", 2004, "first season to model; older games only warm up the ratings", for_prepare=True),
        Parameter("EventsPrefix", NO_FOLDER, "folder of the play-by-play files below the data bucket, or none"),
        Parameter("AggregateInstanceType", "ml.t3.medium", f"{_INSTANCE} Aggregate (only with EventsPrefix)"),
        Parameter(
            "AggregateInstanceCount",
            1,
            "instances for the play-by-play; 1: Aggregate, with DuckDB; more: AggregateOnSpark, on a Spark cluster",
        ),
        Parameter(
            "AggregateOnSparkInstanceType",
            "ml.m5.xlarge",
            f"{_INSTANCE} AggregateOnSpark (Spark and YARN need 8 GB or more)",
        ),
    ),
    defaults={
        "WalkForwardRows": 1312,  # a season
        "MaxLogLoss": 0.68,
        "MaxAccuracy": 0.73,
        "MaxSkill": 0.03,  # benchmarks/nba/leak_gate.py
        "MinEvaluatedRows": 1000,
    },
    limits=(
        Limit(
            "log loss",
            "metrics.candidate.log_loss",
            "<=",
            "MaxLogLoss",
            "the probabilities say little more than always the base rate",
        ),
        Limit(
            "accuracy",
            "metrics.candidate.accuracy",
            "<=",
            "MaxAccuracy",
            "suspected leakage: look for a feature that sees the result before you raise this limit",
        ),
    ),
    monitor=MonitorSpec(
        period="season",
        left_out="playoff",
        groups={HOME_FRANCHISE: 1.0, AWAY_FRANCHISE: -1.0},
        group_word="team",
        yearly=True,
    ),
    inputs=(ExtraInput(channel="events", parameter="EventsPrefix"),),
    commands={"aggregate": "pipeline.workloads.nba.play_by_play.aggregate"},
    prepare_channels=("team_games",),
    seed_objects={"team_games/aggregated.json": '{"engine": null}\n'},
    constants=("SparkImageUri", "SparkCodeUri", "SparkCodeFile"),
    spans=(
        Span("month in season", 30, 30 * _GAME_DAYS / _SEASON_NIGHTS),
        Span("month out of season", 30, 0),
        Span("season", _SEASON_NIGHTS, _GAME_DAYS),
        Span("year", 365, _GAME_DAYS),
    ),
)
