"""Game files to validated games: the one entry to the data contract (docs/data.md).

Reading is pipeline.ingest; rules and overlaps are next door (`game_rules.py`, `game_overlaps.py`). Nothing is dropped
in silence: rows read = games + duplicates collapsed + plans superseded by a score + bad rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contract.reasons import printable
from pipeline.ingest.files.data_folder import LeftOut
from pipeline.ingest.files.limits import MAX_VIOLATIONS
from pipeline.ingest.quarantine import (
    COLUMN,
    FILE,
    LINE,
    RULE,
    VALUE,
    BadData,
    TooManyViolations,
    count_rules,
    describe,
)
from pipeline.ingest.raw_rows import RawFile
from pipeline.ingest.read_rows import read_folder
from pipeline.ingest.row_counts import (
    FileSummary,
    lines_in_quarantine,
    reconcile_rows,
    refuse_bad_rows,
    too_many_bad_rows,
)
from pipeline.workloads.nba.columns import (
    AWAY_FRANCHISE,
    AWAY_POINTS,
    AWAY_TEAM,
    COLUMNS,
    DATE,
    GAME_COLUMNS,
    GAME_ID,
    HOME_FRANCHISE,
    HOME_POINTS,
    HOME_TEAM,
    NEUTRAL_SITE,
    PLAYOFF,
    SEASON,
)
from pipeline.workloads.nba.game_data.game_calendar import find_calendar_violations
from pipeline.workloads.nba.game_data.game_overlaps import MergedGames, merge_overlaps
from pipeline.workloads.nba.game_data.game_plausibility import check_plausible
from pipeline.workloads.nba.game_data.game_rules import (
    LATE_SCORE,
    called_off,
    find_missing_scores,
    find_violations,
    played_before,
)
from pipeline.workloads.nba.game_data.parse_games import parse

__all__ = [
    "BadData",
    "FileSummary",
    "ValidatedGames",
    "as_known_on",
    "count_rules",
    "describe",
    "games_fingerprint",
    "load_games",
]

VALIDATED_COLUMNS: Final = (*GAME_COLUMNS, HOME_FRANCHISE, AWAY_FRANCHISE)
GAMES_OF_A_DAY: Final = 15  # of 30 teams: so many scores of a file may come late
_DTYPES: Final = {
    GAME_ID: "str",
    DATE: "datetime64[s]",
    SEASON: "int16",
    HOME_TEAM: "str",
    AWAY_TEAM: "str",
    HOME_POINTS: "Int16",
    AWAY_POINTS: "Int16",
    NEUTRAL_SITE: "bool",
    PLAYOFF: "bool",
    HOME_FRANCHISE: "str",
    AWAY_FRANCHISE: "str",
}


@dataclass(frozen=True)
class ValidatedGames:
    """Games as known on the morning of the as-of date, and an account of every row that was read.

    `games`: one row a game, VALIDATED_COLUMNS, sorted by date and game_id; no points: not yet played.
    `quarantine`: one row a violation, QUARANTINE_COLUMNS, sorted; a bad row can have several.
    n_rows_read = len(games) + n_duplicates_collapsed + n_unplayed_superseded + n_bad_rows.
    """

    games: pd.DataFrame
    quarantine: pd.DataFrame
    files: tuple[FileSummary, ...]
    left_out: tuple[LeftOut, ...]  # what of the folder was not read
    linked: dict[str, str]  # where links to folders elsewhere lead, by their names
    n_rows_read: int
    n_duplicates_collapsed: int
    n_unplayed_superseded: int
    n_bad_rows: int
    n_scores_hidden: int
    days_without_score: tuple[date, ...]  # of past games that have none: late, called off, contradicted
    notes: tuple[str, ...]  # what was read otherwise than it is written


def load_games(
    folder: Path,
    *,
    as_of: date,
    today: date,
    max_bad_row_share: float,
    min_rows: int,
    max_bad_row_share_of_file: float = 1.0,
) -> ValidatedGames:
    """Read and validate all game files below `folder` as of the morning of `as_of`.

    A game of `as_of` or later keeps no score: it was still to be played. A score after both `as_of` and `today` is bad.
    Raises BadData where a file can't be read, the share of bad rows of all files or of one is above its limit (0 to 1),
    or fewer than `min_rows` games were played before `as_of`.
    """
    raw = read_folder(folder, COLUMNS)
    bad_lines = lines_in_quarantine(raw)
    if sum(file.counts.bad for file in raw.files) > MAX_VIOLATIONS:
        raise too_many_bad_rows(raw, None, bad_lines)
    parsed, spellings = parse(raw.rows)
    try:
        violations = find_violations(parsed, raw.rows, last_score_day=max(today, as_of))
        bad = pd.Series(False, index=parsed.index)
        bad[violations.index] = True
        merged = merge_overlaps(parsed[~bad], raw.rows)
        unscored = find_missing_scores(merged.games, raw.rows, as_of=as_of)
        # A plan of the past may be anything; what has a score, or is still to come, must fit together.
        expected = merged.games.drop(index=unscored.index)
        impossible = find_calendar_violations(expected, raw.rows)
    except TooManyViolations as error:
        raise too_many_bad_rows(raw, error, _sorted(pd.concat([bad_lines, error.listed]))) from error
    expected = expected.drop(index=impossible.index.unique())
    found = (violations, merged.violations, unscored, impossible)
    quarantine = _sorted(pd.concat([bad_lines, *found]))
    n_replaced = merged.n_duplicates_collapsed + merged.n_unplayed_superseded
    never_played = called_off(merged.games, unscored, as_of=as_of)
    files = reconcile_rows(raw, parsed, expected, found, n_replaced, never_played, DATE)
    counted = (bad_lines, violations, merged.violations, unscored.drop(index=never_played), impossible)
    judged = quarantine if never_played.empty else _sorted(pd.concat(counted))
    refuse_bad_rows(files, judged, quarantine, max_bad_row_share, max_bad_row_share_of_file, LATE_SCORE, GAMES_OF_A_DAY)
    known = expected.astype(_DTYPES)[list(VALIDATED_COLUMNS)]
    unlikely = check_plausible(expected, quarantine)
    unlikely += _notes_on_called_off(len(never_played))
    games, n_scores_hidden = as_known_on(known.sort_values([DATE, GAME_ID], ignore_index=True), as_of)
    _refuse_too_few_games(games, as_of, min_rows, quarantine)
    return ValidatedGames(
        games=games,
        quarantine=quarantine,
        files=files,
        left_out=raw.left_out,
        linked=raw.linked,
        n_rows_read=sum(file.rows for file in files),
        n_duplicates_collapsed=merged.n_duplicates_collapsed,
        n_unplayed_superseded=merged.n_unplayed_superseded,
        n_bad_rows=sum(file.bad_rows for file in files),
        n_scores_hidden=n_scores_hidden,
        days_without_score=_days_without_score(
            merged.games.loc[unscored.index], parsed.loc[merged.violations.index.unique()], as_of
        ),
        notes=tuple(
            printable(note)
            for note in (
                *_notes_on_columns(raw.files),
                *_notes_on_headers(raw.files),
                *spellings,
                *_notes_on_ids(merged),
                *_notes_on_checksums(raw.files),
                *unlikely,
            )
        ),
    )


def games_fingerprint(games: pd.DataFrame) -> str:
    """SHA-256 of what the games say: the same for any order and index of the rows, another when any value differs."""
    ordered = games.sort_values([DATE, GAME_ID])
    digest = hashlib.sha256()
    for column in VALIDATED_COLUMNS:
        digest.update(column.encode())
        if _DTYPES[column] == "str":
            texts = pa.array(ordered[column].astype(str), pa.large_string())
            # The lengths tell ("ab", "c") from ("a", "bc").
            digest.update(pc.binary_length(texts).to_numpy(zero_copy_only=False).astype("<i8").tobytes())
            digest.update("".join(texts.to_pylist()).encode())
        elif column == DATE:
            digest.update(ordered[column].to_numpy().astype("datetime64[s]").astype("<i8").tobytes())
        else:
            digest.update(ordered[column].astype("Int64").fillna(-1).to_numpy(dtype="<i8").tobytes())
    return digest.hexdigest()


# --- what is known on a morning ---------------------------------------------------------------------------------------
def as_known_on(games: pd.DataFrame, as_of: date) -> tuple[pd.DataFrame, int]:
    """The games as they were known on the morning of `as_of`: later scores are hidden; and how many those are."""
    known = games.copy()
    hidden = known[HOME_POINTS].notna() & ~played_before(known[DATE], as_of)
    known.loc[hidden, [HOME_POINTS, AWAY_POINTS]] = pd.NA
    return known, int(hidden.sum())


def _days_without_score(unscored: pd.DataFrame, contradicted: pd.DataFrame, as_of: date) -> tuple[date, ...]:
    """One day a game, sorted; of rows that contradict each other none is believed: their game has no score either."""
    past = contradicted[played_before(contradicted[DATE], as_of)]
    sides = [past[column].astype(str) for column in (HOME_FRANCHISE, AWAY_FRANCHISE)]
    pairs = {(day, *sorted(pair)) for day, *pair in zip(past[DATE], *sides, strict=True)}
    return tuple(sorted([*(day.date() for day in unscored[DATE]), *(day.date() for day, *_ in pairs)]))


def _notes_on_columns(files: Sequence[RawFile]) -> list[str]:
    where: dict[tuple[str, str], list[str]] = {}
    for file in files:
        for renamed in file.columns.renamed:
            where.setdefault(renamed, []).append(file.name)
    return [
        f'column "{given}" is taken as {column} ({names[0]}{f" and {len(names) - 1:,} more" if len(names) > 1 else ""})'
        for (given, column), names in where.items()
    ]


def _notes_on_checksums(files: Sequence[RawFile]) -> list[str]:
    names = [file.name for file in files if not file.checksums]
    more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
    text = (
        "no checksums of pages, so that damage to values may not be seen: write with write_page_checksum=True (pyarrow)"
    )
    return [f"{names[0]}{more}: {text}"] if names else []


def _notes_on_headers(files: Sequence[RawFile]) -> list[str]:
    again = {file.name: file.counts.header - 1 for file in files if file.counts.header > 1}
    return [f"{sum(again.values()):,} line(s) repeat the header (first in {min(again)})"] if again else []


def _notes_on_called_off(n: int) -> list[str]:
    return [f"{n:,} past game(s) without a score are taken as called off, and no limit counts them"] if n else []


def _notes_on_ids(merged: MergedGames) -> list[str]:
    n = merged.n_plans_renamed
    return [f"{n:,} scheduled game(s) carry another game_id than their result: the result's is used"] if n else []


# --- the account of bad rows ------------------------------------------------------------------------------------------


def _sorted(found: pd.DataFrame) -> pd.DataFrame:
    """By file, line, and column as the contract lists them: what follows from a bad day or season comes after it."""
    # Arrow sorts a million rows of text in a tenth of the time that pandas takes.
    table = pa.Table.from_pandas(found, preserve_index=False)
    place = pc.index_in(table[COLUMN], pa.array(GAME_COLUMNS)).fill_null(-1)
    keys = (FILE, LINE, "place", VALUE, RULE)
    order = pc.sort_indices(table.append_column("place", place), [(key, "ascending") for key in keys])
    return found.take(order.to_numpy()).reset_index(drop=True)


def _refuse_too_few_games(games: pd.DataFrame, as_of: date, min_rows: int, quarantine: pd.DataFrame) -> None:
    n_played = int(games[HOME_POINTS].notna().sum())
    if n_played < min_rows:
        raise BadData(
            f"{n_played} games were played before {as_of}, fewer than the minimum of {min_rows}; "
            "add older games, or lower MinRows",
            quarantine,
        )
