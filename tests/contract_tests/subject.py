"""A workload under test: its sample, and what core makes of it."""

from __future__ import annotations

import csv
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from training_hosts import lay_out

from pipeline.contract import names as c
from pipeline.contract.feature_layout import FeatureTables
from pipeline.contract.parameters import HYPERPARAMETERS, parameters_of, snake_case
from pipeline.contract.spec import Spec
from pipeline.contract.workload import WORKLOAD_VARIABLE, Workload, load_workload
from pipeline.evaluation.metrics import row_losses
from pipeline.ingest.known import known_on
from pipeline.ingest.validated import LoadRequest, ValidatedRows
from pipeline.jobs import evaluate, prepare
from pipeline.jobs.prepare import own_parameters
from pipeline.jobs.train import train
from pipeline.serving.predictor import Predictor
from pipeline.training.artifact import Artifact, write_artifact
from pipeline.training.distributed.cluster import Cluster

AS_OF: Final = date.fromisoformat(c.SAMPLE_AS_OF)
WALK_FORWARD_ROWS: Final = 600  # at most: enough to see a skill, few enough to fit quickly

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
        return self.workload.data.load(
            self.spec, LoadRequest(folder, as_of=as_of, today=AS_OF, time_zone=self.spec.time_zone)
        )

    def tables_of(self, rows: pd.DataFrame, as_of: date = AS_OF) -> FeatureTables:
        return self.workload.features.features(self.spec, rows, as_of, own_parameters(self.spec, ()))

    @cached_property
    def rows(self) -> pd.DataFrame:
        """As of AS_OF, labelled or not, in order of time."""
        return self.load(self.sample_of(AS_OF)).rows

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

    @contextmanager
    def job(self, name: str, inputs: Mapping[str, Path]) -> Iterator[Path]:
        """This process as a processing job with these input channels; the folder of its outputs."""
        base = self.folder / name
        (base / "processing" / "input").mkdir(parents=True)
        for channel, folder in inputs.items():
            (base / "processing" / "input" / channel).symlink_to(folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(c.BASE_DIR_VARIABLE, str(base))
            patch.setenv(WORKLOAD_VARIABLE, self.name)
            yield base / "processing" / "output"

    def prepared(self, as_of: date = AS_OF) -> Path:
        """The outputs of Prepare."""
        seeds, name = self.folder / "seeds", f"prepare-{as_of}"
        if (self.folder / name).exists():
            return self.folder / name / "processing" / "output"
        for key, text in self.spec.all_seed_objects.items():
            (seeds / key).parent.mkdir(parents=True, exist_ok=True)
            (seeds / key).write_text(text, encoding="utf-8")
        inputs = {c.DATA_CHANNEL: self.sample_of(AS_OF), **{folder.name: folder for folder in seeds.iterdir()}}
        with self.job(name, inputs) as outputs:
            prepare.main(["--as-of", str(as_of), "--min-rows", "0"])
        return outputs

    @cached_property
    def artifact(self) -> Artifact:
        """Trained in this process, as on one host."""
        return self.trained("one-host")

    def trained(self, name: str, as_of: date = AS_OF) -> Artifact:
        with pytest.MonkeyPatch.context() as patch:
            lay_out(self.folder / name, self.prepared(as_of) / c.FEATURES_CHANNEL, patch, **self.settings)
            return train(Cluster())

    def as_champion(self, name: str, artifact: Artifact) -> Path:
        """A folder with the artifact as the version in use."""
        files, champion = self.folder / f"{name}-files", self.folder / name
        write_artifact(files, artifact)
        champion.mkdir()
        with tarfile.open(champion / c.MODEL_ARCHIVE, "w:gz") as tar:
            for path in files.iterdir():
                tar.add(path, path.name)
        (champion / c.CHAMPION_FILE).write_text('{"version": 1}', encoding="utf-8")
        return champion

    def made(self, *channels: str) -> dict[str, Path]:
        """Outputs of Prepare as inputs of the steps after it."""
        return {channel: self.prepared() / channel for channel in channels}

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """evaluation.json of the model, whose champion is itself."""
        champion, made = self.as_champion("itself", self.artifact), self.made(c.FEATURES_CHANNEL, c.REPORT_CHANNEL)
        with self.job("evaluate", {**made, c.CHAMPION_CHANNEL: champion, c.MODEL_CHANNEL: champion}) as outputs:
            evaluate.main([])
        found: dict[str, Any] = json.loads((outputs / c.EVALUATION_CHANNEL / c.EVALUATION_FILE).read_text())
        return found

    @cached_property
    def predictor(self) -> Predictor:
        return Predictor(self.artifact, "1", 7, workload=self.workload)

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


def read_cells(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def write_cells(path: Path, lines: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)
