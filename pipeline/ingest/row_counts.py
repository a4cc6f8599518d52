"""What became of every line and row, file by file; and the limits on bad rows that stop a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from pipeline.contract.names import QUARANTINE_FILE
from pipeline.contract.reasons import bad_share, counted, printable, some
from pipeline.ingest.files.data_folder import LeftOut
from pipeline.ingest.files.limits import MAX_VIOLATIONS
from pipeline.ingest.quarantine import (
    BAD_FILE,
    BAD_LINE,
    COLUMN,
    FILE,
    RULE,
    VALUE,
    BadData,
    count_rules,
    describe,
    kinds,
    no_violations,
    violation_rows,
)
from pipeline.ingest.raw_rows import LineCounts, RawRows

SHOWN: Final = 3  # names of each kind in the one line of what took no part


@dataclass(frozen=True)
class FileSummary:
    """What one file holds: lines, rows (bad ones too), first and last real date, and columns that are not used.

    lines = header + rows + lines that continue a row + blank lines, and rows = kept + replaced + bad_rows. A row is
    replaced where another row has the same id: it says the same, or has the label.
    """

    name: str
    lines: LineCounts
    kept: int
    replaced: int
    bad_rows: int
    called_off: int  # of the bad rows: what never happened, which no limit counts
    first_date: date | None
    last_date: date | None
    unused_columns: tuple[str, ...]

    @property
    def counted(self) -> int:
        """The bad rows that limits count."""
        return self.bad_rows - self.called_off

    @property
    def rows(self) -> int:
        """All rows of the file, bad ones too."""
        return self.lines.rows + self.lines.bad


def reconcile_rows(
    raw: RawRows,
    parsed: pd.DataFrame,
    kept: pd.DataFrame,
    bad: Iterable[pd.DataFrame],
    n_replaced: int,
    called_off: pd.Index[int],
    time: str,
) -> tuple[FileSummary, ...]:
    """The summary of each file; `kept`, the tables of violations `bad` and `called_off` keep the index of `parsed`.

    `time` names its column of days.

    Raises AssertionError where a row is neither kept nor replaced nor bad, or more than one of these.
    """
    is_bad = np.zeros(len(parsed), dtype=np.bool_)
    for violations in bad:
        is_bad[violations.index] = True
    file_of_row = parsed[FILE].cat.codes.to_numpy()
    n_bad = np.bincount(file_of_row[is_bad], minlength=len(raw.files)).tolist()
    n_called_off = np.bincount(file_of_row[called_off], minlength=len(raw.files)).tolist()
    n_rows = np.bincount(file_of_row[kept.index], minlength=len(raw.files)).tolist()
    of_file = parsed.groupby(FILE, observed=False)[time]
    first, last = of_file.min().tolist(), of_file.max().tolist()
    summaries = tuple(
        FileSummary(
            file.name,
            file.counts,
            kept=n_rows[number],
            replaced=file.counts.rows - n_rows[number] - n_bad[number],
            bad_rows=n_bad[number] + file.counts.bad,
            called_off=n_called_off[number],
            first_date=None if pd.isna(first[number]) else first[number].date(),
            last_date=None if pd.isna(last[number]) else last[number].date(),
            unused_columns=file.columns.unused,
        )
        for number, file in enumerate(raw.files)
    )
    replaced = [summary.replaced for summary in summaries]
    if sum(replaced) != n_replaced or min(replaced) < 0 or is_bad[kept.index].any():
        raise AssertionError(f"{sum(replaced):,} rows are neither kept nor bad, and {n_replaced:,} were replaced")
    return summaries


def refuse_bad_rows(
    files: Sequence[FileSummary],
    judged: pd.DataFrame,
    quarantine: pd.DataFrame,
    max_share: float,
    max_share_of_file: float,
    late_rule: str = "",
    max_late: int = 0,
) -> None:
    """Raises BadData where too many rows of all files, or of one, are bad.

    `judged`: the violations of `quarantine` that the limits count, of which the message names the first. `late_rule`
    begins the rule of a value that is not there yet, of which a file may have `max_late`.
    """
    n_bad, n_rows = sum(file.counted for file in files), sum(file.rows for file in files)
    if n_bad > max_share * n_rows:
        raise BadData(
            f"{bad_share(n_bad, n_rows, max_share)}; {_commonest(judged)}; correct the files ({QUARANTINE_FILE} lists "
            "every row), or raise MaxBadRowShare",
            quarantine,
        )
    for file in files:
        if file.counted > max_share_of_file * file.rows:
            listed = judged[judged[BAD_FILE] == file.name]
            late = listed.loc[listed[RULE].str.startswith(late_rule), BAD_LINE].nunique()
            if late <= max_late and file.counted - late <= max_share_of_file * file.rows:
                continue  # a file a day is right although a label of its few rows comes late
            raise BadData(
                f"{file.name}: {bad_share(file.counted, file.rows, max_share_of_file)}; "
                f"{_commonest(listed)}; correct the file ({QUARANTINE_FILE} lists every row), remove it, or raise "
                "MaxBadRowShareOfFile",
                quarantine,
            )


def too_many_bad_rows(raw: RawRows, listed: pd.DataFrame, n_bad_rows: int = 0) -> BadData:
    """What to raise for more violations than are reported; `listed`: those that are, of lines and `n_bad_rows` rows."""
    n_lines = sum(file.counts.bad for file in raw.files)
    n_bad, n_rows = n_lines + n_bad_rows, n_lines + len(raw.rows)
    return BadData(
        f"{n_bad:,} of {n_rows:,} rows are bad ({n_bad / n_rows:.2%}), and more than {MAX_VIOLATIONS:,} violations are "
        f"never accepted; {_commonest(listed)}; correct the files ({QUARANTINE_FILE} lists the first of them)",
        listed,
    )


def _commonest(quarantine: pd.DataFrame) -> str:
    """The most common rule, by its first violation in the file that has most: old rows elsewhere are no cause."""
    counts = count_rules(quarantine)
    commonest, file = kinds(quarantine) == counts.index[0], quarantine[BAD_FILE]
    there = commonest & (file == file[commonest].mode()[0])
    first = quarantine.iloc[int(there.to_numpy(dtype=bool).argmax())]
    said = describe(first[BAD_FILE], first[BAD_LINE], first[COLUMN], first[VALUE], first[RULE])
    return f"most common ({counted(int(counts.iloc[0]), 'violation')}): {said}"


def took_no_part(files: Sequence[FileSummary], left_out: Sequence[LeftOut]) -> str:
    """Bad rows, files and columns that were not used, in one line; nothing where everything was."""
    n_bad = sum(file.bad_rows for file in files)
    entries = [f"{item.name} ({item.reason.partition(':')[0]})" for item in left_out]
    columns = list(dict.fromkeys(column or "(without a name)" for file in files for column in file.unused_columns))
    parts = [
        f"{counted(n_bad, 'bad row')} ({QUARANTINE_FILE})" if n_bad else "",
        some(entries, SHOWN),
        f"column{'s' * (len(columns) != 1)} {some(columns, SHOWN)}" if columns else "",
    ]
    return printable("; ".join(part for part in parts if part))


def lines_in_quarantine(raw: RawRows) -> pd.DataFrame:
    """The lines that are no rows, as QUARANTINE_COLUMNS; raises BadData for more than MAX_VIOLATIONS."""
    tables = [
        violation_rows(
            file.name, file.bad.numbers, "", file.bad.texts, file.bad.rules, index=pd.RangeIndex(len(file.bad.texts))
        )
        for file in raw.files
        if file.bad.n_lines
    ]
    lines = pd.concat(tables) if tables else no_violations()
    if sum(file.counts.bad for file in raw.files) > MAX_VIOLATIONS:
        raise too_many_bad_rows(raw, lines)
    return lines
