"""What holds for any games: order, files and formats don't matter, every value does, loading twice is loading once."""

from __future__ import annotations

import gzip
import random
import tempfile
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.quarantine import BadData
from pipeline.ingest.validated import ValidatedRows, rows_digest
from pipeline.workloads.nba.columns import GAME_COLUMNS
from pipeline.workloads.nba.game_data.games import load_games

CODES = ("BOS", "LAL", "BRK", "BKN", "PHO", "PHX", "MIA", "XYZ")
FAST = settings(max_examples=15, deadline=None)

cells = st.fixed_dictionaries(
    {
        "game_id": st.sampled_from(["", "", "", "7", "8", "2021-02-28-BOS-LAL"]),
        "date": st.sampled_from([str(date(2021, 2, 27) + timedelta(days=day)) for day in range(4)] + ["2021-02-30"]),
        "season": st.sampled_from(["2021", "2021", "2021", "2022"]),
        "home_team": st.sampled_from(CODES),
        "away_team": st.sampled_from(CODES),
        "home_points": st.sampled_from(["", "100", "101", "abc"]),
        "away_points": st.sampled_from(["", "90", "100"]),
        "neutral_site": st.sampled_from(["", "false", "true"]),
        "playoff": st.just("false"),
    }
)
tables = st.lists(cells, min_size=1, max_size=25).map(pd.DataFrame)


def load(parts: list[pd.DataFrame], suffixes: list[str]) -> ValidatedRows:
    with tempfile.TemporaryDirectory() as folder:
        for number, (part, suffix) in enumerate(zip(parts, suffixes, strict=True)):
            path = Path(folder) / f"part_{number}{suffix}"
            if suffix == ".parquet":
                part.to_parquet(path, index=False)
            else:
                text = part.to_csv(index=False).encode()
                path.write_bytes(gzip.compress(text) if suffix == ".csv.gz" else text)
        day = date(2021, 3, 1)
        return load_games(Path(folder), as_of=day, today=day, max_bad_row_share=1.0, min_rows=0)


def same_violations(loaded: ValidatedRows) -> list[list[str]]:
    """The violations without the places, which do differ."""
    rules = loaded.quarantine.assign(rule=loaded.quarantine["rule"].str.split(":").str[0])
    return sorted(rules[["column", "value", "rule"]].drop_duplicates().to_numpy().tolist())


@FAST
@given(table=tables, seed=st.randoms(use_true_random=False), n_files=st.integers(1, 4))
def test_order_files_and_formats_change_nothing(table: pd.DataFrame, seed: random.Random, n_files: int) -> None:
    whole = load([table], [".csv"])
    order = list(range(len(table)))
    seed.shuffle(order)
    shuffled = table.iloc[order]
    homes = [seed.randrange(n_files) for _ in order]
    parts = [shuffled[[home == number for home in homes]] for number in range(n_files)]
    parts = [part for part in parts if len(part)]
    split = load(parts, [seed.choice([".csv", ".csv.gz", ".parquet"]) for _ in parts])
    pd.testing.assert_frame_equal(split.rows, whole.rows)
    assert rows_digest(split.rows) == rows_digest(whole.rows)
    assert split.n_bad_rows == whole.n_bad_rows
    if not whole.quarantine["rule"].str.startswith("contradicts").any():
        assert same_violations(split) == same_violations(whole)


@FAST
@given(table=tables)
def test_every_row_is_accounted_for(table: pd.DataFrame) -> None:
    loaded = load([table, table], [".csv", ".parquet"])
    accounted = len(loaded.rows) + loaded.n_duplicates_collapsed + loaded.n_superseded + loaded.n_bad_rows
    assert accounted == loaded.n_rows_read == 2 * len(table)
    assert loaded.rows["game_id"].is_unique


@FAST
@given(table=tables)
def test_loading_what_was_loaded_changes_nothing(table: pd.DataFrame) -> None:
    once = load([table], [".csv"])
    if once.rows.empty:
        return
    games = once.rows[list(GAME_COLUMNS)]
    for suffix in (".csv", ".parquet"):
        again = load([games], [suffix])
        pd.testing.assert_frame_equal(again.rows, once.rows)
        assert again.n_bad_rows == 0
        assert again.n_duplicates_collapsed == 0


def games_to_edit() -> pd.DataFrame:
    day = [f"2021-01-{number:02d}" for number in range(1, 7)]
    table = pd.DataFrame({"date": day, "season": "2021", "home_team": "BOS", "away_team": "LAL"})
    points = [str(number) for number in range(110, 116)]  # a score does not repeat on the next day
    return table.assign(home_points=points, away_points="90", neutral_site="false", playoff="false")


OTHER_VALUES = {
    "date": "2021-02-01", "home_team": "MIA", "away_team": "MIA", "home_points": "101",
    "away_points": "91", "neutral_site": "true", "playoff": "true",
}  # fmt: skip


@FAST
@given(row=st.integers(0, 5), column=st.sampled_from(sorted(OTHER_VALUES)))
def test_any_edited_value_changes_the_fingerprint(row: int, column: str) -> None:
    table = games_to_edit()
    edited = table.copy()
    edited.loc[row, column] = OTHER_VALUES[column]
    before, after = load([table], [".csv"]).rows, load([edited], [".csv"]).rows
    assert len(before) == len(after) == 6
    assert rows_digest(before) != rows_digest(after)


WHOLE_CSV = games_to_edit().to_csv(index=False).encode()
WHOLE_FILES = {
    ".csv": WHOLE_CSV,
    ".csv.gz": gzip.compress(WHOLE_CSV),
    ".parquet": games_to_edit().to_parquet(index=False),
}


def test_a_quoted_line_break_within_a_value_is_not_counted_as_two_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(WHOLE_CSV[:330] + b'",\r"' + WHOLE_CSV[330:])
    day = date(2021, 3, 1)
    loaded = load_games(tmp_path, as_of=day, today=day, max_bad_row_share=1.0, min_rows=0)
    assert len(loaded.rows) + loaded.n_bad_rows == loaded.n_rows_read == 7  # it is two lines now


@settings(max_examples=60, deadline=None)
@given(data=st.data(), suffix=st.sampled_from(sorted(WHOLE_FILES)))
def test_any_damage_is_refused_or_quarantined_but_never_a_crash(data: st.DataObject, suffix: str) -> None:
    whole = WHOLE_FILES[suffix]
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 40)))
    damage = data.draw(st.one_of(st.binary(max_size=20), st.text(',"\n\r\0;é0', max_size=20).map(str.encode)))
    day = date(2021, 3, 1)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"a{suffix}").write_bytes(whole[:start] + damage + whole[end:])
        try:
            loaded = load_games(Path(folder), as_of=day, today=day, max_bad_row_share=1.0, min_rows=0)
        except BadData as error:
            assert str(error).startswith(f"a{suffix}") and "\n" not in str(error)
            return
    accounted = len(loaded.rows) + loaded.n_duplicates_collapsed + loaded.n_superseded + loaded.n_bad_rows
    assert accounted == loaded.n_rows_read
