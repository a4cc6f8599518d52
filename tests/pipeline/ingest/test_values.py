"""One spelling of each type in every source: text of CSV, types of Parquet, values of JSON."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pandas as pd
import pytest

from pipeline.contract.spec import Column
from pipeline.ingest.validated import ValidatedRows
from pipeline.ingest.values import MISSING, flag_of, given, reader_of, whole_number
from pipeline.serving.requests import BadRequestError
from pipeline.workloads.nba.serving.requested_games import Calendar, Teams, check_game

Load = Callable[..., ValidatedRows]
COLUMNS = "date,season,home_team,away_team,home_points,away_points,neutral_site,playoff,game_id"


FLAGS = {
    "1.0": 1,
    "0.00": 0,
    "1.": 1,
    "TRUE": 1,
    "F": 0,
    "": 0,
    "1.5": None,
    "2": None,
    "-1": None,
    "01": None,
    "x": None,
}


@pytest.mark.parametrize(("text", "value"), FLAGS.items())
def test_a_flag_may_be_written_as_the_number_that_it_is_elsewhere(text: str, value: int | None) -> None:
    assert flag_of(text) == value


def test_a_number_may_have_a_point_and_noughts() -> None:
    assert [whole_number(text) for text in ("110", "110.0", "110.", "110.5", "1e2")] == [110, 110, 110, None, None]


@pytest.mark.parametrize("word", [*MISSING, *(word.upper() for word in MISSING), " nan ", "Null"])
def test_each_word_for_a_missing_value_means_one(load: Load, word: str) -> None:
    assert given(word) == ""
    row = f"2021-03-05,2021,BOS,LAL,{word},{word},{word},{word},{word}"
    loaded = load({"a.csv": f"{COLUMNS}\n{row}\n"})
    assert loaded.n_bad_rows == 0
    assert loaded.rows["game_id"].tolist() == ["2021-03-05-BOS-LAL"]
    assert loaded.rows["home_points"].isna().all() and not loaded.rows["playoff"].any()


@pytest.mark.parametrize("true", [True, 1, 1.0, Decimal("1.00"), "1.0", "yes", "T"])
def test_a_flag_is_the_same_in_every_source(load: Load, true: object) -> None:
    row = {"date": "2021-01-05", "season": 2021, "home_team": "BOS", "away_team": "LAL", "home_points": 110.0}
    frame = pd.DataFrame([{**row, "away_points": Decimal("90.00"), "neutral_site": False, "playoff": true}])
    parquet = load({"a.parquet": frame})
    text = load({"b.csv": frame.to_csv(index=False)})
    assert parquet.n_bad_rows == text.n_bad_rows == 0
    assert parquet.rows["playoff"].tolist() == text.rows["playoff"].tolist() == [True]
    assert parquet.rows["away_points"].tolist() == [90]
    if isinstance(true, Decimal):  # JSON has none
        return
    asked = {"date": "2021-03-05", "home_team": "BOS", "away_team": "LAL", "season": 2021.0, "playoff": true}
    teams, calendar = Teams(["BOS", "LAL"]), Calendar(date(2021, 3, 1), 2021, {})
    assert check_game({**asked, "date": "2021-03-05T05:00Z"}, teams, calendar).day == date(2021, 3, 5)
    game = check_game({**asked, "game_id": "NaN", "neutral_site": float("nan")}, teams, calendar)
    assert game.playoff and not game.neutral
    with pytest.raises(
        BadRequestError, match=r'playoff "1.5" is not true or false: .*missing is written as nothing or'
    ):
        check_game({**asked, "playoff": 1.5}, teams, calendar)


def test_a_range_is_said_with_all_its_digits() -> None:
    _, _, rule = reader_of(Column("income", low=-1_234_567, high=0.25), "UTC")
    assert rule == "is not a number from -1234567 to 0.25"


@pytest.mark.parametrize(
    ("text", "number"), [("\u22125", -5), ("\u20135.0", -5), (str(2**53), 2**53), ("9" * 20, None), ("5\u2212", None)]
)
def test_a_minus_of_typographers_is_one_and_a_whole_number_is_exact(text: str, number: int | None) -> None:
    assert reader_of(Column("n", type="integer"), "UTC")[0](text) == number
