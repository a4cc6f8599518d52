"""monitor.json: what the night's look at champion, features, scores and data came to.

Everything here is a pure function of the champion, tonight's features and Prepare's data report; Predict writes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.monitoring.monitor_data import DataReport, look_at_data
from pipeline.monitoring.monitor_evidence import MIN_GAMES, Forecasts, evidence_by_day, verdict
from pipeline.monitoring.monitor_features import SeasonGames, compare_features
from pipeline.monitoring.monitor_live import LivePerformance, live_performance
from pipeline.monitoring.monitor_scores import Scores, score_evidence
from pipeline.training.champion import Champion
from pipeline.training.model import predict
from pipeline.training.training_sets import feature_layout, feature_matrix
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.reference import reference_forecast

IntArray = NDArray[np.int64]

MIN_SCORED_DAYS: Final = 7  # of games since the cut-off, before one team's scores are judged
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True)
class Alarm:
    """Something that a person should know: which part, what is wrong."""

    part: str  # contract.LIVE, DRIFT, SCORES or DATA
    what: str


@dataclass(frozen=True)
class Night:
    """What Prepare knows on this night; tables in order of date."""

    played: pa.Table  # features of played games from the first modelled season on
    upcoming: pa.Table  # features of games to come
    results: pa.Table  # every played game: contract.RESULT_COLUMNS


_WAYS: Final = {
    "loss": "the champion is surprised more often than its own probabilities claim",
    "too_good": "the champion is surprised less often than can be: a leak until somebody has looked",
    "home_edge": "home teams win at another rate than the champion claims: are home and away swapped?",
    "team": "one team ({team}) wins at another rate than the champion claims",
}


def monitor(night: Night, champion: Champion | None, why_silent: str, prepared: Mapping[str, Any]) -> dict[str, Any]:
    """monitor.json's content, JSON types only.

    `why_silent` says why the champion cannot be judged ("" if it can); `prepared` is prepared.json.
    """
    as_of = _number_of(prepared["as_of_date"])
    judged = champion if champion and not why_silent else None
    live = _live(night, judged, why_silent)
    features = _features(night.played, judged, why_silent)
    scores = _scores(night.results, judged)
    data = _data(night, champion, prepared, as_of)
    alarms = [
        *live.pop("found"),
        *features.pop("found"),
        *scores.pop("found"),
        *(Alarm(c.DATA, w) for w in data.alarms),
    ]
    report: dict[str, Any] = {
        "as_of_date": prepared["as_of_date"],
        "simulated": prepared["simulated"],
        "champion_version": champion.version if champion else None,
        "trained_before": champion.artifact.card.trained_before if champion else None,
        "alarms": [asdict(alarm) for alarm in alarms],
        c.LIVE: live,
        c.DRIFT: features,
        c.SCORES: scores,
        c.DATA: {**asdict(data), "alarms": list(data.alarms)},
    }
    return {**report, "summary": summarise(report)}


def summarise(report: Mapping[str, Any]) -> str:
    """One sentence for logs, terminals and mails."""
    label = "simulated games: " if report["simulated"] else ""
    if report["alarms"]:
        return label + "; ".join(alarm["what"] for alarm in report["alarms"])
    live = report[c.LIVE]
    if not live["enough"]:
        return f"{label}no alarm; {live['skip_reason']}"
    loss = live["scores"][c.LOG_LOSS]
    return (
        f"{label}no alarm; champion {report['champion_version']}: log loss {loss['value']:.4f} on {live['n_rows']:,} "
        f"games since {report['trained_before']} ({loss['expected']['mean']:.4f} expected of it)"
    )


def live_forecasts(night: Night, champion: Champion) -> Forecasts:
    """The champion's shipped weights on the games decided since its cut-off, beside Elo-logistic from results alone."""
    days, card = _days(night.played), champion.artifact.card
    since = night.played.slice(int(np.searchsorted(days, _number_of(card.trained_before))))
    ids = since[c.ROW_ID].to_pylist()
    row_of = {game: row for row, game in enumerate(night.results[c.ROW_ID].to_pylist())}
    results = night.results.take(pa.array([row_of[game] for game in ids], pa.int64()))
    return Forecasts(
        p=predict(champion.artifact.booster, feature_matrix(since)),
        target=since[c.TARGET].to_numpy().astype(np.float64),
        day=_days(since),
        home=_texts(results, nba.HOME_FRANCHISE),
        away=_texts(results, nba.AWAY_FRANCHISE),
        p_reference=reference_forecast(night.results, ids, date.fromisoformat(card.trained_from)),
    )


def _live(night: Night, champion: Champion | None, why_silent: str) -> dict[str, Any]:
    if champion is None:
        return {"enough": False, "skip_reason": why_silent, "n_rows": 0, "found": []}
    forecasts = live_forecasts(night, champion)
    said = verdict(forecasts)
    if not said.enough:
        skip_reason = f"{said.n_rows} games since its cut-off are too few to judge version {champion.version} "
        return {
            "enough": False,
            "skip_reason": f"{skip_reason}(at least {MIN_GAMES})",
            "n_rows": said.n_rows,
            "found": [],
        }
    path = evidence_by_day(forecasts)
    return {
        "enough": True,
        "skip_reason": "",
        "n_rows": said.n_rows,
        "evidence": dict(said.evidence),
        "team": said.team,
        **_performance(live_performance(forecasts)),
        "path": [
            {"date": _text_of(day), "n_rows": int(n), **{name: float(v[i]) for name, v in path.by_family.items()}}
            for i, (day, n) in enumerate(zip(path.day.tolist(), path.n_rows, strict=True))
        ],
        "found": [Alarm(c.LIVE, _WAYS[name].format(team=said.team)) for name in said.alarms],
    }


def _performance(live: LivePerformance) -> dict[str, Any]:
    scores = {name: getattr(live, name) for name in (c.LOG_LOSS, c.BRIER, "home_win_rate", c.CALIBRATION_ERROR)}
    return {
        "first_date": _text_of(live.first_day),
        "last_date": _text_of(live.last_day),
        "scores": {name: {**asdict(score), "as_claimed": score.as_claimed} for name, score in scores.items()},
        "reference_log_loss": live.reference_log_loss,
        "difference": None if live.difference is None else asdict(live.difference),
        "reliability": [asdict(b) for b in live.reliability],
    }


def _features(played: pa.Table, champion: Champion | None, why_silent: str) -> dict[str, Any]:
    if champion is None:
        return {"enough": False, "skip_reason": why_silent, "found": []}
    games = SeasonGames(
        X=feature_matrix(played),
        day=_days(played),
        season=played[nba.SEASON].to_numpy().astype(np.int64),
        playoff=played[nba.PLAYOFF].to_numpy().astype(np.bool_),
    )
    report = compare_features(
        games, feature_layout(played.schema).features, _number_of(champion.artifact.card.trained_before)
    )
    drifted = report.drifted
    what = f"features do not look like those of earlier seasons at this time of the year: {', '.join(drifted)}"
    return {
        **asdict(report),
        "rows": [asdict(row) for row in report.rows],
        "enough": not report.skip_reason,
        "drifted": list(drifted),
        "found": [Alarm(c.DRIFT, what)] if drifted else [],
    }


def _scores(results: pa.Table, champion: Champion | None) -> dict[str, Any]:
    nothing: dict[str, Any] = {"enough": False, "found": []}
    if champion is None:
        return nothing
    season = results[nba.SEASON].to_numpy()
    now = results.filter(pa.array(season == season[-1]))
    points = [now[column].to_numpy().astype(np.float64) for column in (nba.HOME_POINTS, nba.AWAY_POINTS)]
    games = Scores(_days(now), _texts(now, nba.HOME_FRANCHISE), _texts(now, nba.AWAY_FRANCHISE), *points)
    path = score_evidence(games, _number_of(champion.artifact.card.trained_before))
    if len(path.day) < MIN_SCORED_DAYS:
        return nothing
    evidence = float(path.evidence[-1])
    what = f"the points of one team ({path.team}) are at another level than before"
    return {
        "enough": True,
        "evidence": evidence,
        "team": path.team,
        "found": [Alarm(c.SCORES, what)] if evidence >= 1.0 else [],
    }


def _data(night: Night, champion: Champion | None, prepared: Mapping[str, Any], as_of: int) -> DataReport:
    changed, recorded = _changed(night.results, champion, as_of) if champion else (0, 0)
    late = prepared["data"].get("late_scores", [])
    return look_at_data(
        _days(night.results),
        _days(night.upcoming),
        np.array([_number_of(day) for day in late], dtype=np.int64),
        as_of=as_of,
        changed=changed,
        recorded=recorded,
    )


def _changed(results: pa.Table, champion: Champion, as_of: int) -> tuple[int, int]:
    """How many games of the champion's walk-forward predictions are gone or have another winner now, of how many.

    Games from day `as_of` on do not count: in a back-test of an earlier day they have not been played yet.
    """
    target = (results[nba.HOME_POINTS].to_numpy() > results[nba.AWAY_POINTS].to_numpy()).tolist()
    now = dict(zip(results[c.ROW_ID].to_pylist(), target, strict=True))
    record = champion.artifact.walk_forward
    record = record.filter(pa.array(_days(record) < as_of))
    then = zip(record[c.ROW_ID].to_pylist(), record[c.TARGET].to_pylist(), strict=True)
    return sum(now.get(game) != won for game, won in then), record.num_rows


def _days(table: pa.Table) -> IntArray:
    days: IntArray = table[c.TIME].to_numpy().astype("datetime64[D]").astype(np.int64)
    return days


def _texts(table: pa.Table, column: str) -> NDArray[Any]:
    return np.array(table[column].to_pylist(), dtype=str)


def _number_of(day: str) -> int:
    return (date.fromisoformat(day) - _EPOCH).days


def _text_of(day: int) -> str:
    return str(np.datetime64(day, "D"))


def without_nan(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """JSON has no NaN and no infinity: null stands for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    return [without_nan(item) for item in value] if isinstance(value, list | tuple) else value
