"""DuckDB and Spark run the same queries, and must give the same rows, to the last bit of every number."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from event_csv import PLAIN, READ, REFUSED, write_contents
from play_by_play import a_game, event, random_season, write_events

from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.play_by_play import event_files
from pipeline.workloads.nba.play_by_play.aggregate import define_queries, main
from pipeline.workloads.nba.play_by_play.aggregate_duckdb import open_duckdb
from pipeline.workloads.nba.play_by_play.event_account import account

ENGINES = {"duckdb": ["--engine", "duckdb"], "spark": ["--engine", "spark", "--master", "local[2]"]}

# Lines of which Spark's own reader says nothing, or neither the file nor the line.
SAID_LESS_BY_SPARK = (
    "swallowed",
    "one_mark",
    "one_mark_in_the_last_line",
    "marks_within_marks",
    "cut",
    "mixed_line_ends",
    "not_utf_8",
)

pytest.importorskip("pyspark", reason="pyspark is not installed")
from pipeline.workloads.nba.play_by_play.aggregate_spark import on_session, open_spark  # noqa: E402

if not shutil.which("java"):
    pytest.skip("Java, which Spark needs, is not installed", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def a_java_that_starts_fast() -> Iterator[None]:
    """Short jobs end before Java's second compiler has paid for itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
        yield


def both(folder: Path, *options: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """The text of team_games.csv and the account, by engine."""
    found = {}
    for name, engine in ENGINES.items():
        output = folder.parent / name
        main(["--input", str(folder), "--output", str(output), *engine, *options])
        account = json.loads((output / nba.AGGREGATED_FILE).read_text(encoding="utf-8"))
        assert account.pop("engine") == name
        found[name] = ((output / nba.TEAM_GAMES_FILE).read_text(encoding="utf-8"), account)
    return found


def test_random_games_with_every_quirk(tmp_path: Path) -> None:
    """On one machine; on a cluster, where rows cross processes, in tests/containers."""
    folder = write_events(tmp_path / "in", random_season(1, 250))
    found = both(folder, "--max-bad-row-share", "1")
    (duck_rows, duck_account), (spark_rows, spark_account) = found["duckdb"], found["spark"]
    assert duck_rows.splitlines() == spark_rows.splitlines()
    assert duck_account == spark_account
    # and that the quirks were there
    assert duck_account["n_bad_rows"] > 40
    assert duck_account["n_duplicates_collapsed"] > 2_500
    assert {"jumpball", "new kind"} <= set(duck_account["n_rows_not_counted"])
    assert 75 < duck_account["n_games_left_out"] < 200


def test_the_real_season_of_six_teams(real_events: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for path in sorted(real_events.glob("*.parquet"))[::5]:
        (tmp_path / "in" / path.name).symlink_to(path)
    found = both(tmp_path / "in")
    assert found["duckdb"] == found["spark"]
    assert len(found["duckdb"][0].splitlines()) > 2 * 400


def test_both_see_the_same_columns_in_a_parquet_file(tmp_path: Path) -> None:
    """Each kind that a column can have: what one lets through, the other does too."""
    types = {
        "text": (pa.string(), event_files.TEXT),
        "large": (pa.large_string(), event_files.TEXT),
        "category": (pa.dictionary(pa.int32(), pa.string()), event_files.TEXT),
        "whole": (pa.int64(), event_files.WHOLE),
        "short": (pa.uint8(), event_files.WHOLE),
        "float": (pa.float32(), event_files.FLOATS),
        "double": (pa.float64(), event_files.FLOATS),
        "day": (pa.date32(), event_files.DAYS),
        "time": (pa.timestamp("us"), event_files.DAYS),
        "instant": (pa.timestamp("us", "UTC"), event_files.INSTANTS),
        "bytes": (pa.binary(), event_files.OTHER),
        "truth": (pa.bool_(), event_files.OTHER),
        "price": (pa.decimal128(5, 2), event_files.OTHER),
        "list": (pa.list_(pa.string()), event_files.OTHER),
        "clock": (pa.time32("ms"), event_files.OTHER),
        # Arrow stores them as whole numbers of which there are none; both kinds may stand in any column.
        "nothing": (pa.null(), None),
    }
    path = tmp_path / "a file+.parquet"
    pq.write_table(pa.table({name: pa.array([None], type_) for name, (type_, _) in types.items()}), path)
    folder = write_events(tmp_path / "in", {"a.csv": a_game()})
    (tmp_path / "b.parquet").write_bytes(path.read_bytes()[:-9])
    engines: list[Callable[[Path], AbstractContextManager[Any]]] = [partial(open_spark, master="local[1]"), open_duckdb]
    for open_engine in engines:
        with open_engine(folder) as engine:
            kinds = {column.name: column.kind for column in engine._parquet_columns([path])[path]}
            with pytest.raises(event_files.CorruptFile) as corrupt:
                engine._parquet_columns([path, tmp_path / "b.parquet"])
        assert corrupt.value.path == tmp_path / "b.parquet"
        assert kinds.pop("nothing") in (event_files.WHOLE, event_files.TEXT)
        assert kinds == {name: kind for name, (_, kind) in types.items() if kind}


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_both_refuse_a_column_that_is_missing_or_of_a_wrong_type(tmp_path: Path, engine: list[str]) -> None:
    arguments = ["--input", str(tmp_path), "--output", str(tmp_path / "out"), *engine]
    frame = pd.DataFrame(a_game()).rename(columns={"clock": "clok"})
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(StepError, match=r'^a\.parquet: column "clock" is missing; found: .*; did you mean "clok"\?'):
        main(arguments)
    frame.assign(clock=True).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(StepError, match=r"^a\.parquet: clock is of type (boolean|BOOLEAN); write it as text$"):
        main(arguments)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_both_refuse_bad_data_in_the_same_words(tmp_path: Path, engine: list[str]) -> None:
    bad = event(500, "2pt", "HOM", "Made", clock="11:44")
    folder = write_events(tmp_path / "a {folder} [1]? #*" / "in", {"a b+c.csv": [*a_game(), bad, bad]})
    with pytest.raises(StepError) as error:
        main(["--input", str(folder), "--output", str(tmp_path / "out"), *engine])
    assert str(error.value) == (
        '2 of 26 event rows are bad (7.69%, limit 1.00%); first: a b+c.csv: clock "11:44" is not a clock like '
        "PT11M44.00S (2 rows); correct the files, or raise MaxBadRowShare"
    )


def test_both_find_the_same_in_every_kind_of_lines(tmp_path: Path) -> None:
    """One session for all of them; what DuckDB finds is in test_event_lines.py."""
    good = write_contents(tmp_path / "good", {name: content for name, (content, _) in READ.items()})
    with open_spark(good, master="local[2]") as spark, open_duckdb(good) as duckdb:
        define_queries(spark)
        define_queries(duckdb)
        assert account(spark) == account(duckdb)
        for name in SAID_LESS_BY_SPARK:
            content, reason = REFUSED[name]
            folder = write_contents(tmp_path / name, {"a.csv": PLAIN, f"{name}.csv": content})
            with pytest.raises(StepError) as error, on_session(spark._session, folder) as engine:
                define_queries(engine)
                account(engine)
            assert str(error.value).startswith(f"{name}.csv{reason}")


def test_spark_that_does_not_start_says_what_it_needs(tmp_path: Path) -> None:
    folder = write_events(tmp_path / "in", {"a.csv": a_game()})
    command = [
        sys.executable,
        "-m",
        "pipeline.workloads.nba.play_by_play.aggregate",
        "--input",
        str(folder),
        *ENGINES["spark"],
    ]
    environment = {**os.environ, "JAVA_HOME": str(tmp_path), "PATH": str(tmp_path), c.BASE_DIR_VARIABLE: str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Spark did not start" in done.stderr
    assert "it needs Java 17, or use --engine duckdb" in done.stderr
