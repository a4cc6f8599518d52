"""The numbers of evaluation.json, each from a few games: what is compared with what, to the day."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.contract import gates
from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.contract.parameters import default_limits
from pipeline.contract.spec import Limit
from pipeline.contract.workload import Workload, load_workload
from pipeline.evaluation import evaluation, metrics
from pipeline.evaluation.evaluation import ChampionPredictions, Evaluated
from pipeline.training.artifact import Artifact, ModelCard
from pipeline.training.champion import Champion
from pipeline.training.model import Hyperparameters, fit, importance, predict
from pipeline.training.training_sets import feature_matrix
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.baseline import forecast as reference_forecast
from pipeline.workloads.nba.team_state.feature_names import FEATURES, LAYOUT

WORKLOAD = load_workload("nba")
NBA = WORKLOAD.spec
LIMITS = default_limits(NBA)
SEED = 20_151_027
N = 60
CHANCE = np.random.default_rng(1)
DATES = [date(2024, 12, 1) + timedelta(3 * (n // 2)) for n in range(N)]  # two games on every third day, to 2025-02-26
BEGIN = 22  # the record's first game, of 2025-01-03
IDS = [f"g{n}" for n in range(N)]
HOME_WON = CHANCE.integers(2, size=N).astype(float)
HOME_WON[BEGIN:] = [1.0, 0.0] * ((N - BEGIN) // 2)
FEATURE_TABLE = pa.table(
    {
        c.ROW_ID: IDS,
        c.TIME: pa.array(DATES, pa.date32()),
        nba.SEASON: [2025] * N,
        c.TARGET: HOME_WON,
        **{name: CHANCE.normal(size=N) for name in FEATURES},
    }
).replace_schema_metadata(LAYOUT.as_metadata())
RESULTS = pa.table(
    {
        c.ROW_ID: IDS,
        c.TIME: pa.array(DATES, pa.date32()),
        nba.SEASON: [2024] * 4 + [2025] * (N - 4),
        nba.HOME_FRANCHISE: ["A", "C"] * (N // 2),
        nba.AWAY_FRANCHISE: ["B", "D"] * (N // 2),
        nba.HOME_POINTS: (100 + 10 * HOME_WON).astype(int),
        nba.AWAY_POINTS: [105] * N,
        nba.NEUTRAL_SITE: [False] * N,
        c.TARGET: HOME_WON.astype(np.int8),
    }
)
RECORD = FEATURE_TABLE.select([c.ROW_ID, c.TIME, nba.SEASON, c.TARGET]).slice(BEGIN)
RECORD = RECORD.append_column(c.PREDICTION, pa.array(CHANCE.uniform(0.4, 0.7, N - BEGIN)))
RECORD = RECORD.append_column(c.P_CONSTANT, pa.array(CHANCE.uniform(0.5, 0.6, N - BEGIN)))
PREDICTION, WON = RECORD[c.PREDICTION].to_numpy(), RECORD[c.TARGET].to_numpy()
ELO = reference_forecast(RESULTS, IDS[BEGIN:], DATES[4])
CONFIG = Hyperparameters(boosting_rounds=3, min_child_weight=1)
CARD = ModelCard(
    as_of_date="2025-03-01",
    trained_before="2025-02-02",
    n_rows=40,
    trained_from=str(DATES[4]),
    fingerprint="f",
    code_version="c",
    feature_signature="today",
    layout=LAYOUT,
    hyperparameters=asdict(CONFIG),
    walk_forward_rows=N - BEGIN,
    target_mean=0.5,
    xgboost_version="",
)
ARTIFACT = Artifact(fit(feature_matrix(FEATURE_TABLE), HOME_WON, CONFIG, LAYOUT), CARD, RECORD)
THE_RECORD = Evaluated.of(NBA, RECORD, ELO)


def champion(**card: Any) -> Champion:
    """Version 7, as of 2025-02-02; its record lacks the first two games of the candidate's, and differs."""
    own = RECORD.set_column(RECORD.column_names.index(c.PREDICTION), c.PREDICTION, pa.array(1 - PREDICTION)).slice(2)
    return Champion("7", Artifact(ARTIFACT.booster, replace(CARD, as_of_date="2025-02-02", **card), own))


def scored(probabilities: list[float]) -> ChampionPredictions:
    return ChampionPredictions(champion(), np.array(probabilities), "the basis")


def test_a_record_as_arrays() -> None:
    assert THE_RECORD.row_id.tolist() == IDS[BEGIN:]
    assert THE_RECORD.days.tolist() == [(day - date(1970, 1, 1)).days for day in DATES[BEGIN:]]
    assert THE_RECORD.target.tolist() == WON.tolist()
    expected = {"candidate": PREDICTION, "baseline": ELO, "constant": RECORD[c.P_CONSTANT].to_numpy()}
    assert {who: p.tolist() for who, p in THE_RECORD.predictions.items()} == {
        w: p.tolist() for w, p in expected.items()
    }


def test_days_of_dates_and_of_moments() -> None:
    for kind in (pa.date32(), pa.timestamp("ns")):
        days = evaluation.days_of(pa.table({c.TIME: pa.array([date(1970, 1, 1), date(1970, 1, 3)]).cast(kind)}))
        assert (days.dtype, days.tolist()) == (np.int64, [0, 2])


def test_a_week_begins_on_monday() -> None:
    sunday, monday = ((date(2025, 3, day) - date(1970, 1, 1)).days for day in (2, 3))
    weeks = replace(THE_RECORD, days=np.array([sunday - 6, sunday, monday, monday + 6])).blocks
    assert (weeks - weeks[0]).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("trained_before", "later"),
    [("2025-02-02", 18), ("2025-02-03", 16), ("2025-01-01", N - BEGIN), ("2025-02-26", 2), ("2025-02-27", 0)],
)
def test_a_champions_weights_count_from_the_day_that_they_have_not_seen(trained_before: str, later: int) -> None:
    """A game of that very day is forecast by the weights, although the champion's record has it."""
    version = champion(trained_before=trained_before)
    found = evaluation.champion_predictions(version, THE_RECORD, FEATURE_TABLE, "today")
    shipped = predict(ARTIFACT.booster, feature_matrix(FEATURE_TABLE))[BEGIN:]
    own = np.concatenate([[np.nan, np.nan], 1 - PREDICTION[2:]])
    first = N - BEGIN - later
    np.testing.assert_array_equal(found.predictions, np.concatenate([own[:first], shipped[first:]]))
    assert found.champion is version
    assert found.basis == (
        f"version 7: its own walk-forward predictions up to {trained_before}, "
        f"its shipped weights on the {later} games since"
    )


def test_a_champion_of_other_features_has_its_own_record_only() -> None:
    found = evaluation.champion_predictions(champion(), THE_RECORD, FEATURE_TABLE, "tomorrow")
    np.testing.assert_array_equal(found.predictions, np.concatenate([[np.nan, np.nan], 1 - PREDICTION[2:]]))
    assert found.basis.startswith("the games that both have predicted, because version 7 was trained on other features")
    assert found.champion.version == "7"


def test_a_champion_of_another_task_has_predicted_nothing_to_compare_with() -> None:
    """Its probabilities are no predictions of a number, nor the other way round."""
    found = evaluation.champion_predictions(
        champion(layout=replace(LAYOUT, task="regression")), THE_RECORD, FEATURE_TABLE, "today"
    )
    assert np.isnan(found.predictions).all()
    assert evaluation.compare(THE_RECORD, found, date(2025, 3, 1)).champion_exists == "no"


def difference(incumbent: Any, chosen: Any) -> metrics.Difference:
    losses = [metrics.log_losses(p[chosen], WON[chosen]) for p in (PREDICTION, incumbent)]
    return metrics.paired_difference(*losses, THE_RECORD.blocks[chosen], seed=SEED)


def test_without_a_champion_the_candidate_is_compared_with_elo_logistic() -> None:
    found = evaluation.compare(THE_RECORD, None, date(2025, 3, 1))
    everything = difference(ELO, slice(None))
    assert asdict(found) == {
        "champion_exists": "no",
        "champion_version": "none",
        "champion_age_days": 0,
        "basis": "there is no champion yet: compared with Elo-logistic",
        "n_rows": N - BEGIN,
        "first_date": "2025-01-03",
        "last_date": "2025-02-26",
        "difference": asdict(everything),
        "improvement": -everything.mean,
        "metrics": {
            "candidate": metrics.score(PREDICTION, WON),
            "baseline": metrics.score(ELO, WON),
        },
    }


def test_a_champion_is_compared_on_the_games_that_it_has_predicted() -> None:
    predictions = np.concatenate([[np.nan] * 4, 1 - PREDICTION[4:36], [np.nan] * 2])
    found = evaluation.compare(THE_RECORD, scored(predictions.tolist()), date(2025, 3, 1))
    both = difference(predictions, slice(4, 36))
    assert asdict(found) == {
        "champion_exists": "yes",
        "champion_version": "7",
        "champion_age_days": 27,
        "basis": "the basis",
        "n_rows": 32,
        "first_date": "2025-01-09",
        "last_date": "2025-02-23",
        "difference": asdict(both),
        "improvement": -both.mean,
        "metrics": {
            "candidate": metrics.score(PREDICTION[4:36], WON[4:36]),
            "champion": metrics.score(predictions[4:36], WON[4:36]),
        },
    }


def test_a_champion_that_has_predicted_none_of_the_games_is_none_to_compare_with() -> None:
    found = evaluation.compare(THE_RECORD, scored([np.nan] * (N - BEGIN)), date(2025, 3, 1))
    assert found == replace(
        evaluation.compare(THE_RECORD, None, date(2025, 3, 1)),
        champion_version="7",
        basis="version 7 has predicted none of these games: compared with Elo-logistic",
    )


@pytest.mark.parametrize(("as_of", "days"), [(date(2025, 2, 2), 0), (date(2025, 2, 3), 1), (date(2025, 2, 1), -1)])
def test_a_champions_age_is_counted_to_the_candidates_morning(as_of: date, days: int) -> None:
    assert evaluation.compare(THE_RECORD, scored(ELO.tolist()), as_of).champion_age_days == days


def judged(version: Champion | None, **limits: float) -> dict[str, Any]:
    return evaluation.evaluate(
        WORKLOAD, ARTIFACT, version, FEATURE_TABLE, RESULTS, feature_signature="today", limits=LIMITS | limits
    )


def test_an_evaluation_without_a_champion() -> None:
    found = judged(None)
    numbers = evaluation.candidate_numbers(THE_RECORD)
    above = difference(ELO, slice(None))
    assert numbers == {
        "metrics": {"candidate": metrics.score(PREDICTION, WON)},
        "quality": {
            "loss_above_baseline": above.mean,
            "skill": -above.mean / metrics.log_losses(ELO, WON).mean(),
            "loss_above_baseline_interval": [above.lower, above.upper],
        },
    }
    assert found["metrics"] == {
        **numbers["metrics"],
        "champion": None,
        "baseline": metrics.score(ELO, WON),
        "constant": metrics.score(THE_RECORD.predictions["constant"], WON),
    }
    assert found["quality"].items() >= numbers["quality"].items()
    assert found["comparison"] == asdict(evaluation.compare(THE_RECORD, None, date(2025, 3, 1)))
    bins = [asdict(one) for one in metrics.reliability_bins(PREDICTION, WON)]
    assert found["reliability"] == {"candidate": bins, "champion": None}
    assert [row["champion"] for row in found["monthly"]] == [None, None]
    assert found["importance"] == evaluation.feature_importance(ARTIFACT, FEATURE_TABLE)
    assert found["promotion"]["limits"] == []


def test_an_evaluation_with_a_champion() -> None:
    found, version = judged(champion()), champion()
    predictions = evaluation.champion_predictions(version, THE_RECORD, FEATURE_TABLE, "today")
    p = predictions.predictions[2:]
    assert found["metrics"]["champion"] == metrics.score(p, WON[2:])
    assert found["comparison"] == asdict(evaluation.compare(THE_RECORD, predictions, date(2025, 3, 1)))
    assert found["reliability"]["champion"] == [asdict(one) for one in metrics.reliability_bins(p, WON[2:])]
    everyone = THE_RECORD.predictions | {"champion": predictions.predictions}
    assert found["monthly"] == evaluation.monthly(THE_RECORD, everyone)
    assert [row["champion"] is None for row in found["monthly"]] == [True, False], "none for two games of January"


def test_a_candidate_without_a_record_is_refused() -> None:
    with pytest.raises(StepError, match=r"no walk-forward predictions: no game to evaluate it on"):
        evaluation.evaluate(
            WORKLOAD,
            replace(ARTIFACT, walk_forward=RECORD.slice(0, 0)),
            None,
            FEATURE_TABLE,
            RESULTS,
            feature_signature="",
            limits={},
        )


# --- a regression -----------------------------------------------------------------------------------------------------
HOURLY = replace(NBA, task="regression", quantiles=(0.1, 0.9), limits=())
ONE_DAY = pa.table(
    {
        c.ROW_ID: ["a", "b", "c", "d"],
        c.TIME: pa.array([date(2025, 3, 1)] * 4, pa.date32()),
        c.TARGET: [2, 4, 6, 8],
        c.PREDICTION: [3.0, 4.0, 6.0, 9.0],
        c.P_CONSTANT: [5.0] * 4,
        "quantile_10": [1.0, 4.5, 5.0, 7.0],  # one of four targets is below it, where one of ten should be
        "quantile_90": [4.0, 6.0, 8.0, 10.0],
    }
)
FOUR = Evaluated.of(HOURLY, ONE_DAY, np.array([4.0] * 4))
SCORES = {
    "squared_error": 0.5,
    "rmse": pytest.approx(0.5**0.5),
    "absolute_error": 0.5,
    "bias": 0.5,
    "quantile_loss": pytest.approx(((0.3 + 0.45) / 4 + 0.8 / 4) / 2),
    "coverage_error": pytest.approx(0.15),
    "n_rows": 4,
}


def test_a_regression_has_errors_in_its_unit_and_the_candidate_those_of_its_quantiles() -> None:
    numbers = evaluation.candidate_numbers(FOUR)
    assert numbers["metrics"] == {"candidate": SCORES}
    assert numbers["quality"].pop("loss_above_baseline_interval")[0] <= -5.5
    assert numbers["quality"] == {
        "loss_above_baseline": 0.5 - 6.0,
        "skill": pytest.approx(5.5 / 6.0),
        "relative_bias": pytest.approx(0.5 / 5**0.5),  # of the targets' standard deviation
    }
    compared = evaluation.compare(FOUR, None, date(2025, 3, 2)).metrics
    assert compared["candidate"] == SCORES
    assert "quantile_loss" not in (compared["baseline"] or {"quantile_loss": 0.0})


def test_nothing_is_divided_by_zero() -> None:
    """A baseline without error leaves nothing to gain; targets without spread are their own measure."""
    right = evaluation.candidate_numbers(replace(FOUR, predictions=FOUR.predictions | {"baseline": FOUR.target}))
    assert right["quality"]["skill"] == 0.0
    alike = evaluation.candidate_numbers(replace(FOUR, target=np.array([4.0] * 4)))
    assert alike["quality"]["relative_bias"] == 1.5
    many = Evaluated.of(HOURLY, pa.concat_tables([ONE_DAY] * 3), np.full(12, 4.0))
    rounded = evaluation.candidate_numbers(replace(many, target=np.full(12, 0.1)))  # whose mean is not quite 0.1
    assert rounded["quality"]["relative_bias"] == pytest.approx(5.4)


def test_predictions_that_are_too_low_are_as_biased_as_those_that_are_too_high() -> None:
    low = FOUR.predictions | {"candidate": 2 * FOUR.target - FOUR.predictions["candidate"]}
    numbers = evaluation.candidate_numbers(replace(FOUR, predictions=low))
    assert numbers["quality"]["relative_bias"] == pytest.approx(0.5 / 5**0.5)


def test_an_evaluation_of_a_regression() -> None:
    quantiles = {f"quantile_{share}": pa.array(PREDICTION + gap) for share, gap in ((10, -0.6), (90, 0.6))}
    record = RECORD.append_column("quantile_10", quantiles["quantile_10"])
    record = record.append_column("quantile_90", quantiles["quantile_90"])
    found = evaluation.evaluate(
        Workload(HOURLY),
        replace(ARTIFACT, walk_forward=record),
        None,
        FEATURE_TABLE,
        RESULTS,
        feature_signature="today",
        limits=default_limits(HOURLY),
    )
    rows = Evaluated.of(HOURLY, record, ELO)
    assert found["metrics"]["candidate"] == evaluation.candidate_numbers(rows)["metrics"]["candidate"]
    assert "coverage_error" in found["metrics"]["candidate"]
    assert found["reliability"] == {"candidate": None, "champion": None}
    assert found["use"] == asdict(HOURLY.use)


EASY = {"MaxLogLoss": 9.0, "MaxCalibrationError": 9.0, "MaxLossAboveBaseline": 9.0, "MinSkill": -9.0, "MaxSkill": 9.0}
PASSING = {**EASY, "MinEvaluatedRows": 38.0, "MaxAccuracy": 1.0}


@pytest.mark.parametrize(
    ("limits", "decision"),
    [
        (PASSING | {"MinEvaluatedRows": 39.0}, "failed"),
        (PASSING | {"NonInferiorityMargin": -9.0}, "champion-kept"),
        (PASSING | {"NonInferiorityMargin": 9.0, "MaxChampionAgeDays": 27.0}, "registered"),
        (PASSING | {"NonInferiorityMargin": 9.0, "MaxChampionAgeDays": 28.0, "MinImprovement": 9.0}, "champion-kept"),
    ],
)
def test_the_verdict_is_that_of_the_gates_and_is_worded_by_them(limits: dict[str, float], decision: str) -> None:
    found = judged(champion(), **limits)
    promotion = gates.judge_promotion(NBA, found, LIMITS | limits)
    assert found["decision"] == decision
    assert found["quality"]["passed"] is (decision != "failed")
    words = "games evaluated 38 is below the limit 39 (MinEvaluatedRows): too few games to judge a model"
    failed = words if decision == "failed" else ""
    assert found["quality"]["reason"] == (failed or "every limit holds")
    assert found["reason"] == (failed or promotion.reason)
    assert {name: found["promotion"][name] for name in ("promote", "reason")} == asdict(promotion)
    for rules, rows in (
        (gates.quality_limits(NBA), found["quality"]["limits"]),
        (gates.PROMOTION_LIMITS, found["promotion"]["limits"]),
    ):
        assert rows == [
            {
                "words": rule.words,
                "parameter": rule.parameter,
                "value": gates.number_at(found, rule.path),
                "operator": rule.operator,
                "limit": (LIMITS | limits)[rule.parameter],
                "why": rule.why,
                "holds": gates.holds(rule, gates.number_at(found, rule.path), (LIMITS | limits)[rule.parameter]),
            }
            for rule in rules
        ]


def test_several_failed_limits_are_one_sentence() -> None:
    strict = PASSING | {"MaxLogLoss": 0.0, "MinEvaluatedRows": 99.0}
    found = judged(None, **strict)
    first, second = gates.failed_limits(NBA, found, LIMITS | strict)
    assert found["reason"] == f"{first}; {second}"


def test_games_that_all_ended_alike_have_no_auc() -> None:
    numbers = evaluation.candidate_numbers(replace(THE_RECORD, target=np.ones(N - BEGIN)))
    assert numbers["metrics"]["candidate"]["roc_auc"] is None
    on_auc = replace(NBA, limits=(Limit("AUC", "metrics.candidate.roc_auc", ">=", "MinAuc", "it orders too little"),))
    with pytest.raises(StepError, match=r"^a limit compares .* not there: .*roc_auc is null, .* raise Walk"):
        evaluation.judge(on_auc, {**numbers, "comparison": {"champion_exists": "no"}}, LIMITS | {"MinAuc": 0.6})


def test_months_of_ten_games_and_more() -> None:
    """38 games: 20 of January, 18 of February; then ten and nine of February, one of them without a forecast."""
    predictions = {"candidate": PREDICTION, "champion": np.where(np.arange(N - BEGIN) == 0, np.nan, ELO)}
    losses = {who: metrics.log_losses(p, WON) for who, p in predictions.items()}
    january = {"month": "2025-01", "n_rows": 20, "candidate": pytest.approx(losses["candidate"][:20].mean())}
    february = {"month": "2025-02", "n_rows": 10, "candidate": pytest.approx(losses["candidate"][20:30].mean())}
    for games, expected in ((30, [january, february]), (29, [january])):
        record = replace(THE_RECORD, days=THE_RECORD.days[:games], target=WON[:games])
        rows = evaluation.monthly(record, {who: p[:games] for who, p in predictions.items()})
        assert [{name: row[name] for name in january} for row in rows] == expected
        assert rows[0]["champion"] is None
    late = replace(THE_RECORD, days=THE_RECORD.days[11:], target=WON[11:])
    (row,) = evaluation.monthly(late, {who: p[11:] for who, p in predictions.items()})
    assert (row["month"], row["n_rows"]) == ("2025-02", 18), "nine games of January are too few"
    _, row = evaluation.monthly(THE_RECORD, predictions)
    assert row["champion"] == pytest.approx(losses["champion"][20:].mean())


@pytest.mark.parametrize("games", [5, N, N + 1])
def test_features_are_ranked_by_what_they_move_in_the_last_games(monkeypatch: pytest.MonkeyPatch, games: int) -> None:
    monkeypatch.setattr(evaluation, "IMPORTANCE_ROWS", games)
    shares = importance(ARTIFACT.booster, feature_matrix(FEATURE_TABLE.slice(max(0, N - games))))
    rows = evaluation.feature_importance(ARTIFACT, FEATURE_TABLE)
    assert {row["feature"]: row["share"] for row in rows} == dict(zip(FEATURES, shares.tolist(), strict=True))
    assert rows == sorted(rows, key=lambda row: (-row["share"], row["feature"]))
    assert [row["share"] for row in rows].count(0.0) > 1, "equal shares are in order of name"


def test_columns_of_whole_numbers_are_computed_with_as_doubles() -> None:
    assert evaluation.floats_of(pa.table({"a": [1, 2]}), "a").dtype == np.float64
