"""What is served is what Predict writes: for every game to come, alone or among others, scheduled or not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from trained_models import SAMPLE_AS_OF, matrix, trained

from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.serving.predictor import Predictor, load_predictor
from pipeline.serving.requests import BadRequestError
from pipeline.training.artifact import Artifact, write_artifact
from pipeline.training.model import predict
from pipeline.training.model_files import write_digests
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.features import build_features
from pipeline.workloads.nba.game_data.games import load_games
from pipeline.workloads.nba.sample import write as write_sample


def rows_of(games: pd.DataFrame, *columns: str) -> list[dict[str, Any]]:
    """Games as a client names them."""
    rows = games[[n.DATE, n.HOME_TEAM, n.AWAY_TEAM, *columns]].copy()
    rows[n.DATE] = rows[n.DATE].dt.strftime("%Y-%m-%d")
    return list(json.loads(rows.to_json(orient="records")))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The simulated games as they are known on 2025-03-01."""
    folder = write_sample(tmp_path_factory.mktemp("serving") / "games", SAMPLE_AS_OF)
    return load_games(folder, as_of=SAMPLE_AS_OF, today=SAMPLE_AS_OF, max_bad_row_share=0.01, min_rows=1_000).rows


@pytest.fixture(scope="module")
def predictor(sample: pd.DataFrame) -> Predictor:
    return Predictor(trained(sample, SAMPLE_AS_OF), "7", 3, now=lambda zone: at(zone, 0))


def at(zone: ZoneInfo, days: int) -> datetime:
    """Noon in a zone, so many days after the sample's morning."""
    return datetime.combine(SAMPLE_AS_OF + timedelta(days=days), time(12), zone)


def upcoming(games: pd.DataFrame) -> pd.DataFrame:
    return games[games[n.HOME_POINTS].isna()].reset_index(drop=True)


def predicted(predictor: Predictor, games: pd.DataFrame) -> np.ndarray[Any, Any]:
    """What Predict computes for the games without a score, from the features of all games at once."""
    features = build_features(games)
    return predict(predictor.artifact.booster, matrix(features[features[c.TARGET].isna()]))


def assert_parity(predictor: Predictor, games: pd.DataFrame, every: int) -> None:
    """All games at once, in another order, and some one by one."""
    to_come, expected = upcoming(games), predicted(predictor, games)
    rows = rows_of(to_come, n.NEUTRAL_SITE, n.PLAYOFF)
    np.testing.assert_allclose(predictor.answer(rows).predictions, expected, rtol=0, atol=1e-9)
    shuffled = np.random.default_rng(1).permutation(len(rows))
    mixed = predictor.answer([rows[i] for i in shuffled]).predictions
    np.testing.assert_allclose(mixed, expected[shuffled], rtol=0, atol=1e-9)
    for row in range(0, len(rows), every):
        alone = predictor.answer([rows[row]]).predictions[0]
        assert alone == pytest.approx(expected[row], abs=1e-9), rows[row]


def test_every_real_game_is_served_as_predicted(real_games: Path) -> None:
    as_of = date(2023, 1, 10)
    games = load_games(real_games, as_of=as_of, today=date(2023, 7, 1), max_bad_row_share=0.01, min_rows=1_000).rows
    predictor = Predictor(trained(games[games[n.SEASON] >= 2010].reset_index(drop=True), as_of), "1", 7)
    assert len(upcoming(games)) > 700
    recent = games[games[n.SEASON] >= 2010].reset_index(drop=True)
    assert_parity(predictor, recent, every=20)


def test_games_that_no_schedule_knew_count_for_each_others_rest(sample: pd.DataFrame) -> None:
    """Asked for a week, a model without a schedule answers as one that had it."""
    played = sample[sample[n.HOME_POINTS].notna()].reset_index(drop=True)
    without = Predictor(trained(played, SAMPLE_AS_OF), "1", 7)
    rows = rows_of(upcoming(sample), n.NEUTRAL_SITE, n.PLAYOFF)
    together = without.answer(rows).predictions
    np.testing.assert_allclose(together, predicted(without, sample), rtol=0, atol=1e-9)
    alone = np.array([without.answer([row]).predictions[0] for row in rows])
    assert (np.abs(alone - together) > 1e-6).any(), "without the others of the week, some teams would be rested"


def test_a_game_twice_is_one_game(predictor: Predictor, sample: pd.DataFrame) -> None:
    rows = rows_of(upcoming(sample))
    once, twice = (predictor.answer(games).predictions for games in (rows, [*rows, *rows]))
    assert (twice == np.concatenate([once, once])).all()


def test_where_a_game_is_played_and_what_it_is_for_count(predictor: Predictor) -> None:
    game = {"date": "2025-03-20", "home_team": "SIM01", "away_team": "SIM02"}
    swapped = {**game, "home_team": "SIM02", "away_team": "SIM01"}

    def chance(row: dict[str, Any]) -> float:
        return float(predictor.answer([row]).predictions[0])

    assert len({chance(game), chance({**game, "playoff": True}), chance({**game, "neutral_site": True})}) == 3
    assert chance({**game, "neutral_site": True}) == pytest.approx(
        1 - chance({**swapped, "neutral_site": True}), abs=0.02
    )


@pytest.mark.parametrize(("days", "stale"), [(0, False), (3, False), (4, True)])
def test_an_old_state_is_reported(predictor: Predictor, days: int, stale: bool) -> None:
    later = replace(predictor, now=lambda zone: at(zone, days))
    answer = later.answer([{"date": "2025-03-20", "home_team": "SIM01", "away_team": "SIM02"}])
    assert (answer.state_date, answer.state_age_days, answer.stale) == (SAMPLE_AS_OF, days, stale)
    assert answer.model_version == "7"


@pytest.mark.parametrize(("zone", "days"), [("America/New_York", 0), ("UTC", 1), ("Asia/Tokyo", 1)])
def test_the_age_is_counted_in_the_days_of_the_games(predictor: Predictor, zone: str, days: int) -> None:
    """On an American evening."""
    card = replace(predictor.artifact.card, time_zone=zone)
    evening = datetime(SAMPLE_AS_OF.year, SAMPLE_AS_OF.month, SAMPLE_AS_OF.day, 20, tzinfo=ZoneInfo("America/New_York"))
    served = replace(predictor, artifact=replace(predictor.artifact, card=card), now=evening.astimezone)
    assert served.answer([{"date": "2025-03-20", "home_team": "SIM01", "away_team": "SIM02"}]).state_age_days == days


def test_a_team_of_another_league_is_unknown(predictor: Predictor) -> None:
    with pytest.raises(BadRequestError, match='"BOS" is no team of this model'):
        predictor.answer([{"date": "2025-03-20", "home_team": "BOS", "away_team": "SIM02"}])


Change = Callable[[Artifact], Artifact]
REFUSED: dict[str, Change] = {
    "carries no state.parquet": lambda artifact: replace(artifact, state=None),
    "was trained on other features": lambda artifact: replace(
        artifact, card=replace(artifact.card, feature_signature="0")
    ),
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_model_that_cannot_be_served_is_refused_by_name(predictor: Predictor, tmp_path: Path, words: str) -> None:
    write_artifact(tmp_path, REFUSED[words](predictor.artifact))
    with pytest.raises(StepError, match=f"model version 7 .*{words}"):
        load_predictor(tmp_path, "7", 7)


def test_what_is_no_model_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="there is no model at"):
        load_predictor(tmp_path / "nowhere", "1", 7)
    with pytest.raises(StepError, match=r"no model\.ubj in it"):
        load_predictor(tmp_path, "1", 7)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        (c.MODEL_FILE, b"garbage", "it is not in XGBoost's binary format"),
        (c.MODEL_FILE, b"", "it is empty"),
        (c.MODEL_CARD_FILE, b"{}", "it has no layout"),
        (c.WALK_FORWARD_FILE, b"PAR1", "Parquet"),
        (c.STATE_FILE, b"PAR1", "Parquet"),
        (c.STATE_FILE, c.WALK_FORWARD_FILE, "it holds no league's state"),
    ],
)
def test_a_file_of_a_model_that_cannot_be_read_is_named_in_one_line(
    predictor: Predictor, tmp_path: Path, file: str, content: bytes | str, words: str
) -> None:
    write_artifact(tmp_path, predictor.artifact)
    (tmp_path / file).write_bytes((tmp_path / content).read_bytes() if isinstance(content, str) else content)
    write_digests(tmp_path)  # written so, not damaged
    with pytest.raises(StepError) as caught:
        load_predictor(tmp_path, "1", 7)
    assert re.search(
        rf"holds no model of this pipeline \({re.escape(file)} cannot be read: .*{words}", str(caught.value)
    )
    assert "\n" not in str(caught.value)
    assert "Stack trace" not in str(caught.value)
