"""What a spreadsheet would run is text, and a program has every text back."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ingest.spreadsheet_text import safe_columns
from pipeline.jobs.predict import write_predictions
from pipeline.jobs.prepare import write_quarantine

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.one_of(texts, texts.map(lambda text: f"={text}"), texts.map(lambda text: f"'{text}"))))
def test_every_text_comes_back(given_texts: list[str]) -> None:
    safe = safe_columns(pa.table({"game_id": pa.array(given_texts, pa.string())}))["game_id"].to_pylist()
    assert [text.removeprefix("'") for text in safe] == given_texts


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "'=1",
        '=HYPERLINK("http://x","y")',
    ],
)
def test_formulas_are_text(text: str) -> None:
    (safe,) = safe_columns(pa.table({"game_id": [text]}))["game_id"].to_pylist()
    assert safe == f"'{text}"


@pytest.mark.parametrize("text", ["", "-5", "+110", "-1.5", "0042500101", "a=b", "BOS", "2025-03-01", " =1"])
def test_what_is_none_stays_as_it_is(text: str) -> None:
    assert safe_columns(pa.table({"game_id": [text]}))["game_id"].to_pylist() == [text]


def test_the_quarantine_holds_no_live_formula(tmp_path: Path) -> None:
    bad = pd.DataFrame(
        {"file": ["=games.csv"], "line": [2], "column": ["home_team"], "value": ["=cmd()"], "rule": ["is unknown"]}
    )
    write_quarantine(tmp_path, bad)
    text = (tmp_path / "quarantine.csv").read_text()
    assert text.splitlines()[1] == '"\'=games.csv",2,"home_team","\'=cmd()","is unknown"'
    write_quarantine(tmp_path, bad.iloc[:0])
    assert next(csv.reader(io.StringIO((tmp_path / "quarantine.csv").read_text()))) == list(bad.columns)


def test_predictions_hold_no_live_formula_and_every_id(tmp_path: Path) -> None:
    ids = ["=1+1", "0042500101", "'quoted'", '=HYPERLINK("http://x","y")']
    write_predictions(tmp_path, pa.table({"game_id": ids, "home_win_probability": [0.5] * 4}), "2025-03-01")
    for name in ("predictions.csv", "2025-03-01.csv"):
        with (tmp_path / name).open(encoding="utf-8", newline="") as file:
            read = [row["game_id"] for row in csv.DictReader(file)]
        assert not any(text.startswith("=") for text in read)
        assert [text.removeprefix("'") for text in read] == ids
