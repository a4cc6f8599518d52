"""Candidate, champion and baseline on the same rows, out of sample: the numbers of evaluation.json.

The candidate's predictions are its walk-forward predictions, the baseline's come from validated rows alone. The
champion's prediction for a row is its own walk-forward prediction up to its cut-off, and its shipped weights on today's
features after it: both from earlier rows only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.contract import gates
from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.contract.metrics import metric_words
from pipeline.contract.spec import Limit, Spec
from pipeline.contract.workload import Workload
from pipeline.evaluation import metrics
from pipeline.training.artifact import Artifact
from pipeline.training.champion import Champion, features_skip_reason
from pipeline.training.model import importance, predict
from pipeline.training.training_sets import feature_layout, feature_matrix

Rows = NDArray[np.bool_] | slice
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Fixed, so that the same candidate gets the same interval in each run.
BOOTSTRAP_SEED = 20_151_027
IMPORTANCE_ROWS = 1_312
MIN_MONTH_ROWS = 10  # the mean of fewer is noise: such a month is left out of the picture


@dataclass(frozen=True)
class Evaluated:
    """The rows of the candidate's walk-forward predictions, in order of time; arrays of the shape (rows,)."""

    spec: Spec
    row_id: NDArray[np.object_]
    days: IntArray  # since 1970-01-01
    target: FloatArray
    predictions: Mapping[str, FloatArray]  # by who: candidate, baseline, constant
    quantiles: Mapping[float, FloatArray] = field(default_factory=dict)  # the candidate's

    @classmethod
    def of(cls, spec: Spec, table: pa.Table, baseline: FloatArray) -> Evaluated:
        """From the table that Train wrote, and the baseline for the same rows."""
        return cls(
            spec=spec,
            row_id=table[c.ROW_ID].to_numpy(),
            days=days_of(table),
            target=floats_of(table, c.TARGET),
            predictions={
                c.CANDIDATE: floats_of(table, c.PREDICTION),
                c.BASELINE: baseline,
                c.CONSTANT: floats_of(table, c.P_CONSTANT),
            },
            quantiles={q: floats_of(table, f"quantile_{100 * q:g}") for q in spec.quantiles},
        )

    @property
    def blocks(self) -> IntArray:
        """Number of each row's unit of independence: what the bootstrap draws."""
        return metrics.blocks_of(self.spec.unit, self.days)

    def losses(self, prediction: FloatArray, rows: Rows = slice(None)) -> FloatArray:
        return metrics.row_losses(self.spec.task, prediction[rows], self.target[rows])

    def scores(self, who: str, prediction: FloatArray, rows: Rows = slice(None)) -> dict[str, Any] | None:
        """All metrics where there is a prediction; None where there is none at all."""
        known = np.isfinite(prediction[rows])
        if not known.any():
            return None
        quantiles = {q: value[rows][known] for q, value in self.quantiles.items()} if who == c.CANDIDATE else None
        return metrics.scores(self.spec.task, prediction[rows][known], self.target[rows][known], quantiles)


def floats_of(table: pa.Table, column: str) -> FloatArray:
    """A column's numbers, NaN for missing values."""
    return np.asarray(table[column].to_numpy(), dtype=np.float64)


def days_of(table: pa.Table) -> IntArray:
    """The time column as days since 1970-01-01."""
    days: IntArray = table[c.TIME].to_numpy().astype("datetime64[D]").astype(np.int64)
    return days


def rows_of(table: pa.Table, ids: Iterable[str]) -> pa.Table:
    """The rows of these ids, in their order."""
    place = {row: number for number, row in enumerate(table[c.ROW_ID].to_pylist())}
    return table.take(pa.array([place[row] for row in ids], pa.int64()))


@dataclass(frozen=True)
class ChampionPredictions:
    """The champion's prediction for each evaluated row; NaN where it has none out of sample."""

    champion: Champion
    predictions: FloatArray
    basis: str


def champion_predictions(
    champion: Champion, rows: Evaluated, features: pa.Table, feature_signature: str
) -> ChampionPredictions:
    """Its own walk-forward predictions up to its cut-off, and its weights on today's features after it."""
    artifact = champion.artifact
    ids, predicted = (artifact.walk_forward[name].to_pylist() for name in (c.ROW_ID, c.PREDICTION))
    own = dict(zip(ids, predicted, strict=True)) if artifact.card.layout.task == rows.spec.task else {}
    result = np.array([own.get(row) for row in rows.row_id], dtype=np.float64)  # None becomes NaN
    words = rows.spec.rows
    reason = features_skip_reason(champion, feature_signature, feature_layout(features.schema))
    if reason:
        return ChampionPredictions(champion, result, f"the {words} that both have predicted, because {reason}")
    later = np.flatnonzero(rows.days >= artifact.cut_off)
    shipped = np.full(rows.days.size, np.nan)
    shipped[later] = predict(artifact.booster, feature_matrix(rows_of(features, rows.row_id[later])))
    return ChampionPredictions(
        champion,
        out_of_sample(result, shipped, rows.days, artifact.cut_off),
        f"version {champion.version}: its own walk-forward predictions up to {artifact.card.trained_before}, "
        f"its shipped weights on the {later.size:,} {words} since",
    )


def out_of_sample(own: FloatArray, shipped: FloatArray, days: IntArray, cut_off: int) -> FloatArray:
    """A champion's walk-forward predictions before its cut-off (days since 1970-01-01), its shipped weights then."""
    return np.asarray(np.where(days >= cut_off, shipped, own))


def difference_on(rows: Evaluated, incumbent: FloatArray, shared: Rows = slice(None)) -> metrics.Difference:
    """Loss of the candidate minus the incumbent's on the `shared` rows, with its 95 % interval."""
    return metrics.paired_difference(
        rows.losses(rows.predictions[c.CANDIDATE], shared),
        rows.losses(incumbent, shared),
        rows.blocks[shared],
        seed=BOOTSTRAP_SEED,
    )


def candidate_numbers(rows: Evaluated) -> dict[str, Any]:
    """What the quality gate looks at: the candidate's own metrics, and its loss beside the baseline's."""
    prediction = rows.predictions[c.CANDIDATE]
    above = difference_on(rows, rows.predictions[c.BASELINE])
    baseline = float(rows.losses(rows.predictions[c.BASELINE]).mean())
    quality: dict[str, Any] = {
        "loss_above_baseline": above.mean,
        "loss_above_baseline_interval": [above.lower, above.upper],
        "skill": -above.mean / baseline if baseline else 0.0,
    }
    if rows.spec.task == "regression":
        spread = float(rows.target.std()) if np.ptp(rows.target) else 1.0  # of equal targets it may be some 1e-17
        quality["relative_bias"] = abs(float((prediction - rows.target).mean())) / spread
    return {"metrics": {c.CANDIDATE: rows.scores(c.CANDIDATE, prediction)}, "quality": quality}


@dataclass(frozen=True)
class Comparison:
    """Candidate against the champion (or, where there is none, the baseline) on the same rows.

    `difference` is the mean loss of the candidate minus the incumbent's, with a 95 % interval (bootstrap over blocks):
    negative is better. `improvement` is its negative.
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
    metrics: Mapping[str, Mapping[str, Any] | None]  # candidate and incumbent, on these rows only


def compare(rows: Evaluated, scored: ChampionPredictions | None, as_of: date) -> Comparison:
    """Compare on the rows that both have predicted out of sample."""
    spec = rows.spec
    shared, incumbent = np.ones(rows.days.size, dtype=bool), rows.predictions[c.BASELINE]
    champion, version, basis = None, "none", f"there is no champion yet: compared with {spec.baseline}"
    if scored:
        known, version = np.isfinite(scored.predictions), scored.champion.version
        basis = f"version {version} has predicted none of these {spec.rows}: compared with {spec.baseline}"
        if known.any():
            champion, shared, incumbent, basis = scored.champion, known, scored.predictions, scored.basis
    difference = difference_on(rows, incumbent, shared)
    who = c.CHAMPION if champion else c.BASELINE
    age = (as_of - date.fromisoformat(champion.artifact.card.as_of_date)).days if champion else 0
    return Comparison(
        champion_exists=c.YES if champion else c.NO,
        champion_version=version,
        champion_age_days=age,
        basis=basis,
        n_rows=int(shared.sum()),
        first_date=str(np.datetime64(int(rows.days[shared].min()), "D")),
        last_date=str(np.datetime64(int(rows.days[shared].max()), "D")),
        difference=difference,
        improvement=-difference.mean,
        metrics={
            c.CANDIDATE: rows.scores(c.CANDIDATE, rows.predictions[c.CANDIDATE], shared),
            who: rows.scores(who, incumbent),
        },
    )


def evaluate(
    workload: Workload,
    candidate: Artifact,
    champion: Champion | None,
    features: pa.Table,
    results: pa.Table,
    *,
    feature_signature: str,
    limits: Mapping[str, float],
) -> dict[str, Any]:
    """The part of evaluation.json that is made of predictions: metrics, comparison, quality, promotion, curves.

    `features` are those of the labelled rows, `results` what has happened, as the workload's data hook gives it.
    """
    spec = workload.spec
    if candidate.walk_forward.num_rows == 0:
        raise StepError(f"the candidate has no walk-forward predictions: no {spec.row} to evaluate it on")
    ids, since = candidate.walk_forward[c.ROW_ID].to_pylist(), date.fromisoformat(candidate.card.trained_from)
    rows = Evaluated.of(spec, candidate.walk_forward, workload.baseline.forecast(results, ids, since))
    scored = champion_predictions(champion, rows, features, feature_signature) if champion else None
    predictions = {
        c.CANDIDATE: rows.predictions[c.CANDIDATE],
        c.CHAMPION: scored.predictions if scored else np.full(rows.days.size, np.nan),
        c.BASELINE: rows.predictions[c.BASELINE],
        c.CONSTANT: rows.predictions[c.CONSTANT],
    }
    numbers = candidate_numbers(rows)
    evaluation: dict[str, Any] = {
        **metric_words(spec),
        "use": asdict(spec.use),
        "metrics": {who: rows.scores(who, p) for who, p in predictions.items()},
        "quality": numbers["quality"],
        "comparison": asdict(compare(rows, scored, as_of=date.fromisoformat(candidate.card.as_of_date))),
        "reliability": {who: _reliability(rows, predictions[who]) for who in (c.CANDIDATE, c.CHAMPION)},
        "monthly": monthly(rows, predictions),
        "importance": feature_importance(candidate, features),
    }
    return judge(spec, evaluation, limits)


def judge(spec: Spec, evaluation: dict[str, Any], limits: Mapping[str, float]) -> dict[str, Any]:
    """Add what the gates say, in words, to the numbers; the definition's conditions decide by the same rules."""
    try:
        failed = gates.failed_limits(spec, evaluation, limits)
    except KeyError as error:
        raise StepError(f"a limit compares a number that is not there: {error.args[0]}") from error
    promotion = gates.judge_promotion(spec, evaluation, limits)
    replacing = gates.PROMOTION_LIMITS if evaluation["comparison"]["champion_exists"] == c.YES else ()
    evaluation["quality"] |= {
        "passed": not failed,
        "reason": "; ".join(failed) or "every limit holds",
        "limits": _limit_rows(gates.quality_limits(spec), evaluation, limits),
    }
    evaluation["promotion"] = {**asdict(promotion), "limits": _limit_rows(replacing, evaluation, limits)}
    evaluation["decision"] = gates.decide(spec, evaluation, limits)
    evaluation["reason"] = evaluation["quality"]["reason"] if failed else promotion.reason
    return evaluation


def _limit_rows(
    rules: Iterable[Limit], evaluation: Mapping[str, Any], limits: Mapping[str, float]
) -> list[dict[str, Any]]:
    rows = []
    for rule in rules:
        value, limit = gates.number_at(evaluation, rule.path), limits[rule.parameter]
        row = {"value": value, "operator": rule.operator, "limit": limit, "holds": gates.holds(rule, value, limit)}
        rows.append({"words": rule.words, "parameter": rule.parameter, "why": rule.why, **row})
    return rows


def _reliability(rows: Evaluated, prediction: FloatArray) -> list[dict[str, float]] | None:
    known = np.isfinite(prediction)
    if rows.spec.task != "binary" or not known.any():
        return None
    return [asdict(b) for b in metrics.reliability_bins(prediction[known], rows.target[known])]


def monthly(rows: Evaluated, predictions: Mapping[str, FloatArray]) -> list[dict[str, Any]]:
    """Mean loss by calendar month and by who; None where someone has no prediction for every row of the month."""
    months = rows.days.astype("datetime64[D]").astype("datetime64[M]")
    found: list[dict[str, Any]] = []
    for month in np.unique(months):
        here = months == month
        if here.sum() < MIN_MONTH_ROWS:
            continue
        means = {who: float(rows.losses(p, here).mean()) for who, p in predictions.items()}
        known = {who: None if math.isnan(mean) else mean for who, mean in means.items()}
        found.append({"month": str(month), "n_rows": int(here.sum()), **known})
    return found


def feature_importance(candidate: Artifact, features: pa.Table) -> list[dict[str, Any]]:
    """Each feature's share of how far the candidate's predictions move, on its newest rows, largest first."""
    recent = features.slice(max(0, features.num_rows - IMPORTANCE_ROWS))
    shares = importance(candidate.booster, feature_matrix(recent))
    ranked = sorted(zip(candidate.card.features, shares.tolist(), strict=True), key=lambda item: (-item[1], item[0]))
    return [{"feature": name, "share": share} for name, share in ranked]
