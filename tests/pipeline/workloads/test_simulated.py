"""Simulated rows: within their declaration, with a past that never changes, and called simulated."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from pipeline.contract.spec import Column, Spec, Task
from pipeline.ingest.declared import load
from pipeline.ingest.validated import LoadRequest, ValidatedRows
from pipeline.workloads.simulated import FILE, simulate

COLUMNS = (
    Column("row", role="id", type="text"),
    Column("at", role="time", type="moment"),
    Column("region", role="group", type="text"),
    Column("plan", type="category", values=("basic", "premium"), missing=True),
    Column("fee", low=0, high=90),
    Column("tickets", type="integer", low=0, high=9, missing=True),
    Column("since", type="integer", low=2000),
    Column("paid", type="flag"),
)


def spec(task: Task, *, announced: bool = False) -> Spec:
    kind = Column("y", role="target", type="flag") if task == "binary" else Column("y", role="target", low=0, high=100)
    return Spec(
        *("flow", "Flow", "row", "rows", task, "y", "p", (*COLUMNS, kind), "mean", "mean", "UTC", "rows", "day"),
        label_delay_days=10,
        announced=announced,
    )


def write(folder: Path, rows: Spec, as_of: date) -> pd.DataFrame:
    simulate(rows, folder, as_of, 1, since=date(2024, 11, 1), rows_a_day=5, mean=0.3, spread=20.0)
    return pd.read_csv(folder / FILE, dtype=str, keep_default_na=False)


def loaded(folder: Path, rows: Spec, as_of: date) -> ValidatedRows:
    return load(rows, LoadRequest(folder, as_of, as_of, 0.0, 0.0, time_zone=rows.time_zone))


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_every_row_keeps_its_declaration_and_no_label_is_there_before_its_time(task: Task, tmp_path: Path) -> None:
    written = write(tmp_path, spec(task), date(2025, 3, 1))
    found = loaded(tmp_path, spec(task), date(2025, 3, 1))
    assert len(found.rows) == len(written) == 5 * 120
    assert found.n_labels_hidden == 0
    assert set(written.loc[written["y"] == "", "at"].str[:10]) == {f"2025-02-{day}" for day in range(19, 29)}
    assert (written[["plan", "tickets"]] == "").any().all()


def test_a_later_day_adds_rows_and_labels_and_changes_none(tmp_path: Path) -> None:
    early = write(tmp_path / "early", spec("binary"), date(2025, 2, 10))
    late = write(tmp_path / "late", spec("binary"), date(2025, 3, 1)).head(len(early))
    assert early.drop(columns="y").equals(late.drop(columns="y"))
    known = early["y"] != ""
    assert known.any()
    assert early.loc[known, "y"].equals(late.loc[known, "y"])


def test_announced_rows_are_there_before_they_happen(tmp_path: Path) -> None:
    written = write(tmp_path, spec("regression", announced=True), date(2025, 3, 1))
    assert written["at"].max()[:10] == "2025-03-07"


def test_the_target_depends_on_the_features(tmp_path: Path) -> None:
    rows = write(tmp_path, spec("regression"), date(2025, 3, 1))
    labelled = rows[rows["y"] != ""]
    assert labelled["fee"].astype(float).corr(labelled["y"].astype(float)) > 0.2
