"""JSON and CSV in and out."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.serving.predictor import Answer
from pipeline.serving.requests import BadRequestError
from pipeline.serving.serialization import answer_as_csv, answer_as_json, rows_from_csv, rows_from_json
from pipeline.workloads.nba.serving.requested_games import FORMAT

ROWS = [{"date": "2025-03-05", "home_team": "BOS", "away_team": "NYK"}] * 2


def answer(rows: list[dict[str, Any]], *probabilities: float) -> Answer:
    return Answer(rows, np.array(probabilities), "3", date(2025, 3, 1), 4, False)


def test_both_formats_say_the_same() -> None:
    table = "date,home_team,away_team\r\n" + "2025-03-05,BOS,NYK\r\n" * 2
    assert list(rows_from_json(json.dumps({"games": ROWS}).encode(), FORMAT)) == ROWS
    for body in (table, f"\ufeff{table}\r\n\r\n"):  # a mark before, empty lines behind
        assert list(rows_from_csv(body.encode(), FORMAT)) == ROWS


def test_a_table_has_an_id_that_only_a_later_row_has() -> None:
    lines = b"".join(answer_as_csv(answer([ROWS[0], {**ROWS[1], "game_id": "7"}], 0.5, 0.6), FORMAT)).decode()
    assert [row["game_id"] for row in csv.DictReader(io.StringIO(lines))] == ["", "7"]


def test_an_answer_is_json_for_every_client() -> None:
    (row,) = rows_from_json(b'{"games": [{"game_id": NaN, "home_team": "BOS", "season": 2025.0}]}', FORMAT)
    assert row == {"game_id": None, "home_team": "BOS", "season": 2025.0}
    text = b"".join(answer_as_json(answer([dict(row)], 0.5), FORMAT))
    assert json.loads(text, parse_constant=pytest.fail)["predictions"][0]["game_id"] is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"[]", 'should look like {"games"'),
        (b'{"instances": []}', 'should look like {"games"'),
        (b'{"games": {}}', 'should look like {"games"'),
        (b'{"games": [1]}', "game 1 is not an object"),
        (b'{"games": [], "more": 1}', "should look like"),
        (b"\xff{}", "not UTF-8 (byte 0)"),
        (b'{"games": [' + b"[" * 100_000, "should look like {"),  # how deep is too deep, the interpreter says
        (b'{"games": [{"date": "' + b"9" * 9_000 + b'"}]}', "or it has more than 8,192 characters"),
        (b'{"games": [{} {}]}', "the body is not JSON"),
        (b'{"games": [{"game_id": -Infinity}]}', "the body is not JSON (game 1: -Infinity is not a finite number)"),
        (b'{"games": [{}, {"game_id": 1e999}]}', "the body is not JSON (game 2: 1e999 is not a finite number)"),
        (b'{"games": [{},]}', "the body is not JSON"),
        (b'{"games": [{}]} x', "the body is not JSON"),
        (b'{"games": [{"season": ' + b"9" * 5_000 + b"}]}", "the body is not JSON"),
    ],
)
def test_json_that_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        list(rows_from_json(body, FORMAT))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is empty"),
        (b"\n\n", "the body is empty"),
        (b"2025-03-05,BOS,NYK\n", "the first line of CSV names the columns"),
        (b"date,home_team\n", "no away_team"),
        (b"date,home_team,away_team,date\n", '"date" appears twice in the header: remove one'),
        (b"date,home_team,away_team\n2025-03-05,BOS\n", "game 1 has 2 fields, where the header has 3"),
        (b'date,home_team,away_team\n"2025', "the body is not CSV"),
        (b"date,home_team,away_team\n\xff,BOS,NYK\n", "not UTF-8"),
    ],
)
def test_csv_that_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        list(rows_from_csv(body, FORMAT))
    assert words in str(refused.value)


@given(body=st.binary(max_size=200))
def test_no_body_makes_a_defect(body: bytes) -> None:
    """Rows, or a reason; never another exception."""
    for read in (rows_from_json, rows_from_csv):
        try:
            assert all(isinstance(row, dict) for row in read(body, FORMAT))
        except BadRequestError as error:
            assert str(error)


def test_answers_carry_what_they_rest_on() -> None:
    rows = [{**row, "game_id": name, "playoff": True} for row, name in zip(ROWS, ("a", "\ud800"), strict=True)]
    found = json.loads(b"".join(answer_as_json(answer(rows, 0.625, 1 / 3), FORMAT)))
    predictions = found.pop("predictions")
    assert found == {"model_version": "3", "state_date": "2025-03-01", "state_age_days": 4, "stale": False}
    assert [p["home_win_probability"] for p in predictions] == [0.625, 1 / 3]
    assert predictions[0] == {"game_id": "a", **ROWS[0], "home_win_probability": 0.625}
    table = b"".join(answer_as_csv(answer(rows, 0.625, 1 / 3), FORMAT)).decode()
    lines = list(csv.DictReader(io.StringIO(table)))
    assert lines[0] == {
        "game_id": "a",
        **ROWS[0],
        "home_win_probability": "0.625",
        "model_version": "3",
        "state_date": "2025-03-01",
        "state_age_days": "4",
        "stale": "false",
    }
    assert float(lines[1]["home_win_probability"]) == 1 / 3
