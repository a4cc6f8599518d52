"""Headers: which column is which, what is noted, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.ingest import columns
from pipeline.ingest.column_words import as_words, listed
from pipeline.ingest.columns import match_columns
from pipeline.ingest.quarantine import BadData
from pipeline.workloads.nba.columns import COLUMNS, GAME_COLUMNS

REQUIRED = [column.name for column in COLUMNS if column.required]


def styles(column: str) -> list[str]:
    parts = column.split("_")
    camel = parts[0] + "".join(part.capitalize() for part in parts[1:])
    return [
        column.upper(), column.title(), column.replace("_", " "), column.replace("_", "-").upper(), camel,
        column.replace("_", ""), f" {column}\u200b", f"\ufeff{column}", f"{column}\x00",
    ]  # fmt: skip


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine draws slowly
@given(header=st.permutations(GAME_COLUMNS), data=st.data())
def test_any_style_of_writing_a_column_is_that_column(header: list[str], data: st.DataObject) -> None:
    given_names = [data.draw(st.sampled_from([column, *styles(column)])) for column in header]
    found = match_columns(given_names, "a.csv", COLUMNS)
    assert {column: header[position] for column, position in found.positions.items()} == {name: name for name in header}
    assert found.unused == ()
    noted = {column for column, name in zip(header, given_names, strict=True) if column != name}
    assert {column for _, column in found.renamed} == noted


@pytest.mark.parametrize(
    ("given_name", "column"),
    [
        ("is_playoff", "playoff"), ("playoffs", "playoff"), ("IsPlayoff", "playoff"), ("postseason", "playoff"),
        ("playoff_flag", "playoff"), ("Play-Offs", "playoff"), ("playoff_game", "playoff"),
        ("neutral", "neutral_site"), ("is_neutral_site", "neutral_site"), ("Neutral Sites", "neutral_site"),
        ("at_neutral_site", "neutral_site"), ("NeutralSite", "neutral_site"), ("neutral_court", "neutral_site"),
        ("gameId", "game_id"), ("GAME_ID", "game_id"), ("game_ids", "game_id"), ("game-id", "game_id"),
    ],
)  # fmt: skip
def test_a_near_name_of_an_optional_column_is_taken_and_noted(given_name: str, column: str) -> None:
    found = match_columns([*REQUIRED, given_name], "a.csv", COLUMNS)
    assert found.positions[column] == len(REQUIRED)
    assert found.renamed == ((given_name, column),)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        (["plyoff"], 'a.csv: column "plyoff" is nearly playoff, which is not in the header; rename it to playoff, or'),
        (["neutral_sit"], 'a.csv: column "neutral_sit" is nearly neutral_site, which is not in the header'),
        (["Game_Idx"], 'a.csv: column "Game_Idx" is nearly game_id, which is not in the header'),
        (["is_playoff", "playoffs"], 'a.csv: columns "is_playoff" and "playoffs" could both be playoff; name one of'),
        (["Playoff", "PLAYOFF"], 'a.csv: columns "Playoff" and "PLAYOFF" could both be playoff'),
    ],
)
def test_what_could_be_an_optional_column_is_refused(others: list[str], message: str) -> None:
    with pytest.raises(BadData) as caught:
        match_columns([*REQUIRED, *others], "a.csv", COLUMNS)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("other", ["attendance", "game_date", "id", "notes", "neutral_city_name", "site", "off", ""])
def test_other_columns_are_listed_and_nothing_else(other: str) -> None:
    found = match_columns([*REQUIRED, other], "a.csv", COLUMNS)
    assert (found.unused, found.renamed) == ((other,), ())


def test_the_columns_own_name_wins_and_the_near_one_is_listed() -> None:
    found = match_columns([*REQUIRED, "is_playoff", "playoff"], "a.csv", COLUMNS)
    assert (found.positions["playoff"], found.unused, found.renamed) == (len(REQUIRED) + 1, ("is_playoff",), ())


def test_a_required_column_is_compared_as_words_too() -> None:
    header = ["Home Pts" if column == "home_points" else column for column in REQUIRED]
    with pytest.raises(BadData, match=r'"home_points" is missing; found: .*; did you mean "Home Pts"\? rename it$'):
        match_columns(header, "a.csv", COLUMNS)


def test_a_wide_header_makes_a_short_message() -> None:
    with pytest.raises(BadData) as caught:
        match_columns([f"column_{number}" for number in range(100_000)], "a.csv", COLUMNS)
    assert len(str(caught.value)) < 600
    assert "(100,000 columns)" in str(caught.value)
    assert listed(["a", "b"]) == "a, b"


@given(st.text())
def test_words_of_words_are_the_same_words(text: str) -> None:
    assert as_words(as_words(text)) == as_words(text)


def test_few_of_the_marks_of_a_strange_header_are_tried_as_separators(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []
    monkeypatch.setattr(columns, "is_header", lambda fields, declared: tried.append(fields))
    with pytest.raises(BadData, match="are missing"):
        match_columns(["".join(map(chr, range(0x3200, 0x4200)))], "a.csv", COLUMNS)
    assert len(tried) < 500
