"""What no game of the league has ever been is a bad row, with its cause."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from pipeline.ingest.validated import ValidatedRows
from pipeline.workloads.nba.game_data import game_rules as rules

HEADER = "date,season,home_team,away_team,home_points,away_points,game_id\n"
Load = Callable[..., ValidatedRows]


def found(load: Load, *rows: str) -> list[tuple[str, str]]:
    loaded = load(
        {"a.csv": HEADER + "".join(f"{row}\n" for row in rows)}, today=date(2026, 1, 1), as_of=date(2026, 1, 1)
    )
    return list(loaded.quarantine[["column", "rule"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("row", "column", "rule"),
    [
        ("2016-03-03,2016,MIA,PHO,8,92,", "home_points", rules.NO_SCORE),
        ("2016-03-03,2016,MIA,PHO,92,8,", "away_points", rules.NO_SCORE),
        ("2016-03-03,2016,MIA,PHO,201,190,", "home_points", rules.NO_SCORE),
        ("1950-03-03,1950,BOS,NYK,14,60,", "home_points", rules.NO_SCORE),
        ("1955-03-03,1955,BOS,NYK,39,60,", "home_points", rules.NO_SCORE),
        ("2016-03-03,2016,MIA,PHO,140,54,", "home_points", rules.NO_MARGIN),
        ("2019-03-03,2019,BOS,LAL,55,48,", "home_points", rules.NO_TOTAL),
        ("2021-01-15,2020,BOS,LAL,100,90,", "season", rules.BEGINS),
        ("2021-12-15,2021,BOS,LAL,100,90,", "season", rules.BEGINS),
        ("2021-01-15,2022,BOS,LAL,100,90,", "season", rules.OTHER_SEASON),
        ("2021-08-31,2022,BOS,LAL,100,90,", "season", rules.OTHER_SEASON),
        ("2021-01-15,2019,BOS,LAL,100,90,", "season", rules.OTHER_SEASON),
        ("2023-10-15,2024,BOS,LAL,100,90,", "date", rules.PRESEASON_DAY),
        ("1983-10-15,1984,BOS,LAL,100,90,", "date", rules.PRESEASON_DAY),
        ("2023-10-20,2024,BOS,LAL,100,90,0012300001", "game_id", rules.PRESEASON_ID),
        ("2023-10-20,2024,BOS,LAL,100,90,12300001", "game_id", rules.PRESEASON_ID),
        ("2024-02-18,2024,BOS,LAL,100,90,0032300001", "game_id", rules.PRESEASON_ID),
    ],
)
def test_what_no_game_has_been(load: Load, row: str, column: str, rule: str) -> None:
    assert found(load, row) == [(column, rule)]


@pytest.mark.parametrize(
    "row",
    [
        "1950-11-22,1951,FTW,MNL,19,18,",  # the lowest score
        "1955-02-27,1955,BOS,MLH,62,57,",  # both together
        "1983-12-13,1984,DEN,DET,184,186,",  # the highest
        "2021-12-02,2022,MEM,OKC,152,79,",  # the highest margin
        "2020-10-11,2020,MIA,LAL,93,106,",  # the latest day
        "1973-10-09,1974,BOS,LAL,100,90,",  # the earliest
        "1983-10-16,1984,BOS,LAL,100,90,",
        "2023-10-25,2024,BOS,LAL,100,90,0022300061",
        "2024-05-01,2024,BOS,LAL,100,90,42300001",
        "2024-05-01,2024,BOS,LAL,100,90,12000001",  # eight digits of another feed
        "2026-03-01,2026,BOS,LAL,,,",  # to come
    ],
)
def test_what_has_been_or_may_be(load: Load, row: str) -> None:
    assert found(load, row) == []
