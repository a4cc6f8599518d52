"""Codes to franchises: continuity across moves and sources, reused codes by season, nothing guessed."""

from __future__ import annotations

import re
from datetime import date
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest

from pipeline.workloads.nba.game_data.franchise_spans import FRANCHISES_FILE, FranchisesError, read_spans
from pipeline.workloads.nba.game_data.franchises import (
    codes_of,
    franchise_of,
    is_known_code,
    nearest_team,
    seasons_of,
)
from pipeline.workloads.nba.game_data.games import load_games


def resolve(*pairs: tuple[str, int]) -> list[str | None]:
    codes, seasons = zip(*pairs, strict=True)
    found = franchise_of(pd.Series(codes), pd.Series(seasons))
    return [None if pd.isna(name) else name for name in found]


@pytest.mark.parametrize(
    "line",
    [
        [("NJA", 1968), ("NYA", 1969), ("NYN", 1977), ("NJN", 1978), ("NJN", 2012), ("BRK", 2013), ("BKN", 2020)],
        [("CHO", 2005), ("CHO", 2015), ("CHA", 2021)],
        [("CHH", 1989), ("CHH", 2002), ("NOP", 2003), ("NOH", 2004), ("NOK", 2006), ("NOP", 2008)],
        [("PHO", 1969), ("PHX", 2020)],
        [("SEA", 1968), ("SEA", 2008), ("OKC", 2009)],
        [("MNL", 1949), ("LAL", 1961)],
        [("ROC", 1949), ("CIN", 1958), ("KCO", 1973), ("KCK", 1976), ("SAC", 1986)],
        [("SYR", 1950), ("PHI", 1964)],
        [("PHW", 1947), ("SFW", 1963), ("GSW", 1972), ("GS", 2015)],
        [("TRI", 1950), ("MLH", 1952), ("STL", 1956), ("ATL", 1969)],
        [("FTW", 1949), ("DET", 1958)],
        [("CHP", 1962), ("CHZ", 1963), ("BAL", 1964), ("CAP", 1974), ("WSB", 1975), ("WAS", 1998), ("WSH", 2020)],
        [("SDR", 1968), ("HOU", 1972)],
        [("BUF", 1971), ("SDC", 1979), ("LAC", 1985)],
        [("NOJ", 1975), ("UTA", 1980), ("UTAH", 2020)],
        [("VAN", 1996), ("MEM", 2002)],
        [("DLC", 1968), ("TEX", 1971), ("DLC", 1972), ("SAA", 1974), ("SAS", 1977), ("SA", 2020)],
        [("DNR", 1968), ("DNA", 1975), ("DEN", 1977)],
        [("INA", 1968), ("IND", 1977)],
        [("ANA", 1968), ("LAS", 1969), ("UTS", 1971)],
        [("OAK", 1968), ("WSA", 1970), ("VIR", 1971)],
        [("NOB", 1968), ("MMP", 1971), ("MMT", 1973), ("MMS", 1975)],
        [("HSM", 1968), ("CAR", 1970), ("SSL", 1975)],
        [("MNM", 1968), ("MMF", 1969), ("FLO", 1971)],
        [("PTP", 1968), ("MNP", 1969), ("PTP", 1970), ("PTC", 1971)],
        [("SDA", 1973), ("SDS", 1976)],
        [("NYK", 1947), ("NY", 2020)],
    ],
)
def test_a_move_or_a_new_code_keeps_the_history(line: list[tuple[str, int]]) -> None:
    assert len(set(resolve(*line))) == 1
    assert None not in resolve(*line)


def test_a_reused_code_means_the_team_of_its_season() -> None:
    assert resolve(("BAL", 1954), ("BAL", 1964)) == ["BLB", "WAS"]
    assert resolve(("CHA", 1995), ("CHA", 2010), ("CHO", 1995)) == ["NOP", "CHA", "NOP"]
    assert resolve(("DEN", 1950), ("DNN", 1950), ("DEN", 1977)) == ["DNN", "DNN", "DEN"]
    assert resolve(("WSC", 1947), ("WSB", 1990)) == ["WSC", "WAS"]


def test_nothing_is_guessed() -> None:
    assert resolve(("XYZ", 2020), ("", 2020), ("bos", 2020), ("BAL", 1960), ("SEA", 2009), ("BOS", 0)) == [None] * 6
    assert is_known_code(pd.Series(["BAL", "XYZ"])).tolist() == [True, False]


def test_the_index_is_kept() -> None:
    found = franchise_of(pd.Series(["BOS", "XYZ"], index=[7, 3]), pd.Series([2020, 2020], index=[7, 3]))
    assert found.index.tolist() == [7, 3]


@pytest.mark.parametrize(
    ("text", "season", "code"),
    [
        ("lal", 2020, "LAL"),
        ("Los Angeles Lakers", 2020, "LAL"),
        ("  los angeles  LAKERS ", 2020, "LAL"),
        ("L.A. Clippers", 2020, "LAC"),
        ("Seattle SuperSonics", 2008, "SEA"),
        ("Seattle SuperSonics", 2009, "Seattle SuperSonics"),  # not in that season
        ("Charlotte Hornets", 1995, "CHH"),
        ("Charlotte Hornets", 2015, "CHA"),
        ("Baltimore Bullets", 1954, "BLB"),
        ("Simulated team 4", 2024, "SIM04"),
        ("Lakers", 2020, "Lakers"),  # nothing is guessed
        ("", 2020, ""),
    ],
)
def test_a_name_or_a_code_in_other_letters_is_the_code_of_its_season(text: str, season: int, code: str) -> None:
    # The codes beside it are looked up in another way where no name is among the texts.
    assert codes_of(pd.Series(["BOS", text]), pd.Series([season, season])).tolist() == ["BOS", code]


def test_the_codes_of_the_leagues_own_feed_are_known() -> None:
    assert resolve(("BLT", 1965), ("TCB", 1951), ("WAS", 1951), ("WAS", 2020)) == ["WAS", "ATL", "WSC", "WAS"]


def test_what_comes_close_to_a_team_is_named() -> None:
    assert nearest_team("Lakers") == "LAL (Los Angeles Lakers)"
    assert nearest_team("Golden St Warriors") == "GSW (Golden State Warriors)"
    assert nearest_team("Cleveland") == "CLE (Cleveland Cavaliers)"
    assert nearest_team("XYZ") == ""
    assert seasons_of("BAL") == "1948 to 1955, 1964 to 1973"
    assert seasons_of("Seattle Supersonics") == "1968 to 2008"
    assert seasons_of("NYK") == "1947 on"


LINE_2 = "AAA,AAA,NBA,2000,2005,A,"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("AAA,AAA,NBA,2005,2010,A,", "line 3: AAA has two meanings between 2005 and 2005, here and in line 2"),
        ("BBB,BBB,NBA,2005,,a,", "line 3: a has two meanings between 2005 and 2005, here and in line 2"),
        ("BBB,BBB,NBA,19x7,,B,", 'line 3: first_season "19x7" is not a year from 1900 to 2200; correct it'),
        ("BBB,BBB,NBA,2000,99999,B,", 'line 3: last_season "99999" is not a year from 1900 to 2200; correct it'),
        ("BBB,BBB,NBA,2000,1999,B,", 'line 3: last_season "1999" is before the first season, 2000; correct it'),
        ("bbb,BBB,NBA,2000,,B,", 'line 3: code "bbb" is not 2 to 8 capital letters and digits; correct it'),
        ("BBB,,NBA,2000,,B,", 'line 3: franchise "" is not 2 to 8 capital letters and digits; correct it'),
        ("BBB,BBB,NBA,2000,,,", 'line 3: name "" is empty; correct it'),
        ("BBB,BBB,NBA,2000,,B", "line 3: has 6 fields, where the header has 7; correct it"),
        ("BBB,CCC,NBA,2000,,B,", 'line 3: franchise "CCC" is not one of its codes; correct it, or add a line'),
    ],
)
def test_a_mistake_in_the_file_is_named_by_line(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "franchises.csv"
    path.write_text("\n".join(["code,franchise,league,first_season,last_season,name,also", LINE_2, line, ""]))
    with pytest.raises(
        FranchisesError, match="^" + re.escape(f"pipeline/workloads/nba/game_data/franchises.csv, {reason}")
    ):
        read_spans(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "line 1: the columns are missing, where code, franchise"),
        (b"code;franchise\n", "line 1: the columns are code;franchise, where code, franchise"),
        (b"code,franchise,league,first_season,last_season,name,also\n\xff", " cannot be read"),
        (None, " cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "franchises.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FranchisesError, match=rf"^pipeline/workloads/nba/game_data/franchises\.csv,? ?{reason}"):
        read_spans(path)


def test_the_file_is_whole() -> None:
    spans = read_spans()
    assert [span.line for span in spans] == list(range(2, len(FRANCHISES_FILE.read_text().splitlines()) + 1))
    # A franchise has one name and league.
    for franchise in {span.franchise for span in spans}:
        own = [span for span in spans if span.franchise == franchise]
        assert len({(span.name, span.league) for span in own}) == 1
    assert len({span.franchise for span in spans if span.league == "NBA" and span.last_season == 2200}) == 30
    assert sum(span.league == "simulated" for span in spans) == 30


def test_real_teams_never_meet_themselves_nor_play_twice_a_day(real_games: Path) -> None:
    loaded = load_games(real_games, as_of=date(2023, 7, 1), today=date(2023, 7, 1), max_bad_row_share=0.01, min_rows=1)
    assert not loaded.quarantine["rule"].str.contains("franchise|team code").any()
    sides = pd.concat(
        [
            loaded.rows[["date", "season", f"{side}_team", f"{side}_franchise"]].set_axis(
                ["date", "season", "team", "franchise"], axis=1
            )
            for side in ("home", "away")
        ]
    )
    # Nobody plays twice a day, except the day on which the end of a game of Atlanta and Miami was replayed.
    twice = sides[sides.duplicated(["date", "franchise"])]
    assert set(twice["franchise"]) == {"ATL", "MIA"}
    assert set(twice["date"]) == {pd.Timestamp("2008-03-07")}
    # One code at a time: where a season has two codes of a franchise, one follows the other (the feed changed in 2020).
    spans = sides.groupby(["season", "franchise", "team"])["date"].agg(["min", "max"]).reset_index()
    several = spans[spans.duplicated(["season", "franchise"], keep=False)]
    assert several["season"].unique().tolist() == [2020]
    for _, codes in several.groupby("franchise"):
        for (_, one), (_, other) in combinations(codes.iterrows(), 2):
            assert one["max"] < other["min"] or other["max"] < one["min"]
    # No gap but the summer's: each franchise plays in every season from its first to its last.
    seasons = sides.groupby("franchise")["season"].agg(["min", "max", "nunique"])
    assert (seasons["max"] - seasons["min"] + 1 == seasons["nunique"]).all()
