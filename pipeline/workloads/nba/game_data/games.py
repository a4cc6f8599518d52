"""Game files to validated games: the one entry to the data contract (docs/data.md).

Reading is pipeline.ingest; rules and overlaps are next door (`game_rules.py`, `game_overlaps.py`). Nothing is dropped
in silence: rows read = games + duplicates collapsed + plans superseded by a score + bad rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contract.names import TARGET
from pipeline.contract.reasons import counted, printable, some
from pipeline.ingest.known import hide_labels
from pipeline.ingest.quarantine import BAD_FILE, BAD_LINE, COLUMN, RULE, VALUE, BadData, TooManyViolations
from pipeline.ingest.raw_rows import RawFile
from pipeline.ingest.read_rows import read_folder
from pipeline.ingest.row_counts import lines_in_quarantine, reconcile_rows, refuse_bad_rows, too_many_bad_rows
from pipeline.ingest.validated import ValidatedRows
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.game_data.game_calendar import (
    LATE_SCORE,
    called_off,
    find_calendar_violations,
    find_missing_scores,
    played_before,
)
from pipeline.workloads.nba.game_data.game_overlaps import merge_overlaps
from pipeline.workloads.nba.game_data.game_plausibility import check_plausible
from pipeline.workloads.nba.game_data.game_rules import find_violations
from pipeline.workloads.nba.game_data.parse_games import parse
from pipeline.workloads.nba.spec import SPEC

GAMES_OF_A_DAY: Final = 15  # of 30 teams: so many scores of a file may come late
_DTYPES: Final = {
    n.GAME_ID: "str",
    n.DATE: "datetime64[s]",
    n.SEASON: "int16",
    **dict.fromkeys(n.TEAMS, "str"),
    **dict.fromkeys(n.POINTS, "Int16"),
    **dict.fromkeys(n.FLAGS, "bool"),
    **dict.fromkeys(n.FRANCHISES, "str"),
}


def load_games(
    folder: Path,
    *,
    as_of: date,
    today: date,
    max_bad_row_share: float,
    min_rows: int,
    max_bad_row_share_of_file: float = 1.0,
    time_zone: str = SPEC.time_zone,
) -> ValidatedRows:
    """Read and validate all game files below `folder` as of the morning of `as_of`: one row a game, by date and id.

    A game of `as_of` or later keeps no score: it was still to be played. A score after both `as_of` and `today` is bad.
    Raises BadData where a file can't be read, the share of bad rows of all files or of one is above its limit (0 to 1),
    or fewer than `min_rows` games were played before `as_of`.
    """
    raw = read_folder(folder, n.COLUMNS)
    bad_lines = lines_in_quarantine(raw)
    parsed, spellings = parse(raw.rows, time_zone)
    try:
        violations = find_violations(parsed, raw.rows, last_score_day=max(today, as_of))
        merged = merge_overlaps(parsed.drop(index=violations.index.unique()), raw.rows)
        unscored = find_missing_scores(merged.games, raw.rows, as_of=as_of)
        # A plan of the past may be anything; what has a score, or is still to come, must fit together.
        expected = merged.games.drop(index=unscored.index)
        impossible = find_calendar_violations(expected, raw.rows)
    except TooManyViolations as error:
        raise too_many_bad_rows(raw, _sorted(bad_lines, error.listed), error.n_rows) from error
    expected = expected.drop(index=impossible.index.unique())
    quarantine = _sorted(bad_lines, violations, merged.violations, unscored, impossible)
    n_replaced = merged.n_duplicates_collapsed + merged.n_unplayed_superseded
    never_played = called_off(merged.games, unscored, as_of=as_of)
    bad = (violations, merged.violations, unscored, impossible)
    files = reconcile_rows(raw, parsed, expected, bad, n_replaced, never_played, n.DATE)
    judged = _sorted(bad_lines, violations, merged.violations, unscored.drop(index=never_played), impossible)
    refuse_bad_rows(files, judged, quarantine, max_bad_row_share, max_bad_row_share_of_file, LATE_SCORE, GAMES_OF_A_DAY)
    unlikely = check_plausible(expected, quarantine)
    games = expected.astype(_DTYPES)[list(_DTYPES)].sort_values([n.DATE, n.GAME_ID], ignore_index=True)
    games = games.assign(**{role: games[name] for name, role in n.ROLES.items()})
    games[TARGET] = (games[n.HOME_POINTS] > games[n.AWAY_POINTS]).astype("Int8")  # a home win; missing if unplayed
    known = hide_labels(SPEC, games, np.datetime64(as_of))
    _refuse_too_few_games(known, as_of, min_rows, quarantine)
    contradicted = parsed.loc[merged.violations.index.unique()]
    notes = [
        *_notes_on_files(raw.files),
        *spellings,
        *_note(
            merged.n_plans_renamed, "scheduled game(s) carry another game_id than their result: the result's is used"
        ),
        *_notes_on_checksums(raw.files),
        *unlikely,
        *_note(len(never_played), "past game(s) without a score are taken as called off, and no limit counts them"),
    ]
    return ValidatedRows(
        rows=known,
        quarantine=quarantine,
        files=files,
        left_out=raw.left_out,
        linked=raw.linked,
        n_rows_read=sum(file.rows for file in files),
        n_duplicates_collapsed=merged.n_duplicates_collapsed,
        n_superseded=merged.n_unplayed_superseded,
        n_bad_rows=sum(file.bad_rows for file in files),
        n_labels_hidden=int((games[TARGET].notna() & known[TARGET].isna()).sum()),
        days_without_label=_days_without_score(merged.games.loc[unscored.index], contradicted, as_of),
        notes=tuple(map(printable, notes)),
    )


def _days_without_score(unscored: pd.DataFrame, contradicted: pd.DataFrame, as_of: date) -> tuple[date, ...]:
    """One day a game, sorted; of rows that contradict each other none is believed: their game has no score either."""
    past = contradicted[played_before(contradicted[n.DATE], as_of)]
    sides = [past[column].astype(str) for column in n.FRANCHISES]
    pairs = {(day, *sorted(pair)) for day, *pair in zip(past[n.DATE], *sides, strict=True)}
    return tuple(sorted([*(day.date() for day in unscored[n.DATE]), *(day.date() for day, *_ in pairs)]))


def _sorted(*found: pd.DataFrame) -> pd.DataFrame:
    """By file, line, and column as the contract lists them: what follows from a bad day or season comes after it."""
    # Arrow sorts a million rows of text in a tenth of the time that pandas takes.
    together = pd.concat(found)
    table = pa.Table.from_pandas(together, preserve_index=False)
    place = pc.index_in(table[COLUMN], pa.array(n.GAME_COLUMNS)).fill_null(-1)
    keys = (BAD_FILE, BAD_LINE, "place", VALUE, RULE)
    order = pc.sort_indices(table.append_column("place", place), [(key, "ascending") for key in keys])
    return together.take(order.to_numpy()).reset_index(drop=True)


def _refuse_too_few_games(games: pd.DataFrame, as_of: date, min_rows: int, quarantine: pd.DataFrame) -> None:
    n_played = int(games[TARGET].notna().sum())
    if n_played < min_rows:
        raise BadData(
            f"{counted(n_played, 'game was', 'games were')} played before {as_of}, fewer than the minimum of "
            f"{min_rows:,}; add older games, or lower MinRows",
            quarantine,
        )


# --- what was read otherwise than it is written -----------------------------------------------------------------------
def _notes_on_files(files: Sequence[RawFile]) -> Iterator[str]:
    where: dict[tuple[str, str], list[str]] = {}
    for file in files:
        for renamed in file.columns.renamed:
            where.setdefault(renamed, []).append(file.name)
    for (given, column), names in where.items():
        yield f'column "{given}" is taken as {column} ({some(names, 1)})'
    again = {file.name: file.counts.header - 1 for file in files if file.counts.header > 1}
    if again:
        yield f"{sum(again.values()):,} line(s) repeat the header (first in {min(again)})"


def _notes_on_checksums(files: Sequence[RawFile]) -> Iterator[str]:
    names = [file.name for file in files if not file.checksums]
    if names:
        yield (
            f"{some(names, 1)}: no checksums of pages, so that damage to values may not be seen: write with "
            "write_page_checksum=True (pyarrow)"
        )


def _note(count: int, what: str) -> list[str]:
    return [f"{count:,} {what}"] if count else []
