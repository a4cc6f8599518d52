"""Checks of time: nothing sees what was not known yet."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from contract_tests.subject import (
    AS_OF,
    WALK_FORWARD_ROWS,
    Days,
    Subject,
    days_of,
    difference,
    ids_of,
)
from pipeline.contract import names as c
from pipeline.ingest.validated import rows_digest
from pipeline.training.model import Hyperparameters
from pipeline.training.training_sets import feature_layout
from pipeline.training.walk_forward import walk_forward

# Share of the constant's loss that noise may seem to remove, and that a model of the sample must remove.
NO_SKILL: Final = 0.02


def features_do_not_see_the_future(s: Subject) -> None:
    """Features of a row are the same bytes on its morning, when its label is known, and with all later rows there."""
    morning, columns = np.datetime64(s.cut), feature_layout(s.tables.labelled.schema).features
    then = s.tables_of(s.load(s.sample_of(AS_OF), s.cut).rows, s.cut)
    for table in (then.labelled, then.upcoming):
        found = difference(table, s.tables.labelled, columns, ids_of(table, days_of(table) <= morning))
        if found:
            s.fail("features.py", f"the feature {found} once later labels and rows than of {s.cut} are there")


def baseline_does_not_see_the_future(s: Subject) -> None:
    """No forecast changes with labels that were not known on the row's day; each is a number."""
    asked = ids_of(s.results, days_of(s.results) <= np.datetime64(s.cut))[-WALK_FORWARD_ROWS:]
    before = s.forecast(s.results, asked)
    after = s.forecast(s.workload.data.results(s.with_outcomes_changed(~s.known(s.rows, s.cut))), asked)
    unequal = np.flatnonzero(before != after)
    if unequal.size:
        at = int(unequal[0])
        found = f"{asked[at]} is {before[at]}, and {after[at]}"
        s.fail(
            "baseline.py", f"the forecast of row {found}, when labels change that are known after {s.cut}: it sees them"
        )
    s.workload.baseline.fallback(s.tables.upcoming)  # raises for what is no number


def permuted_labels_lose_the_skill(s: Subject) -> None:
    """Features made of rows whose labels are dealt out again predict no more than the mean; those of the sample do."""
    real = s.skill(s.artifact.walk_forward)
    if real < NO_SKILL:
        s.fail("sample.py", f"the model removes {real:.1%} of the constant's loss: the sample teaches it nothing")
    table = s.tables_of(s.with_outcomes_changed(np.ones(len(s.rows), dtype=bool))).labelled
    settings = s.settings
    n_rows = int(settings.pop("walk_forward_rows"))
    config = Hyperparameters.from_strings(settings)
    skill = s.skill(walk_forward(table, config, n_rows, delay_days=s.spec.label_delay_days))
    if skill > NO_SKILL:
        s.fail("features.py", f"with permuted labels the skill is {skill:.1%}: a feature sees the row's own label")


def labels_wait_for_their_delay(s: Subject) -> None:
    """On each morning, no label is trained or judged on that was not known then."""
    delay = s.spec.label_delay_days
    for as_of in (s.cut, AS_OF):
        rows = s.load(s.sample_of(AS_OF), as_of).rows
        labelled = rows[rows[c.TARGET].notna()]
        tables = s.tables_of(rows, as_of)
        for where, found in (
            ("data.py: load", labelled),
            ("data.py: results", s.workload.data.results(rows)),
            ("features.py: features", tables.labelled),
        ):
            late = np.flatnonzero(~s.known(found, as_of))
            if late.size:
                s.fail(where, f"has a label of {days_of(found)[late[0]]} on {as_of}, {delay} days are not over")
    walked = s.artifact.walk_forward
    if walked.num_rows == 0:
        s.fail("sample.py", "no month of the sample has 500 known rows before it: nothing is ever evaluated")
    month: Days = days_of(walked).astype("datetime64[M]").astype("datetime64[D]")
    if np.any(days_of(walked, c.TRAINED_BEFORE) + np.timedelta64(delay, "D") > month):
        s.fail("spec.py", f"a walk-forward prediction saw labels of the {delay} days before its month")


def a_later_sample_only_adds(s: Subject) -> None:
    """As of an earlier morning, the files of a later sample say the same as those that were written then."""
    earlier = AS_OF - timedelta(days=40)
    then, now = (s.load(s.sample_of(as_of), earlier).rows for as_of in (earlier, AS_OF))
    past = [rows[days_of(rows) < np.datetime64(earlier)].reset_index(drop=True) for rows in (then, now)]
    if rows_digest(past[0]) == rows_digest(past[1]):
        return
    tables = [pa.Table.from_pandas(rows, preserve_index=False) for rows in past]
    found = (
        difference(tables[0], tables[1], list(past[0].columns.drop(c.ROW_ID)), ids_of(tables[0]))
        or "there are rows more"
    )
    s.fail("sample.py", f"as of {earlier}, {found} in the sample of {AS_OF}: its past must not change")
