"""Candidate, champion and baselines on the same games, out of sample: the numbers of evaluation.json.

The candidate's predictions are walk-forward, Elo-logistic's come from results alone (reference.py). The
champion's prediction for a game is its own record up to its cut-off, and its shipped weights on today's features after
it: both from games before the predicted one only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.contract import gates
from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.evaluation import metrics
from pipeline.training.artifact import Artifact
from pipeline.training.champion import Champion, features_skip_reason
from pipeline.training.model import importance, predict
from pipeline.training.training_sets import feature_layout, feature_matrix
from pipeline.workloads.nba.reference import reference_forecast

FloatArray = NDArray[np.float64]

# Fixed, so that the same candidate gets the same interval each night.
BOOTSTRAP_SEED = 20_151_027
IMPORTANCE_GAMES = 1_312  # a season
MIN_MONTH_GAMES = 10  # the mean of fewer games is noise: such a month is left out of the picture


@dataclass(frozen=True)
class Record:
    """Walk-forward predictions as arrays of the shape (games,), in order of date."""

    game_id: NDArray[np.object_]
    days: NDArray[np.int64]  # since 1970-01-01
    target: FloatArray
    predictions: Mapping[str, FloatArray]  # by who: candidate, baseline, constant

    @classmethod
    def of(cls, table: pa.Table, baseline: FloatArray) -> Record:
        """From the table that Train wrote, and the reference for the same games."""
        return cls(
            game_id=table[c.ROW_ID].to_numpy(),
            days=days_of(table),
            target=table[c.TARGET].to_numpy().astype(np.float64),
            predictions={
                c.CANDIDATE: table[c.PREDICTION].to_numpy().astype(np.float64),
                c.BASELINE: baseline,
                c.CONSTANT: table[c.P_CONSTANT].to_numpy().astype(np.float64),
            },
        )

    @property
    def weeks(self) -> NDArray[np.int64]:
        """Number of each game's week, Monday to Sunday: the unit of the bootstrap."""
        return (self.days + 3) // 7  # 1970-01-01 was a Thursday


def days_of(table: pa.Table) -> NDArray[np.int64]:
    """The date column as days since 1970-01-01."""
    days: NDArray[np.int64] = table[c.TIME].to_numpy().astype("datetime64[D]").astype(np.int64)
    return days


@dataclass(frozen=True)
class ChampionPredictions:
    """The champion's probability for each game of the candidate's record; NaN where it has none out of sample."""

    champion: Champion
    probabilities: FloatArray
    basis: str


def champion_predictions(
    champion: Champion, record: Record, features: pa.Table, feature_signature: str
) -> ChampionPredictions:
    """The champion's record up to its cut-off and its weights on today's features after it."""
    artifact = champion.artifact
    own = dict(
        zip(artifact.walk_forward[c.ROW_ID].to_pylist(), artifact.walk_forward[c.PREDICTION].to_pylist(), strict=True),
    )
    result = np.array([own.get(game) for game in record.game_id], dtype=np.float64)  # None becomes NaN
    reason = features_skip_reason(champion, feature_signature, feature_layout(features.schema))
    if reason:
        return ChampionPredictions(champion, result, f"the games of both records, because {reason}")
    cut_off = (artifact.cut_off - date(1970, 1, 1)).days
    later = np.flatnonzero(record.days >= cut_off)
    shipped = np.full(record.days.size, np.nan)
    row_of = {game: row for row, game in enumerate(features[c.ROW_ID].to_pylist())}
    rows = pa.array([row_of[game] for game in record.game_id[later]], type=pa.int64())
    shipped[later] = predict(artifact.booster, feature_matrix(features.take(rows)))
    result = out_of_sample(result, shipped, record.days, cut_off)
    return ChampionPredictions(
        champion,
        result,
        f"version {champion.version}: its walk-forward predictions up to {artifact.card.trained_before}, "
        f"its shipped weights on the {later.size:,} games since",
    )


def out_of_sample(own: FloatArray, shipped: FloatArray, days: NDArray[np.int64], cut_off: int) -> FloatArray:
    """A champion's own record before its cut-off (a day since 1970-01-01), its shipped weights from it on."""
    return np.asarray(np.where(days >= cut_off, shipped, own))


def difference_on(
    record: Record, incumbent: FloatArray, shared: NDArray[np.bool_] | slice = slice(None)
) -> metrics.Difference:
    """Log loss of the record's candidate minus the incumbent's on the `shared` games, with its 95 % interval."""
    target = record.target[shared]
    return metrics.paired_difference(
        metrics.log_losses(record.predictions[c.CANDIDATE][shared], target),
        metrics.log_losses(incumbent[shared], target),
        record.weeks[shared],
        seed=BOOTSTRAP_SEED,
    )


def candidate_numbers(record: Record) -> dict[str, Any]:
    """What the quality gate looks at: the candidate's own metrics, and its loss beside Elo-logistic's."""
    above_elo = difference_on(record, record.predictions[c.BASELINE])
    return {
        "metrics": {c.CANDIDATE: _metrics(record.predictions[c.CANDIDATE], record.target)},
        "quality": {
            "loss_above_baseline": above_elo.mean,
            "skill": -above_elo.mean,
            "loss_above_baseline_interval": [above_elo.lower, above_elo.upper],
        },
    }


@dataclass(frozen=True)
class Comparison:
    """Candidate against the champion (or, where there is none, Elo-logistic) on the same games.

    `difference` is the mean log loss of the candidate minus the incumbent's, with a 95 % interval (bootstrap over
    weeks): negative is better. `improvement` is its negative.
    """

    champion_exists: str  # yes or no: one that can be compared with
    champion_version: str
    champion_age_days: int
    basis: str
    n_rows: int
    first_date: str
    last_date: str
    difference: metrics.Difference
    improvement: float
    metrics: Mapping[str, Mapping[str, Any]]  # candidate and incumbent, on these games only


def compare(record: Record, scored: ChampionPredictions | None, as_of: date) -> Comparison:
    """Compare on the games that both have predicted out of sample."""
    shared, incumbent = np.ones(record.days.size, dtype=bool), record.predictions[c.BASELINE]
    champion, version, basis = None, "none", "there is no champion yet: compared with Elo-logistic"
    if scored:
        known, version = np.isfinite(scored.probabilities), scored.champion.version
        basis = f"version {version} has predicted none of these games: compared with Elo-logistic"
        if known.any():
            champion, shared, incumbent, basis = scored.champion, known, scored.probabilities, scored.basis
    difference = difference_on(record, incumbent, shared)
    incumbent_name = c.CHAMPION if champion else c.BASELINE
    age = (as_of - date.fromisoformat(champion.artifact.card.as_of_date)).days if champion else 0
    return Comparison(
        champion_exists=c.YES if champion else c.NO,
        champion_version=version,
        champion_age_days=age,
        basis=basis,
        n_rows=int(shared.sum()),
        first_date=str(np.datetime64(int(record.days[shared].min()), "D")),
        last_date=str(np.datetime64(int(record.days[shared].max()), "D")),
        difference=difference,
        improvement=-difference.mean,
        metrics={
            c.CANDIDATE: _as_json(metrics.score(record.predictions[c.CANDIDATE][shared], record.target[shared])),
            incumbent_name: _as_json(metrics.score(incumbent[shared], record.target[shared])),
        },
    )


def evaluate(
    candidate: Artifact,
    champion: Champion | None,
    features: pa.Table,
    results: pa.Table,
    *,
    feature_signature: str,
    limits: Mapping[str, float],
) -> dict[str, Any]:
    """The part of evaluation.json that is made of predictions: metrics, comparison, quality, promotion, curves.

    `features` has the columns of `build_features`, `results` contract.RESULT_COLUMNS; both played games only.
    """
    if candidate.walk_forward.num_rows == 0:
        raise StepError("the candidate's walk-forward predictions are empty: no game to evaluate it on")
    games = candidate.walk_forward[c.ROW_ID].to_pylist()
    record = Record.of(
        candidate.walk_forward, reference_forecast(results, games, date.fromisoformat(candidate.card.trained_from))
    )
    scored = champion_predictions(champion, record, features, feature_signature) if champion else None
    predictions = {
        c.CANDIDATE: record.predictions[c.CANDIDATE],
        c.CHAMPION: scored.probabilities if scored else np.full(record.days.size, np.nan),
        c.BASELINE: record.predictions[c.BASELINE],
        c.CONSTANT: record.predictions[c.CONSTANT],
    }
    numbers = candidate_numbers(record)
    evaluation: dict[str, Any] = {
        "metrics": {who: _metrics(p, record.target) for who, p in predictions.items()} | numbers["metrics"],
        "quality": numbers["quality"],
        "comparison": asdict(compare(record, scored, as_of=date.fromisoformat(candidate.card.as_of_date))),
        "reliability": {who: _reliability(predictions[who], record.target) for who in (c.CANDIDATE, c.CHAMPION)},
        "monthly": monthly(record, predictions),
        "importance": feature_importance(candidate, features),
    }
    return judge(evaluation, limits)


def judge(evaluation: dict[str, Any], limits: Mapping[str, float]) -> dict[str, Any]:
    """Add what the gates say, in words, to the numbers; the definition's conditions decide by the same rules."""
    failed = gates.failed_limits(evaluation, limits)
    promotion = gates.judge_promotion(evaluation, limits)
    replacing = gates.PROMOTION_LIMITS if evaluation["comparison"]["champion_exists"] == c.YES else ()
    evaluation["quality"] |= {
        "passed": not failed,
        "reason": "; ".join(failed) or "every limit holds",
        "limits": _limit_rows(gates.QUALITY_LIMITS, evaluation, limits),
    }
    evaluation["promotion"] = {**asdict(promotion), "limits": _limit_rows(replacing, evaluation, limits)}
    evaluation["decision"] = gates.decide(evaluation, limits)
    evaluation["reason"] = evaluation["quality"]["reason"] if failed else promotion.reason
    return evaluation


def _limit_rows(
    rules: Iterable[gates.Limit], evaluation: Mapping[str, Any], limits: Mapping[str, float]
) -> list[dict[str, Any]]:
    rows = []
    for rule in rules:
        value, limit = gates.number_at(evaluation, rule.path), limits[rule.parameter]
        row = {"value": value, "operator": rule.operator, "limit": limit, "holds": rule.holds(value, limit)}
        rows.append({"words": rule.words, "parameter": rule.parameter, **row})
    return rows


def _metrics(probabilities: FloatArray, target: FloatArray) -> dict[str, Any] | None:
    known = np.isfinite(probabilities)
    return _as_json(metrics.score(probabilities[known], target[known])) if known.any() else None


def _as_json(scores: metrics.Metrics) -> dict[str, Any]:
    """JSON has no NaN: an AUC of games that all ended alike is null."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in asdict(scores).items()
    }


def _reliability(probabilities: FloatArray, target: FloatArray) -> list[dict[str, float]] | None:
    known = np.isfinite(probabilities)
    return [asdict(b) for b in metrics.reliability_bins(probabilities[known], target[known])] or None


def monthly(record: Record, predictions: Mapping[str, FloatArray]) -> list[dict[str, Any]]:
    """Mean log loss by calendar month and by who; None where someone has no prediction for every game of the month."""
    months = record.days.astype("datetime64[D]").astype("datetime64[M]")
    rows: list[dict[str, Any]] = []
    for month in np.unique(months):
        games = months == month
        if games.sum() < MIN_MONTH_GAMES:
            continue
        row: dict[str, Any] = {"month": str(month), "n_rows": int(games.sum())}
        for who, p in predictions.items():
            mean = float(metrics.log_losses(p[games], record.target[games]).mean())
            row[who] = None if math.isnan(mean) else mean
        rows.append(row)
    return rows


def feature_importance(candidate: Artifact, features: pa.Table) -> list[dict[str, Any]]:
    """Each feature's share of how far the candidate's forecasts move, on its most recent games, largest first."""
    recent = features.slice(max(0, features.num_rows - IMPORTANCE_GAMES))
    shares = importance(candidate.booster, feature_matrix(recent))
    ranked = sorted(zip(candidate.card.features, shares.tolist(), strict=True), key=lambda item: (-item[1], item[0]))
    return [{"feature": name, "share": share} for name, share in ranked]
