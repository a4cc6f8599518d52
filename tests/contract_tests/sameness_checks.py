"""Checks of sameness: again, in another order, on two hosts, read from disk, and served."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray
from training_hosts import finish, start

import pipeline.workloads
from contract_tests.subject import (
    AS_OF,
    Subject,
    ids_of,
    read_cells,
    write_cells,
)
from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.contract.feature_layout import FeatureTables
from pipeline.evaluation.metrics import row_losses
from pipeline.ingest.validated import rows_digest
from pipeline.serving.requests import BadRequestError
from pipeline.serving.serialization import JSON, READERS
from pipeline.training.artifact import read_artifact, write_artifact
from pipeline.training.model import predict, predict_quantiles
from pipeline.training.training_sets import feature_matrix

# As docs/scaling.md: rounding, the draw of rows, and a quantile's leaf that is the mean of the hosts' own.
HOST_TOLERANCE: Final = {"binary": 0.002, "regression": 0.02}
MOST_SERVED: Final = 60  # rows, each of which is asked for alone, too


def digest(tables: FeatureTables) -> str:
    """SHA-256 of the features' bytes, the layout and the state."""
    written = BytesIO()
    for table in (tables.labelled, tables.upcoming):
        pq.write_table(table, written)
    return hashlib.sha256(written.getvalue() + (tables.state or b"")).hexdigest()


_DIGEST: Final = """
import sys
import tarfile
from pathlib import Path
import pipeline.workloads
pipeline.workloads.__path__[:] = sys.argv[3:]
from contract_tests.sameness_checks import digest
from contract_tests.subject import Subject
subject = Subject(sys.argv[1], Path(sys.argv[2]))
print(digest(subject.tables))
"""


def features_are_deterministic(s: Subject) -> None:
    """The same bytes of features again, in a process of another hash seed and time zone; the same predictions."""
    if digest(s.tables) != digest(s.tables_of(s.load(s.sample_of(AS_OF)).rows)):
        s.fail("features.py", "the same rows gave other features the second time: seed what is drawn")
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _DIGEST, s.name, str(s.folder), *pipeline.workloads.__path__],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'tests'}", "PYTHONHASHSEED": "7", "TZ": "Pacific/Kiritimati"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if done.stdout.strip() != digest(s.tables):
        s.fail("features.py", "another process (hash seed, time zone) made other features of the same rows: sort sets")


def training_is_deterministic(s: Subject) -> None:
    """The same input gives the same predictions."""
    again = s.trained("again")
    if not again.walk_forward.equals(s.artifact.walk_forward):
        s.fail("spec.py", "training twice on the same features gave other walk-forward predictions")


def order_does_not_matter(s: Subject) -> None:
    """The same rows and features whatever the order of lines, and in whichever files they are."""
    folder = s.folder / "shuffled"
    for number, path in enumerate(s.csv_files()):
        header, *lines = read_cells(path)
        lines = [lines[at] for at in np.random.default_rng(number).permutation(len(lines))]
        half = len(lines) // 2
        target = folder / path.relative_to(s.sample_of(AS_OF))
        write_cells(target.with_name(f"z{number}-{path.name}"), [header, *lines[:half]])
        write_cells(target.with_name(f"a{number}-{path.name}"), [header, *lines[half:]])
    rows = s.load(folder).rows
    if rows_digest(rows) != rows_digest(s.rows):
        s.fail(
            "data.py", "the rows depend on the order of lines or files: sort by time and id, and drop no order's first"
        )
    if digest(s.tables_of(rows)) != digest(s.tables):
        s.fail("features.py", "the features depend on the order of lines or files")


def two_hosts_train_as_one(s: Subject) -> None:
    """The same rows, checkpoints and constants, and one host's loss: within the tolerance, and chance on these rows."""
    hosts = start(
        s.folder / "hosts", s.prepared() / c.FEATURES_CHANNEL, ("algo-1", "algo-2"), training_config=s.settings
    )
    assert finish(hosts) == [0, 0], [host.log for host in hosts]
    together = read_artifact(hosts[0].base / c.MODEL_CHANNEL)
    kept = [c.ROW_ID, c.TARGET, c.P_CONSTANT, c.TRAINED_BEFORE]
    if not together.walk_forward.select(kept).equals(s.artifact.walk_forward.select(kept)):
        s.fail("features.py", "two hosts judged other rows than one")
    target = s.artifact.walk_forward[c.TARGET].to_numpy().astype(np.float64)
    two, one = (
        row_losses(s.spec.task, artifact.walk_forward[c.PREDICTION].to_numpy(), target)
        for artifact in (together, s.artifact)
    )
    chance = 3 * float((two - one).std()) / len(target) ** 0.5
    if abs(two.mean() - one.mean()) > HOST_TOLERANCE[s.spec.task] * one.mean() + chance:
        s.fail("features.py", f"two hosts' walk-forward predictions lose {two.mean():.5g}, and one's {one.mean():.5g}")


def saved_models_predict_the_same(s: Subject) -> None:
    """The same predictions and state after writing and reading; a file that is not the one written is refused."""
    folder = s.folder / "model"
    write_artifact(folder, s.artifact)
    again, matrix = read_artifact(folder), feature_matrix(s.tables.upcoming)
    if not np.array_equal(predict(again.booster, matrix), predict(s.artifact.booster, matrix)):
        s.fail("features.py", "the saved model predicts otherwise than the trained one")
    if again.quantile_booster and s.artifact.quantile_booster:
        trained = predict_quantiles(s.artifact.quantile_booster, matrix)
        if not np.array_equal(predict_quantiles(again.quantile_booster, matrix), trained):
            s.fail("features.py", "the saved model predicts other quantiles than the trained one")
    if (again.card, again.walk_forward, again.state) != (s.artifact.card, s.artifact.walk_forward, s.artifact.state):
        s.fail("features.py", "the saved card, walk-forward predictions or state are not those of the trained model")
    for path in sorted(set(folder.iterdir()) - {folder / c.DIGESTS_FILE}):
        sound = path.read_bytes()
        path.write_bytes(sound + b" ")
        try:
            read_artifact(folder)
        except StepError as error:
            assert path.name in str(error), str(error)
        else:
            s.fail("model", f"{path.name} was changed, and read all the same: its digest is not verified")
        path.write_bytes(sound)


def served_predictions_equal_the_batch(s: Subject) -> None:
    """The server answers rows together, in another order and alone as Predict predicts the upcoming rows."""
    upcoming = s.tables.upcoming
    if not upcoming.num_rows:
        s.fail("sample.py", f"there is no upcoming {s.spec.row} on {AS_OF}: nothing would ever be predicted")
    matrix, booster = feature_matrix(upcoming), s.artifact.quantile_booster
    batch = {s.spec.prediction: predict(s.artifact.booster, matrix)}
    if booster:
        batch |= dict(zip(s.artifact.card.layout.quantile_columns, predict_quantiles(booster, matrix).T, strict=True))
    rows = np.arange(min(upcoming.num_rows, MOST_SERVED))
    for part in (rows, rows[::-1], *np.split(rows, len(rows))):
        ids = ids_of(upcoming, part)
        answered = answers(s, ids)
        for name, served in answered.items():
            unequal = np.flatnonzero(~np.isclose(served, batch[name][part], rtol=1e-5, atol=1e-7))
            if unequal.size:
                at = int(unequal[0])
                found = f"{served[at]} served, and {batch[name][part][at]} in batch"
                s.fail("serving.py", f"{name} of row {ids[at]}, one of {len(ids)} that are asked for, is {found}")


def answers(s: Subject, ids: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Predictions by column of the rows, from a body of JSON."""
    try:
        format = s.predictor.requests.format
        rows = requests_of(s, ids, (*format.required, *format.optional))
        answer = s.predictor.answer(READERS[JSON](bytearray(json.dumps({s.spec.rows: rows}).encode()), format))
    except (StepError, BadRequestError) as error:
        s.fail("serving.py", f"the upcoming {s.spec.rows} cannot be served: {error}")
    return {s.spec.prediction: answer.predictions, **answer.quantiles}


def requests_of(s: Subject, ids: Sequence[str], names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows' own columns, or else the features that are made of them, as JSON has them; without the missing ones."""
    core = {s.spec.name_of("id"): c.ROW_ID, s.spec.name_of("time"): c.TIME}
    types = {column.name: column.type for column in s.spec.columns}
    rows = s.rows.set_index(s.rows[c.ROW_ID]).loc[list(ids)]
    made = s.tables.upcoming.to_pandas().set_index(c.ROW_ID).loc[list(ids)]
    columns = {}
    for name in names:
        own = name if name in rows or name in made else core.get(name, name)
        if own in rows or own in made:
            columns[name] = (rows if own in rows else made)[own]

    def text(name: str, value: Any) -> Any:
        if isinstance(value, pd.Timestamp):
            return str(value) if types.get(name) == "moment" else str(value.date())
        return value.item() if isinstance(value, np.generic) else value

    return [
        {name: text(name, values.iloc[row]) for name, values in columns.items() if not pd.isna(values.iloc[row])}
        for row in range(len(rows))
    ]
