"""Files of declared columns to validated rows: what a workload without data.py gets.

Each value is read by its column's type and held against its allowed values or range. Rows of one id must say the same;
one with a label replaces the same row without. Rows from the as-of morning on have not happened, and no label is there
before its delay is over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.contract.names import ROW_ID, TARGET, TIME
from pipeline.contract.reasons import counted
from pipeline.contract.spec import Column, Spec
from pipeline.ingest.known import hide_labels, known_on
from pipeline.ingest.moments import HYPHEN, id_of, moment_of, shown_twice
from pipeline.ingest.quarantine import (
    FILE,
    LINE,
    BadData,
    Breach,
    RowRule,
    TooManyViolations,
    breaches_of,
    violations_of,
    with_remedies,
)
from pipeline.ingest.read_rows import read_folder
from pipeline.ingest.row_counts import lines_in_quarantine, reconcile_rows, refuse_bad_rows, too_many_bad_rows
from pipeline.ingest.validated import LoadRequest, ValidatedRows
from pipeline.ingest.values import ROUNDED_ID, ROUNDED_ID_RULE, day_of, day_remedy, given, number_remedy, reader_of

FIRST_TIME: Final = pd.Timestamp("1900-01-01")
YEARS_BY_DEFAULT: Final = np.timedelta64(3653, "D")
MAX_SHARE_BY_DEFAULT: Final = 0.01  # of the rows; where more are so old, they are history
ENOUGH_LABELS: Final = 100  # fewer may be alike by chance
_LOOSE_ID: Final = re.compile(r"^0+(?=[0-9])|(?<=[0-9])\.0+$")
_SPREADSHEET_MARKS: Final = re.compile(r"""^[='"]+|(?<!['"])['"]+$|(?<=[0-9]),(?=[0-9]{3})""")  # ="007", '007, 1,234
CLOCKS_SET_BACK: Final = "; write times that clocks show twice with their offset from UTC"


def load(spec: Spec, request: LoadRequest, rules: Sequence[RowRule] = ()) -> ValidatedRows:
    """Read and validate all files below the folder; raises BadData for data that must not be used.

    `rules` are the workload's own, of the rows by core's names for id, time and target.
    """
    columns = tuple(column for column in spec.columns if not column.made)
    raw = read_folder(request.folder, columns)
    bad_lines = lines_in_quarantine(raw)
    parsed, breaches = _parse(columns, raw.rows, request.time_zone)
    breaches += [*breaches_of(rules, parsed), *_odd_times(spec, parsed), *_odd_ids(spec, parsed)]
    try:
        violations = violations_of(breaches, raw.rows)
        sound = parsed.drop(index=violations.index.unique())
        kept, contradictions, n_superseded = _merge(spec, sound)
        found = violations_of([_contradiction(spec, contradictions, request.time_zone)], raw.rows)
    except TooManyViolations as error:
        raise too_many_bad_rows(raw, pd.concat([bad_lines, error.listed]), error.n_rows) from error
    n_duplicates = len(sound) - len(kept) - len(contradictions) - n_superseded
    files = reconcile_rows(
        raw, parsed, kept, (violations, found), n_duplicates + n_superseded, pd.Index([], dtype="int64"), TIME
    )
    quarantine = pd.concat([bad_lines, violations, found]).reset_index(drop=True)
    refuse_bad_rows(files, quarantine, quarantine, request.max_bad_row_share, request.max_bad_row_share_of_file)
    rows = kept.drop(columns=[FILE, LINE]).sort_values([TIME, ROW_ID], ignore_index=True)
    rows, n_hidden, n_labels_hidden = _as_known(spec, rows, request)
    day = rows[TIME].to_numpy().astype("datetime64[D]")
    due = known_on(day, np.datetime64(request.as_of), spec.label_delay_days) & rows[TARGET].isna().to_numpy()
    n_labelled = int(rows[TARGET].notna().sum())
    if n_labelled < (minimum := max(request.min_rows, 1)):
        later = f"{counted(n_hidden, 'is', 'are')} from that day on; " if n_hidden else ""
        raise BadData(
            f"{counted(n_labelled, f'{spec.row} has', f'{spec.rows} have')} a label that is known on {request.as_of}, "
            f"fewer than the minimum of {minimum:,}; {later}add older files, or lower MinRows",
            quarantine,
        )
    _refuse_one_label(spec, rows[TARGET].dropna(), quarantine)
    return ValidatedRows(
        rows=rows,
        quarantine=quarantine,
        files=files,
        left_out=raw.left_out,
        linked=raw.linked,
        n_rows_read=sum(file.rows for file in files),
        n_duplicates_collapsed=n_duplicates,
        n_superseded=n_superseded,
        n_bad_rows=sum(file.bad_rows for file in files),
        n_labels_hidden=n_labels_hidden,
        days_without_label=tuple(day[due].astype(object)),
        notes=((f"{spec.rows} from {request.as_of} on, which are not used: {n_hidden:,}",) if n_hidden else ()),
    )


def _refuse_one_label(spec: Spec, labels: pd.Series[Any], quarantine: pd.DataFrame) -> None:
    if len(labels) >= ENOUGH_LABELS and labels.nunique() == 1:
        name = spec.name_of("target")
        raise BadData(
            f"{name} is {labels.iloc[0]:g} in all of {len(labels):,} {spec.rows}, so that there is nothing to predict; "
            f"correct {name}, or add rows with another one",
            quarantine,
        )


def results(rows: pd.DataFrame) -> pa.Table:
    """The labelled rows with all their columns."""
    return pa.Table.from_pandas(rows[rows[TARGET].notna()], preserve_index=False).replace_schema_metadata(None)


def summary(rows: pd.DataFrame, labelled: pa.Table) -> dict[str, Any]:
    """Nothing besides core's counts; ids of simulated rows begin with SIM."""
    return {"simulated": bool(rows[ROW_ID].str.startswith("SIM").any()), "tables": []}


def join_inputs(rows: pd.DataFrame) -> list[str]:
    """There is nothing to join."""
    return []


def _parse(columns: Sequence[Column], raw: pd.DataFrame, time_zone: str) -> tuple[pd.DataFrame, list[Breach]]:
    """Values by core's names for id, time and target and by their own for the others, and what breaks a rule."""
    parsed = pd.DataFrame({FILE: raw[FILE], LINE: raw[LINE]}, index=raw.index)
    breaches: list[Breach] = []
    names = {"id": ROW_ID, "time": TIME, "target": TARGET}
    for column in columns:
        texts = [given(text) for text in raw[column.name].cat.categories.astype(object).tolist()]
        read, dtype, rule = reader_of(column, time_zone)
        values = [read(text) if text else None for text in texts]
        bad = np.array([bool(text) and value is None for text, value in zip(texts, values, strict=True)], dtype=bool)
        missing = np.array([not text for text in texts], dtype=bool)
        codes = raw[column.name].cat.codes.to_numpy()
        may_lack = column.missing or column.role == "target" or not column.required
        remedy = {"day": day_remedy, "number": number_remedy, "integer": number_remedy}.get(column.type)
        told = partial(with_remedies, rule, remedy) if remedy else rule
        breaches.append(Breach(raw.index[bad[codes]], column.name, told))
        if not may_lack:
            breaches.append(Breach(raw.index[missing[codes]], column.name, "is missing"))
        parsed[names.get(column.role, column.name)] = pd.array(values, dtype=dtype).take(codes)
    if ROW_ID not in parsed:
        (time,) = (column for column in columns if column.role == "time")
        parsed[ROW_ID] = _ids(time, raw[time.name], ZoneInfo(time_zone))
    return parsed, breaches


def _ids(time: Column, texts: pd.Series[Any], zone: ZoneInfo) -> Any:  # noqa: ANN401 - an array of pandas
    """The rows' days or moments: what tells rows apart that have no id."""
    categories = [given(text) for text in texts.cat.categories.astype(object).tolist()]
    if time.type == "moment":
        moments = [moment_of(text, zone) for text in categories]
        ids = [id_of(moment) if moment else "" for moment in moments]
    else:
        ids = [str(day_of(text, zone) or "") for text in categories]
    return pd.array(ids, dtype="str").take(texts.cat.codes.to_numpy())


def _odd_times(spec: Spec, rows: pd.DataFrame) -> list[Breach]:
    """Times of a year that was written with two digits, and a few rows long before all others: times by default."""
    (time,) = spec.of_role("time")
    early = rows[TIME] < FIRST_TIME
    times = rows.loc[~early, TIME].dropna().sort_values(kind="stable")
    few = times.head(int(MAX_SHARE_BY_DEFAULT * len(times)) + 1)
    jumps = np.flatnonzero(few.diff().to_numpy() > YEARS_BY_DEFAULT)
    default = few.index[: jumps[-1]] if len(jumps) else few.index[:0]
    return [
        Breach(
            rows.index[early.fillna(False)], time.name, f"is before {FIRST_TIME:%Y}; write the year with four digits"
        ),
        Breach(default, time.name, "is more than ten years before all other rows, as a time by default is; correct it"),
    ]


def _odd_ids(spec: Spec, rows: pd.DataFrame) -> Iterator[Breach]:
    """Ids that have lost digits; and of rows of one time, likely one row, ids that differ in case, zeros, dashes or a
    spreadsheet's marks alone."""
    for column in spec.of_role("id"):
        ids = rows[ROW_ID].astype("category")
        rounded = ids.cat.categories[ids.cat.categories.str.fullmatch(ROUNDED_ID)]
        yield Breach(rows.index[ids.isin(rounded)], column.name, ROUNDED_ID_RULE)
        plain = (_SPREADSHEET_MARKS.sub("", text.casefold().translate(HYPHEN)) for text in ids.cat.categories)
        loose = [_LOOSE_ID.sub("", text) for text in plain]
        if len(set(loose)) < len(loose):
            codes = pd.Series(pd.factorize(np.array(loose, dtype=object))[0][ids.cat.codes], index=rows.index)
            codes = codes[ids.notna()]
            spellings = (
                ids.cat.codes.loc[codes.index].groupby([codes, rows.loc[codes.index, TIME]]).transform("nunique")
            )
            rule = f"is the {column.name} of another row of that {spec.name_of('time')}, written in another way"
            yield Breach(spellings.index[spellings > 1], column.name, rule)


def _contradiction(spec: Spec, rows: pd.Index[int], time_zone: str) -> Breach:
    """Rows of one id, or of one time, that differ."""
    key = (*spec.of_role("id"), *spec.of_role("time"))[0]
    rule = f"contradicts another row of the same {key.name}"
    return Breach(rows, key.name, partial(_hint_at_clocks, rule, ZoneInfo(time_zone)) if key.type == "moment" else rule)


def _hint_at_clocks(rule: str, zone: ZoneInfo, texts: pd.Series[str]) -> list[str]:
    """The rule for each text; of times without offset that clocks show twice, with what to do."""
    return [rule + CLOCKS_SET_BACK * shown_twice(given(text), zone) for text in texts.astype(str).tolist()]


def _merge(spec: Spec, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.Index[int], int]:
    """One row an id; the index of rows that contradict each other; how many had no label where another has it."""
    own = [name for name in rows.columns if name not in (FILE, LINE)]
    rows = _fill_not_given(spec, rows)
    unique = rows.drop_duplicates(own)
    others = [name for name in own if name != TARGET]
    labelled_first = unique.sort_values(TARGET, na_position="last", kind="stable")
    superseded = labelled_first.index[labelled_first.duplicated(others) & labelled_first[TARGET].isna()]
    merged = unique.drop(index=superseded)
    twice = merged.duplicated(ROW_ID, keep=False)
    contradictions = rows[rows[ROW_ID].isin(merged.loc[twice, ROW_ID])].index
    return merged[~twice], contradictions, len(superseded.difference(contradictions))


def _fill_not_given(spec: Spec, rows: pd.DataFrame) -> pd.DataFrame:
    """What a row does not say in an optional column is what another row of its id says: no contradiction."""
    optional = [column.name for column in spec.columns if not column.required and not column.made]
    twice = rows[rows.duplicated(ROW_ID, keep=False)] if optional else rows[:0]
    if twice.empty:
        return rows
    said = twice.groupby(ROW_ID, sort=False)[optional].transform("first")
    return rows.assign(**{name: rows[name].where(rows[name].notna(), said[name]) for name in optional})


def _as_known(spec: Spec, rows: pd.DataFrame, request: LoadRequest) -> tuple[pd.DataFrame, int, int]:
    """The rows as known on the as-of morning, how many had not happened, and how many labels were not known."""
    morning = np.datetime64(request.as_of)
    day = rows[TIME].to_numpy().astype("datetime64[D]")
    happened = (day < morning) | spec.announced
    known = hide_labels(spec, rows, morning)
    n_labels_hidden = int((rows[TARGET].notna() & known[TARGET].isna() & happened).sum())
    return known[happened].reset_index(drop=True), int((~happened).sum()), n_labels_hidden
