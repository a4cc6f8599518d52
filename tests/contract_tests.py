"""The conformance suite of a workload: what core promises of every one of them, on the workload's own sample.

One line in a workload's tests runs it, as scikit-learn's check_estimator does for an estimator:

    TestContract = contract_tests("nba")

Each check raises AssertionError with a sentence that names what is wrong and where.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from training_hosts import finish, lay_out, start

import pipeline.workloads
from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.contract.gates import PROMOTION_LIMITS, number_at, quality_limits
from pipeline.contract.metrics import metrics_of
from pipeline.contract.parameters import HYPERPARAMETERS, parameters_of, snake_case
from pipeline.contract.spec import Column, Spec
from pipeline.contract.workload import FeatureTables, Workload, load_workload
from pipeline.evaluation.evaluation import evaluate
from pipeline.evaluation.metrics import row_losses
from pipeline.evaluation.report import render
from pipeline.ingest.known import known_on
from pipeline.ingest.quarantine import BadData
from pipeline.ingest.validated import LoadRequest, ValidatedRows, rows_digest
from pipeline.jobs.limits import default_limits
from pipeline.jobs.prepare import data_summary, own_parameters, write_features
from pipeline.jobs.train import train
from pipeline.serving.bodies import JSON, READERS
from pipeline.serving.forecaster import Forecaster
from pipeline.serving.requests import BadRequestError
from pipeline.training.artifact import Artifact, read_artifact, write_artifact
from pipeline.training.champion import Champion
from pipeline.training.distributed.cluster import Cluster
from pipeline.training.model import Hyperparameters, predict, predict_quantiles
from pipeline.training.training_sets import feature_layout, feature_matrix
from pipeline.training.walk_forward import walk_forward

AS_OF: Final = date.fromisoformat(c.SAMPLE_AS_OF)
WALK_FORWARD_ROWS: Final = 600  # at most: enough to see a skill, few enough to fit quickly
# Share of the constant's loss that noise may seem to remove, and that a model of the sample must remove.
NO_SKILL: Final = 0.02
# As docs/scaling.md: rounding, the draw of rows, and a quantile's leaf that is the mean of the hosts' own.
HOST_TOLERANCE: Final = {"binary": 0.002, "regression": 0.02}
MOST_SERVED: Final = 60  # rows, each of which is asked for alone, too
ROWS_OF_DAMAGE: Final = 80  # of a file whose cells are damaged

Days = NDArray[np.datetime64]


def days_of(rows: pd.DataFrame | pa.Table, name: str = c.TIME) -> Days:
    """Column of moments as days."""
    return rows[name].to_numpy().astype("datetime64[D]")


@dataclass
class Subject:
    """A workload, its sample and what core makes of it: each part is made when a check first asks for it."""

    name: str
    folder: Path

    @cached_property
    def workload(self) -> Workload:
        return load_workload(self.name)

    @property
    def spec(self) -> Spec:
        return self.workload.spec

    def fail(self, module: str, problem: str) -> NoReturn:
        """Raise AssertionError that names the file."""
        raise AssertionError(f"{self.name}/{module}: {problem}")

    def sample_of(self, as_of: date) -> Path:
        folder = self.folder / f"sample-{as_of}"
        return folder if folder.exists() else self.workload.sample.write(folder, as_of)

    def load(self, folder: Path, as_of: date = AS_OF) -> ValidatedRows:
        return self.workload.data.load(self.spec, LoadRequest(folder, as_of=as_of, today=AS_OF))

    def tables_of(self, rows: pd.DataFrame, as_of: date = AS_OF) -> FeatureTables:
        return self.workload.features.features(self.spec, rows, as_of, own_parameters(self.spec, ()))

    @cached_property
    def validated(self) -> ValidatedRows:
        return self.load(self.sample_of(AS_OF))

    @property
    def rows(self) -> pd.DataFrame:
        """As of AS_OF, labelled or not, in order of time."""
        return self.validated.rows

    @cached_property
    def tables(self) -> FeatureTables:
        return self.tables_of(self.rows)

    @cached_property
    def cut(self) -> date:
        """The first labelled day of a month, with three quarters of the labelled months before it."""
        days = days_of(self.tables.labelled)
        months, first = np.unique(days.astype("datetime64[M]"), return_index=True)
        found: date = days[first[3 * len(months) // 4]].item()
        return found

    def known(self, rows: pd.DataFrame | pa.Table, morning: date) -> NDArray[np.bool_]:
        return known_on(days_of(rows), np.datetime64(morning), self.spec.label_delay_days)

    def with_outcomes_changed(self, where: NDArray[np.bool_], seed: int = 1) -> pd.DataFrame:
        """The rows with what was not known before the event dealt out again among the labelled ones of `where`.

        That is the target, and each column that no row without a label has (the points that a target is made of).
        """
        rows, labelled = self.rows, self.rows[c.TARGET].notna().to_numpy()
        roles = {column.name: column.role for column in self.spec.columns}
        outcomes = [
            name
            for name in rows.columns
            if roles.get(name) != "feature" and not rows.loc[~labelled, name].notna().any()
        ]
        chosen, order = np.flatnonzero(where & labelled), np.arange(len(rows))
        order[chosen] = np.random.default_rng(seed).permutation(chosen)
        dealt = outcomes if (~labelled).any() else [c.TARGET]
        return rows.assign(**{name: rows[name].iloc[order].array for name in dealt})

    @property
    def settings(self) -> dict[str, str]:
        """What a training job is told: the workload's hyperparameters, and few walk-forward rows."""
        defaults = parameters_of(self.spec).defaults
        found = {snake_case(parameter.name): str(defaults[parameter.name]) for parameter in HYPERPARAMETERS}
        return {**found, "walk_forward_rows": str(min(WALK_FORWARD_ROWS, int(defaults["WalkForwardRows"])))}

    @cached_property
    def channel(self) -> Path:
        """A training job's input, as Prepare writes it."""
        folder = self.folder / "features"
        folder.mkdir(parents=True)
        facts = {
            "as_of_date": str(AS_OF),
            "fingerprint": "f",
            "feature_signature": self.workload.features.signature(self.spec),
            "time_zone": self.spec.time_zone,
            "label_delay_days": str(self.spec.label_delay_days),
        }
        write_features(folder / c.FEATURES_FILE, self.tables.labelled, facts)
        if self.tables.state:
            (folder / c.STATE_FILE).write_bytes(self.tables.state)
        return folder

    @cached_property
    def artifact(self) -> Artifact:
        """Trained in this process, as on one host."""
        with pytest.MonkeyPatch.context() as patch:
            lay_out(self.folder / "one-host", self.channel, patch, **self.settings)
            return train(Cluster())

    @cached_property
    def forecaster(self) -> Forecaster:
        return Forecaster(self.artifact, "1", 7, workload=self.workload)

    @cached_property
    def results(self) -> pa.Table:
        return self.workload.data.results(self.rows)

    def forecast(self, results: pa.Table, ids: Sequence[str]) -> NDArray[np.float64]:
        return self.workload.baseline.forecast(results, ids, date.fromisoformat(str(days_of(self.results)[0])))

    def skill(self, walked: pa.Table) -> float:
        """Share of the constant's loss that walk-forward predictions remove."""
        target = walked[c.TARGET].to_numpy().astype(np.float64)
        loss, least = (
            row_losses(self.spec.task, walked[name].to_numpy(), target).mean() for name in (c.PREDICTION, c.P_CONSTANT)
        )
        return float(1 - loss / least)

    def csv_files(self) -> list[Path]:
        found = sorted(self.sample_of(AS_OF).rglob("*.csv"))
        if not found:
            self.fail("sample.py", "writes no CSV file: write one at least, so that its cells can be damaged")
        return found


def difference(before: pa.Table, after: pa.Table, columns: Sequence[str], ids: Sequence[str]) -> str:
    """The first value of the rows `ids` that differs between two tables, in words; empty where all are the same."""
    one, other = (table.select([c.ROW_ID, *columns]).to_pandas().set_index(c.ROW_ID) for table in (before, after))
    missing = [row for row in ids if row not in other.index]
    if missing:
        return f"row {missing[0]} is missing"
    for name in columns:
        a, b = one.loc[list(ids), name].astype(object), other.loc[list(ids), name].astype(object)
        unequal = np.flatnonzero(~((a == b) | (a.isna() & b.isna())).to_numpy(dtype=bool))
        if unequal.size:
            at = int(unequal[0])
            return f"{name} of row {ids[at]} is {a.iloc[at]}, and then {b.iloc[at]}"
    return ""


def ids_of(table: pa.Table, where: NDArray[np.bool_] | slice = slice(None)) -> list[str]:
    return list(table[c.ROW_ID].to_numpy(zero_copy_only=False)[where])


def features_do_not_see_the_future(s: Subject) -> None:
    """Features of a row are the same bytes on its morning, when its label is known, and with all later rows there."""
    morning, columns = np.datetime64(s.cut), feature_layout(s.tables.labelled.schema).features
    then = s.tables_of(s.load(s.sample_of(AS_OF), s.cut).rows, s.cut)
    for table in (then.labelled, then.upcoming):
        found = difference(table, s.tables.labelled, columns, ids_of(table, days_of(table) <= morning))
        if found:
            s.fail("features.py", f"the feature {found} once later labels and rows than of {s.cut} are there")


def baseline_does_not_see_the_future(s: Subject) -> None:
    """No forecast changes with labels that were not known on the row's day; one for each row."""
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
    fallback = s.workload.baseline.fallback(s.tables.upcoming)
    for name, values, rows in (("forecast", before, len(asked)), ("fallback", fallback, s.tables.upcoming.num_rows)):
        if np.shape(values) != (rows,) or not np.isfinite(values).all():
            s.fail("baseline.py", f"{name} gives {np.shape(values)} values for {rows} rows, or one that is not finite")


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


def digest(tables: FeatureTables) -> str:
    """SHA-256 of the features' bytes, the layout and the state."""
    written = BytesIO()
    for table in (tables.labelled, tables.upcoming):
        pq.write_table(table, written)
    return hashlib.sha256(written.getvalue() + (tables.state or b"")).hexdigest()


_DIGEST: Final = """
import sys
from pathlib import Path
import pipeline.workloads
pipeline.workloads.__path__[:] = sys.argv[3:]
from contract_tests import Subject, digest
subject = Subject(sys.argv[1], Path(sys.argv[2]))
print(digest(subject.tables))
"""


def features_are_deterministic(s: Subject) -> None:
    """The same bytes of features again, in a process of another hash seed and time zone; the same predictions."""
    if digest(s.tables) != digest(s.tables_of(s.load(s.sample_of(AS_OF)).rows)):
        s.fail("features.py", "the same rows gave other features the second time: seed what is drawn")
    root = Path(__file__).resolve().parents[1]
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
    with pytest.MonkeyPatch.context() as patch:
        lay_out(s.folder / "again", s.channel, patch, **s.settings)
        again = train(Cluster())
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


def read_cells(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def write_cells(path: Path, lines: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


def two_hosts_train_as_one(s: Subject) -> None:
    """The same rows, checkpoints and constants, and the loss of one host within the documented tolerance."""
    hosts = start(s.folder / "hosts", s.channel, ("algo-1", "algo-2"), training_config=s.settings)
    assert finish(hosts) == [0, 0], [host.log for host in hosts]
    together = read_artifact(hosts[0].base / c.MODEL_CHANNEL)
    kept = [c.ROW_ID, c.TARGET, c.P_CONSTANT, c.TRAINED_BEFORE]
    if not together.walk_forward.select(kept).equals(s.artifact.walk_forward.select(kept)):
        s.fail("features.py", "two hosts judged other rows than one")
    target = s.artifact.walk_forward[c.TARGET].to_numpy().astype(np.float64)
    two, one = (
        row_losses(s.spec.task, artifact.walk_forward[c.PREDICTION].to_numpy(), target).mean()
        for artifact in (together, s.artifact)
    )
    if abs(two / one - 1) > HOST_TOLERANCE[s.spec.task]:
        s.fail("features.py", f"two hosts' walk-forward predictions lose {two:.5g}, and one's {one:.5g}")


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
        format = s.forecaster.requests.format
        rows = requests_of(s, ids, (*format.required, *format.optional))
        answer = s.forecaster.answer(READERS[JSON](bytearray(json.dumps({s.spec.rows: rows}).encode()), format))
    except (StepError, BadRequestError) as error:
        s.fail("serving.py", f"the upcoming {s.spec.rows} cannot be served: {error}")
    return {s.spec.prediction: answer.predictions, **answer.quantiles}


def requests_of(s: Subject, ids: Sequence[str], names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows' own columns, and those made of other rows, as JSON has them; without the missing ones."""
    core = {s.spec.name_of("id"): c.ROW_ID, s.spec.name_of("time"): c.TIME}
    types = {column.name: column.type for column in s.spec.columns}
    rows = s.rows.set_index(s.rows[c.ROW_ID]).loc[list(ids)]
    made = s.tables.upcoming.to_pandas().set_index(c.ROW_ID).loc[list(ids)]
    known = {**made, **rows, **{name: rows[own] for name, own in core.items()}}
    columns = {name: known[name] for name in names if name in known}

    def text(name: str, value: Any) -> Any:
        if isinstance(value, pd.Timestamp):
            return str(value) if types.get(name) == "moment" else str(value.date())
        return value.item() if isinstance(value, np.generic) else value

    return [
        {name: text(name, values.iloc[row]) for name, values in columns.items() if not pd.isna(values.iloc[row])}
        for row in range(len(rows))
    ]


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


def limits_and_metrics_are_in_the_evaluation(s: Subject) -> None:
    """Each limit's number is in evaluation.json, and so is each metric that the report shows."""
    signature, limits = s.workload.features.signature(s.spec), default_limits(s.spec)
    given = (s.workload, s.artifact, Champion("1", s.artifact, {}), s.tables.labelled, s.results)
    try:
        numbers = evaluate(*given, feature_signature=signature, limits=limits)
    except KeyError as error:
        s.fail("spec.py", f"a limit compares a number that is not there: {error.args[0]}")
    for limit in (*quality_limits(s.spec), *PROMOTION_LIMITS):
        number_at(numbers, limit.path)
    for metric in metrics_of(s.spec):
        if metric.key not in numbers["metrics"][c.CANDIDATE]:
            s.fail("spec.py", f"the report shows {metric.key}, which the candidate's metrics do not have")
    if numbers["comparison"]["difference"]["mean"]:
        s.fail("features.py", f"a model compared with itself differs by {numbers['comparison']['difference']['mean']}")
    facts = {"as_of_date": str(AS_OF), "trigger": "", "versions": {}, "training_config": s.settings, "fingerprint": "f"}
    labelled, own = s.rows[s.rows[c.TARGET].notna()], s.workload.data.summary(s.rows, s.tables.labelled)
    data = {**data_summary(s.spec, s.validated, labelled, len(labelled), AS_OF), "tables": own["tables"]}
    assert s.spec.title in render({**facts, **numbers, "simulated": own["simulated"], "data": data, "summary": ""})


def damages(column: Column) -> Iterator[tuple[str, str]]:
    """What may be wrong with a cell of the column, and such a cell."""
    if column.type in ("number", "integer", "flag", "day", "moment"):
        yield "a wrong type", "%%"
    if column.type in ("day", "moment"):
        yield "a day that does not exist", "2024-02-30"
    if column.low is not None:
        yield "below its range", f"{column.low - 1:g}"
    if column.high is not None:
        yield "above its range", f"{column.high + 1:g}"
    if column.type == "integer":
        yield "no whole number", "1.5"
    if column.values:
        yield "a value that is not allowed", "%%"
    if column.required and not column.missing and column.role != "target":
        yield "missing", ""


def bad_columns_are_refused(s: Subject) -> None:
    """A missing column is refused by file and name, a bad cell by file, line, column, value and rule."""
    source = s.csv_files()[0]
    header, *lines = read_cells(source)
    lines = lines[:ROWS_OF_DAMAGE]
    here = [column for column in s.spec.columns if column.name in header]
    for column in here:
        if column.required:
            place, at = s.folder / "missing" / column.name, header.index(column.name)
            write_cells(place / source.name, [[*line[:at], *line[at + 1 :]] for line in (header, *lines)])
            try:
                s.load(place)
                says = "nothing"
            except BadData as error:
                says = str(error)
            if source.name not in says or column.name not in says:
                s.fail("data.py", f"{source.name} without the column {column.name} is not refused by name, but: {says}")
    planned = [(column, kind, text) for column in here for kind, text in damages(column)]
    for line, (column, _, text) in zip(lines[1:], planned, strict=False):
        line[header.index(column.name)] = text
    write_cells(s.folder / "damaged" / source.name, [header, *lines])
    quarantine = s.load(s.folder / "damaged").quarantine
    named = set(zip(*(quarantine[name] for name in ("file", "line", "column", "value")), strict=True))
    for line_number, (column, kind, text) in enumerate(planned, 3):
        if (source.name, line_number, column.name, text) not in named:
            s.fail("data.py", f'{column.name} "{text}" ({kind}) in line {line_number} is not in quarantine.csv')
    assert quarantine["rule"].ne("").all()


def only_features_are_features(s: Subject) -> None:
    """No id, time, target or group is a feature, by name or under another."""
    table, roles = s.tables.labelled, {column.name: column.role for column in s.spec.columns}
    layout = feature_layout(table.schema)
    core = {c.ROW_ID: "id", c.TIME: "time", c.TARGET: "target"}
    for name in layout.features:
        if (role := core.get(name) or roles.get(name, "feature")) in ("id", "time", "target", "group"):
            s.fail("features.py", f"{name} has the role {role}, and is a feature")
    frame = table.to_pandas()
    rows = s.rows.set_index(c.ROW_ID, drop=False).loc[frame[c.ROW_ID]]
    never = {c.ROW_ID: rows[c.ROW_ID], c.TARGET: rows[c.TARGET]}
    never |= {column.name: rows[column.name] for column in s.spec.of_role("group") if column.name in rows}
    for name, values in never.items():
        codes = pd.factorize(values)[0]
        for feature in layout.features:
            if codes.max() > 0 and np.array_equal(pd.factorize(frame[feature])[0], codes):
                s.fail("features.py", f"the feature {feature} is {name} in other values")


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


CHECKS: Final[tuple[Callable[[Subject], None], ...]] = (
    features_do_not_see_the_future,
    baseline_does_not_see_the_future,
    permuted_labels_lose_the_skill,
    features_are_deterministic,
    training_is_deterministic,
    order_does_not_matter,
    two_hosts_train_as_one,
    saved_models_predict_the_same,
    served_predictions_equal_the_batch,
    a_later_sample_only_adds,
    limits_and_metrics_are_in_the_evaluation,
    bad_columns_are_refused,
    only_features_are_features,
    labels_wait_for_their_delay,
)


def contract_tests(name: str) -> type:
    """A class of tests: the checks above of the workload `name`, on one sample and one model."""

    class TestContract:
        @pytest.fixture(scope="class")
        @classmethod
        def subject(cls, tmp_path_factory: pytest.TempPathFactory) -> Subject:
            return Subject(name, tmp_path_factory.mktemp(name))

        @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
        def test_that(self, subject: Subject, check: Callable[[Subject], None]) -> None:
            check(subject)

    return TestContract
