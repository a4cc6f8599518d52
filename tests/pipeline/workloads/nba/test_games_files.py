"""Files that cannot be read as a whole are refused by name; oddities of format that do no harm are not."""

from __future__ import annotations

import gzip
import io
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.ingest.quarantine import BadData
from pipeline.ingest.validated import ValidatedRows, rows_digest
from pipeline.workloads.nba.game_data.games import load_games

HEADER = "date,season,home_team,away_team,home_points,away_points,neutral_site,playoff\n"
GOOD = "2021-01-01,2021,BOS,LAL,100,90,false,false\n"
OTHER = "2021-01-02,2021,MIA,LAL,100,90,false,false\n"
Load = Callable[..., ValidatedRows]


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def typed_frame() -> pd.DataFrame:
    return pd.read_csv(io.StringIO(HEADER + GOOD + OTHER), parse_dates=["date"])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.csv": b""}, "a.csv is empty (0 bytes); export it again or remove it"),
        ({"a.parquet": b""}, "a.parquet is empty (0 bytes); export it again or remove it"),
        ({"a.csv": " \n\n"}, "a.csv is empty (only blank lines); export it again or remove it"),
        ({"a.csv.gz": ""}, "a.csv.gz is empty (only blank lines); export it again or remove it"),
        ({"a.csv": HEADER}, "a.csv has a header and no rows; export it again or remove it"),
        (
            {"a.csv": HEADER.replace("home_points", "home_pts") + GOOD},
            'a.csv: column "home_points" is missing; found: date, season, home_team, away_team, home_pts, away_points, '
            'neutral_site, playoff; did you mean "home_pts"? rename it',
        ),
        ({"a.csv": "date,season\n2021-01-01,2021\n"},
         "a.csv: columns home_team, away_team, home_points, away_points are missing; found: date, season; rename or "
         "add them"),
        (
            {"a.csv": (HEADER + GOOD).replace(",", ";")},
            "a.csv: columns date, season, home_team, away_team, home_points, away_points are missing; found: "
            "date;season;home_team;away_team;home_points;away_points;neutral_site;playoff; "
            "fields seem to be separated by ';': separate them by commas",
        ),
        ({"a.csv": "team,city\nBOS,Boston\n"},
         "found: team, city; rename or add them, or move a file of anything else elsewhere"),
        (
            {"a.csv": (HEADER + GOOD).replace(",", "^")},
            "date^season^home_team^away_team^home_points^away_points^neutral_site^playoff; "
            "fields seem to be separated by '^': separate them by commas",
        ),
        (
            {"a.csv": '"' + (HEADER + GOOD).strip().replace("\n", '"\n"') + '"'},
            "neutral_site,playoff; whole lines seem to be in quotation marks: remove those around each line",
        ),
        (
            {"a.csv": HEADER.replace("date", "Date (UTC)") + GOOD},
            '"Date (UTC)" seems to be in UTC, where a day is often the next local day: add the local one',
        ),
        (
            {"a.csv/is_playoff=true/season=2021/part-0.csv": "date,Season,home_team,away_team,home_points,away_points\n"
             "2021-01-01,2021,BOS,LAL,100,90\n"},
            "playoff is in the name of a folder alone (is_playoff=true, season=2021), where it is not read: write it "
            "into the files, as a column",
        ),
        ({"a.csv": GOOD + OTHER}, "the first line seems to be a row: write the names of the columns above it"),
        ({"a.csv": "Games of 2021\n\n" + HEADER + GOOD},
         "a.csv, line 3: this seems to be the header: remove the lines above it"),
        (
            {"a.csv": HEADER + GOOD + HEADER.replace("neutral_site,playoff", "playoff,neutral_site") + OTHER},
            "a.csv, line 3: a second header, with its columns in another order than the first; "
            "put the rows from there on into a file of their own",
        ),
        (
            {"a.csv": HEADER.replace("playoff", "pl\u0430yoff") + GOOD},
            'a.csv: column "pl\\u0430yoff" is nearly playoff, which is not in the header; rename it to playoff, or to '
            "something else",
        ),
        (
            {"a.csv": HEADER.replace("playoff", "Season Type") + GOOD},
            'a.csv: column "Season Type" may say what playoff says, which is not in the header; add playoff '
            "(true or false), or rename Season Type",
        ),
        (
            {"a.csv": HEADER.replace("playoff", "date") + GOOD},
            'a.csv: column "date" appears twice in the header (date, season, home_team, away_team, home_points, '
            "away_points, neutral_site, date); remove one",
        ),
        (
            {"a.csv": (HEADER + GOOD).encode() + "2021-01-02,2021,MÜN,LAL,100,90,,\n".encode("latin-1")},
            "a.csv, line 3: byte 0xDC is not UTF-8 (Latin-1 or Windows-1252, perhaps); save the file as UTF-8",
        ),
        ({"a.csv": (HEADER + GOOD).encode("utf-16")}, "a.csv is UTF-16, not UTF-8: save it as UTF-8"),
        ({"a.csv": HEADER.replace("date", '"date') + GOOD},
         "a.csv, line 1: the header cannot be read (unexpected end of data); export it again"),
        ({"a.parquet": typed_frame().head(0)}, "a.parquet has columns and no rows; export it again or remove it"),
        ({"notes.txt": "hello", "_SUCCESS": "", ".hidden.csv": HEADER, "_tmp/a.csv": HEADER},
         'there is no *.csv, *.csv.gz or *.parquet file under DataPrefix (locally: --data); put the data files there '
         '(.hidden.csv is hidden: its name starts with "." or "_"; _SUCCESS is hidden: its name starts with "." or '
         '"_"; _tmp/ is hidden: its name starts with "." or "_")'),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused(load: Load, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(BadData) as caught:
        load({"b_good.csv": HEADER + GOOD, **files} if any(name.startswith("a.") for name in files) else files)
    assert str(caught.value).endswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "first", "last"),
    [("note", ',"OT', ',2OT"'), ("home_team", "", "")],
)
def test_quotation_marks_lose_no_game(load: Load, column: str, first: str, last: str) -> None:
    """A mark in a column that is not used, and one that breaks the number of fields: each line between is bad."""
    lines = [
        GOOD.replace("01-01", f"01-0{day}").rstrip("\n") + ("," if column == "note" else "") for day in range(1, 7)
    ]
    marked = [line[: -1 * (column == "note") or None] for line in (lines[0], lines[4])]
    lines[0] = marked[0] + first if first else lines[0].replace("BOS", '"BOS')
    lines[4] = marked[1] + last if last else lines[4] + '"'
    header = HEADER.replace("playoff", "playoff,note") if column == "note" else HEADER
    loaded = load({"a.csv": header + "\n".join(lines) + "\n"})
    assert (len(loaded.rows), loaded.n_bad_rows, loaded.n_rows_read) == (1, 5, 6)
    assert loaded.quarantine["line"].tolist() == [2, 3, 4, 5, 6]
    assert loaded.quarantine["rule"].str.contains("they open in line 2 and close in line 6").all()


@pytest.mark.parametrize("again", [HEADER, HEADER.upper(), "\ufeff" + HEADER, '"' + HEADER.replace(",", '","', 7)])
def test_files_that_were_joined_repeat_their_header(load: Load, again: str) -> None:
    again = again.replace("\n", '"\n') if '"' in again else again
    loaded = load({"a.csv": HEADER + GOOD + again + OTHER + ",,,,,,,\n"})
    assert (len(loaded.rows), loaded.n_bad_rows) == (2, 0)
    counts = loaded.files[0].lines
    assert (counts.lines, counts.header, counts.rows, counts.blank) == (5, 2, 2, 1)
    assert loaded.notes == ("1 line(s) repeat the header (first in a.csv)",)


def test_a_line_break_in_a_column_that_is_not_used_loses_nothing(load: Load) -> None:
    header = HEADER.replace("playoff", "playoff,note")
    loaded = load({"a.csv": header + GOOD[:-1] + ',"two\nlines"\n' + OTHER[:-1] + ",6'11\"\n\n"})
    assert (len(loaded.rows), loaded.n_bad_rows) == (2, 0)
    counts = loaded.files[0].lines
    assert (counts.lines, counts.header, counts.rows, counts.continued, counts.blank) == (5, 1, 2, 1, 1)


def test_a_file_of_one_evening_may_wait_for_a_score(load: Load) -> None:
    late = "2021-02-28,2021,BOS,LAL,,\n"
    good = HEADER.replace(",neutral_site,playoff", "") + "".join(
        f"2021-01-{day},2021,BOS,LAL,100,{60 + day}\n" for day in range(10, 30)
    )
    header = good.partition("\n")[0] + "\n"
    limits = {"max_bad_row_share": 0.5, "max_bad_row_share_of_file": 0.2}
    assert load({"a.csv": good, "b.csv": header + late}, **limits).n_bad_rows == 1
    with pytest.raises(BadData, match=r"^b\.csv: 2 of 2 rows are bad"):
        load({"a.csv": good, "b.csv": header + late + late.replace(",,", ",x,")}, **limits)
    many = "".join(late.replace("02-28", f"02-{day}") for day in range(10, 26))
    with pytest.raises(BadData, match=r"^b\.csv: 16 of 16 rows are bad"):
        load({"a.csv": good, "b.csv": header + many}, **limits)


def test_a_file_whose_rows_are_bad_is_refused_where_all_together_are_few(load: Load) -> None:
    bad = HEADER + GOOD.replace("100", "abc")
    good = HEADER + "".join(GOOD.replace("01-01", f"01-{day}").replace("90", str(60 + day)) for day in range(10, 29))
    assert load({"a.csv": good, "b.csv": bad}, max_bad_row_share=0.1).n_bad_rows == 1
    share = r"^b\.csv: 1 of 1 row is bad \(100\.00%, limit 50\.00%\); "
    example = r"most common \(1 violation\): b\.csv, line 2: .*, remove it, or raise MaxBadRowShareOfFile$"
    with pytest.raises(BadData, match=share + example):
        load({"a.csv": good, "b.csv": bad}, max_bad_row_share=0.1, max_bad_row_share_of_file=0.5)


def test_each_row_of_each_file_is_accounted_for(load: Load) -> None:
    loaded = load({"a.csv": HEADER + GOOD + OTHER + "\n1,2\n", "b.csv": HEADER + GOOD + OTHER.replace("90", "x")})
    a, b = loaded.files
    assert (a.kept, a.replaced, a.bad_rows, a.lines.blank, a.lines.lines) == (2, 0, 1, 1, 5)
    assert (b.kept, b.replaced, b.bad_rows, b.rows) == (0, 1, 1, 2)


@pytest.mark.parametrize("keep", [1, 30, -1])
def test_a_truncated_gzip_file_is_refused(load: Load, keep: int) -> None:
    whole = gzip.compress((HEADER + GOOD).encode())
    with pytest.raises(BadData, match=r"^a\.csv\.gz is a truncated or corrupt gzip file .*; export it again$"):
        load({"a.csv.gz": whole[:keep]})


@pytest.mark.parametrize("cut", [slice(0, 50), slice(0, -1), slice(0, -200), slice(100, None)])
def test_a_truncated_parquet_file_is_refused(load: Load, cut: slice) -> None:
    with pytest.raises(BadData, match=r"^a\.parquet is a truncated or corrupt Parquet file .*; export it again$"):
        load({"a.parquet": parquet_bytes(typed_frame())[cut]})


def test_a_damaged_parquet_page_is_refused(load: Load) -> None:
    data = bytearray(parquet_bytes(typed_frame()))
    data[4:40] = bytes(36)
    with pytest.raises(BadData, match=r"^a\.parquet is a truncated or corrupt Parquet file"):
        load({"a.parquet": bytes(data)})


@pytest.mark.parametrize(("points", "kind"), [([[1], [2]], "list<.*"), (pd.to_timedelta([101, 102]), r"duration\[.*")])
def test_a_parquet_column_that_is_no_text_is_refused(load: Load, points: Any, kind: str) -> None:
    frame = typed_frame().assign(home_points=points)
    with pytest.raises(BadData, match=rf"^a\.parquet: home_points is of type {kind}; write it as text$"):
        load({"a.parquet": frame})


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    day = date(2021, 3, 1)
    with pytest.raises(BadData, match="nowhere is not a folder; give the folder that holds the files"):
        load_games(tmp_path / "nowhere", as_of=day, today=day, max_bad_row_share=0, min_rows=0)


def test_other_files_are_ignored_by_name(load: Load) -> None:
    loaded = load(
        {"deep/er/a.csv": HEADER + GOOD, "README.md": "x", "_SUCCESS": "", "x.txt": "x", "deep/.cache/a.csv": "x"}
    )
    hidden, other = 'is hidden: its name starts with "." or "_"', "is no *.csv, *.csv.gz or *.parquet"
    assert [(left.name, left.reason) for left in loaded.left_out] == [
        ("README.md", other), ("_SUCCESS", hidden), ("deep/.cache/", hidden), ("x.txt", other),
    ]  # fmt: skip
    assert [file.name for file in loaded.files] == ["deep/er/a.csv"]


def test_each_file_is_summed_up(load: Load) -> None:
    bad = "2021-01-31,2021,XYZ,LAL,100,90,,\n1,2\n2021-02-31,2021,BOS,LAL,100,90,,\n"
    loaded = load({"b.csv": HEADER + GOOD + OTHER + bad, "a.csv": "attendance," + HEADER + "5," + GOOD})
    a, b = loaded.files
    assert (a.name, a.rows, str(a.first_date), str(a.last_date)) == ("a.csv", 1, "2021-01-01", "2021-01-01")
    assert a.unused_columns == ("attendance",)
    assert (b.name, b.rows, str(b.first_date), str(b.last_date)) == ("b.csv", 5, "2021-01-01", "2021-01-31")


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + (HEADER + GOOD + OTHER).encode(),
        (HEADER + GOOD + OTHER).replace("\n", "\r\n").encode(),
        (HEADER + GOOD + OTHER).replace("\n", "\r").encode(),
        (HEADER + GOOD + OTHER).rstrip("\n").encode(),
        ("\n" + HEADER + "\n" + GOOD + "\n\n" + OTHER + "\n").encode(),
        (HEADER.replace(",", " , ") + GOOD + OTHER).encode(),
        (HEADER + GOOD + OTHER).replace("BOS", '"BOS"').encode(),
        "\n".join(",".join(reversed(line.split(","))) for line in (HEADER + GOOD + OTHER).splitlines()).encode(),
    ],
)
def test_harmless_differences_of_format_change_nothing(load: Load, data: bytes, tmp_path: Path) -> None:
    plain = load({"plain.csv": HEADER + GOOD + OTHER})
    (tmp_path / "games" / "plain.csv").unlink()
    other = load({"other.csv": data})
    assert other.n_bad_rows == 0
    pd.testing.assert_frame_equal(other.rows, plain.rows)
    assert rows_digest(other.rows) == rows_digest(plain.rows)


def test_line_numbers_count_blank_lines_and_quoted_line_breaks(load: Load) -> None:
    text = (
        "note," + HEADER  # line 1
        + "\n"  # 2
        + '"two\nlines, ""quoted""",' + GOOD  # 3 and 4
        + "x,y\n"  # 5
        + '"a\n\nb",' + GOOD.replace("100", "abc")  # 6 to 8
        + "z," + OTHER.replace("LAL", "XYZ")  # 9
    )  # fmt: skip
    assert load({"a.csv": text}).quarantine[["line", "column"]].to_numpy().tolist() == [
        [5, ""],
        [6, "home_points"],
        [9, "away_team"],
    ]


def test_a_very_long_bad_value_is_cut(load: Load) -> None:
    value = load({"a.csv": HEADER + GOOD.replace("100", "9" * 10_000)}).quarantine["value"][0]
    assert len(value) == 81


@pytest.mark.parametrize(
    "frame",
    [
        typed_frame(),
        typed_frame().astype({"home_points": float, "season": "int16", "neutral_site": object}),
        typed_frame().assign(date=lambda rows: rows["date"].dt.date),
        typed_frame().assign(date=lambda rows: rows["date"].dt.tz_localize("America/New_York")),
        typed_frame().rename(columns={"date": "Date", "home_team": "homeTeam", "playoff": "is_playoff"}),
        typed_frame().astype({"date": "datetime64[ns]", "home_team": "category", "playoff": "boolean"}),
        typed_frame().astype(str),
        typed_frame().drop(columns=["neutral_site", "playoff"]),
    ],
)
def test_parquet_says_the_same_as_csv(load: Load, frame: pd.DataFrame, tmp_path: Path) -> None:
    plain = load({"plain.csv": HEADER + GOOD + OTHER})
    (tmp_path / "games" / "plain.csv").unlink()
    other = load({"other.parquet": frame})
    assert other.n_bad_rows == 0
    pd.testing.assert_frame_equal(other.rows, plain.rows)


@pytest.mark.parametrize("zone", ["UTC", "Zulu", "+00:00", "Africa/Abidjan", "Europe/London"])
def test_midnights_of_another_zone_are_not_taken_as_local_days(load: Load, zone: str) -> None:
    days = typed_frame()["date"].dt.tz_localize("America/New_York").dt.tz_convert("UTC")
    assert load({"a.parquet": typed_frame().assign(date=days)}).rows["date"].tolist() == typed_frame()["date"].tolist()
    midnights = pc.assume_timezone(pa.array(typed_frame()["date"]), zone)
    table = pa.Table.from_pandas(typed_frame())
    file = io.BytesIO()
    pq.write_table(table.set_column(0, "date", midnights), file)
    loaded = load({"a.parquet": file.getvalue()})
    assert (loaded.n_bad_rows, len(loaded.rows)) == (2, 0)
    assert (
        loaded.quarantine["rule"].str.endswith("write the local day alone; a day in UTC is often the day after").all()
    )


def test_long_ids_that_are_floats_are_those_of_csv(load: Load) -> None:
    frame = typed_frame().assign(game_id=[21700000000.0, 21700001000.0])
    loaded = load({"a.parquet": frame, "a.csv": frame.astype({"game_id": "int64"}).to_csv(index=False)})
    assert loaded.rows["game_id"].tolist() == ["21700000000", "21700001000"]
    assert loaded.n_duplicates_collapsed == 2


def test_columns_under_other_names_are_noted(load: Load) -> None:
    text = HEADER.replace("date", "DATE").replace("playoff", "is_playoff") + GOOD.replace("false\n", "true\n")
    loaded = load({"a.csv": text, "b.csv": text, "c.csv": HEADER + OTHER.replace("2021-01-02", "2020-12-30")})
    assert loaded.rows["playoff"].tolist() == [False, True]
    assert loaded.notes == (
        'column "DATE" is taken as date (a.csv and 1 more)',
        'column "is_playoff" is taken as playoff (a.csv and 1 more)',
    )


TWINS = """2021-01-01,2021,BOS,LAL,100,90,false,True,1
2021-01-02,2021,Boston Celtics,nyk,,,,,2
2021-02-30,2021,BOS,LAL,100,90,1,no,3
2021-01-03,2021,XYZ,LAL,100,abc,maybe,0,4
2021-01-03,2021,MIA,NYK,NA,90,0,0,nan
2021-01-04,2021,DEN,LAL,100,91,0,0,5
2021-01-04,2021,DEN,LAL,100,92,0,0,5
"""
KINDS = {
    "text": lambda texts: texts,
    "missing": lambda texts: pc.if_else(pc.equal(texts, ""), None, texts),
    "dictionary": lambda texts: pc.if_else(pc.equal(texts, ""), None, texts).dictionary_encode(),
    "small dictionary": lambda texts: texts.dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string())),
    "large": lambda texts: texts.cast(pa.large_string()),
    "view": lambda texts: texts.cast(pa.string_view()),
    "binary": lambda texts: texts.cast(pa.binary()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_text_of_every_kind_in_parquet_is_read_as_that_in_csv(load: Load, tmp_path: Path, kind: str) -> None:
    csv = load({"a.csv": HEADER.replace("\n", ",game_id\n") + TWINS})
    columns = zip(*(row.split(",") for row in TWINS.splitlines()), strict=True)
    names = [*HEADER.strip().split(","), "game_id"]
    file = io.BytesIO()
    pq.write_table(
        pa.table({name: KINDS[kind](pa.array(texts)) for name, texts in zip(names, columns, strict=True)}), file
    )
    shutil.rmtree(tmp_path / "games")
    parquet = load({"a.parquet": file.getvalue()})
    pd.testing.assert_frame_equal(parquet.rows, csv.rows)
    as_csv = parquet.quarantine.assign(
        line=parquet.quarantine["line"] + 1,
        file="a.csv",
        rule=parquet.quarantine["rule"]
        .str.replace("a.parquet, row 6", "a.csv, line 7")
        .str.replace("a.parquet, row 7", "a.csv, line 8"),
    )
    assert as_csv.to_numpy().tolist() == csv.quarantine.to_numpy().tolist()
    assert [note for note in parquet.notes if "no checksums" not in note] == list(csv.notes)


def test_text_that_parquet_holds_without_a_dictionary_is_read(load: Load) -> None:
    file = io.BytesIO()
    encoding = dict.fromkeys(("home_team", "away_team"), "DELTA_BYTE_ARRAY")
    pq.write_table(pa.Table.from_pandas(typed_frame()), file, use_dictionary=False, column_encoding=encoding)
    assert len(load({"a.parquet": file.getvalue()}).rows) == 2


def test_parquet_rows_are_counted_from_one(load: Load) -> None:
    frame = typed_frame().assign(home_points=[100.0, 110.5], date=["2021-01-01T19:00", "2021-01-02"])
    assert load({"a.parquet": frame}).quarantine[["line", "column", "value"]].to_numpy().tolist() == [
        [1, "date", "2021-01-01T19:00"],
        [2, "home_points", "110.5"],
    ]


def test_missing_points_in_parquet_are_games_to_come(load: Load) -> None:
    frame = typed_frame().assign(
        date=pd.to_datetime(["2021-03-05", "2021-03-06"]), home_points=np.nan, away_points=None
    )
    games = load({"a.parquet": frame}).rows
    assert games["home_points"].isna().all() and len(games) == 2
