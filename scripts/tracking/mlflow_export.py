"""Write runs, models and versions to MLflow: what is there already is left, so that it may be done again at any time.

A run of MLflow belongs to the execution that its tag names. Its last tag is the state that was written: where that is
missing, an export was interrupted, and where it is another one, the run was resumed. No other module imports MLflow.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import mlflow.pyfunc
import pandas as pd
from mlflow.entities import Metric, Param, Run, RunTag, ViewType
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from pipeline.contract import names as c
from pipeline.contract.code_version import PACKAGE, write_image_context
from pipeline.contract.container import StepError
from pipeline.contract.history.runs import FAILED, SUCCEEDED
from pipeline.contract.rules.calls import WorkloadError
from pipeline.contract.spec import Column
from pipeline.local.store.run_record import RunError
from pipeline.serving import mlflow_model
from scripts.tracking import mlflow_loader
from scripts.tracking.ended_run import EndedRun, TrackedRuns, execution_of

EXECUTION: Final = "execution_id"
STATE: Final = "exported_state"
PACKAGE_VERSION: Final = "package_version"
APPROVAL: Final = "approval"
ALIAS: Final = "champion"
MODEL: Final = "model"  # folder of a run's artifacts
_AT_ONCE: Final = 100  # parameters and tags of one LogBatch request
_LONGEST: Final = 500  # characters of a parameter that each version of MLflow takes
_STATUS: Final = {SUCCEEDED: "FINISHED", FAILED: "FAILED"}
# Of a lock, without hashes.
_REQUIREMENT: Final = re.compile(r"^([\w.-]+==[^\s\\;]+(?: ; [^\\\n]*[^\\\s])?)", re.MULTILINE)


@dataclass
class Exported:
    """What an export did."""

    runs: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    champion: int | None = None
    warnings: list[str] = field(default_factory=list)


def export(history: TrackedRuns, uri: str, only: Collection[str] = ()) -> Exported:
    """Bring MLflow up to what the history says, or to what it says of some runs; raises MlflowException."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)  # progress of uploads, advice about packages
    client, done = MlflowClient(uri, uri), Exported(champion=history.champion)
    packages = history.packages
    wanted = {*only, *(execution_of(p) for p in packages if p["ModelPackageVersion"] == done.champion)} if only else ()
    experiment = _experiment(client, history.experiment)
    known = {run.data.tags[EXECUTION]: run for run in _known_runs(client, experiment)}
    for execution_id, state in history.ended:
        if wanted and execution_id not in wanted:
            continue
        there = known.get(execution_id)
        if there and (there.info.lifecycle_stage == "deleted" or there.data.tags.get(STATE) == state):
            continue
        try:
            known[execution_id] = _write_run(client, experiment, there, history.read(execution_id), state, done)
            done.runs.append(execution_id)
        except (RunError, OSError, ValueError) as error:
            done.warnings.append(f"run {execution_id} was not exported: {error}")
    nowhere = sorted({*only} - {*known} - {execution_id for execution_id, _ in history.ended})
    done.warnings += [f"no run {run_id} has ended here: see scripts.runs list" for run_id in nowhere]
    if packages:
        _write_versions(client, history.model_name, packages, known, done)
    return done


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found and found.lifecycle_stage == "deleted":
        raise MlflowException(f"the experiment {name} is deleted: restore it, or name another with --experiment")
    return str(found.experiment_id if found else client.create_experiment(name))


def _known_runs(client: MlflowClient, experiment: str) -> Iterator[Run]:
    """Those that were exported, deleted ones too: what somebody has deleted there stays deleted."""
    token: str | None = None
    while token != "":
        page = client.search_runs([experiment], f"tags.{EXECUTION} LIKE '%'", ViewType.ALL, 1000, page_token=token)
        yield from page
        token = page.token or ""


def _write_run(
    client: MlflowClient, experiment: str, there: Run | None, run: EndedRun, state: str, done: Exported
) -> Run:
    entry = run.entry
    begin, end = (int(seconds * 1000) for seconds in (entry.started_at, entry.ended_at or entry.started_at))
    made = there or client.create_run(experiment, begin, {EXECUTION: entry.run_id}, entry.run_id)
    run_id = made.info.run_id
    _log(client, run_id, run, end)
    for file in run.files:
        client.log_artifact(run_id, str(file))
    if run.model:
        with tempfile.TemporaryDirectory() as folder:
            try:
                write_model(Path(folder) / MODEL, run.model, run)
                client.log_artifacts(run_id, str(Path(folder) / MODEL), MODEL)
            except (StepError, WorkloadError) as error:
                done.warnings.append(f"run {entry.run_id} is there without its model: {error}")
    client.set_terminated(run_id, _STATUS.get(entry.status, "KILLED"), end)
    client.set_tag(run_id, STATE, state)
    return made


def _log(client: MlflowClient, run_id: str, run: EndedRun, end: int) -> None:
    """In parts that one request takes; the same values again change nothing."""
    commit = run.tags.get("git_revision", "")
    source = {"mlflow.source.name": "SageMaker Pipelines", "mlflow.source.git.commit": commit}
    tags = [RunTag(key, value) for key, value in {**run.tags, **source}.items() if value]
    params = [Param(key, str(value)[:_LONGEST]) for key, value in run.entry.parameters.items()]
    client.log_batch(run_id, metrics=[Metric(key, value, end, 0) for key, value in run.metrics.items()], tags=tags)
    for first in range(0, len(params), _AT_ONCE):
        client.log_batch(run_id, params=params[first : first + _AT_ONCE])


def write_model(folder: Path, archive: Path, run: EndedRun) -> None:
    """The folder of an MLflow model: the artifact, the code that serves it, signature and example; no pickle.

    Raises StepError for an artifact that is not the one that was evaluated, or that today's code cannot serve.
    """
    workload = str(run.evaluation["workload"])
    with tempfile.TemporaryDirectory() as temporary:
        data, code = Path(temporary) / "data", Path(temporary) / "code"
        data.mkdir()
        shutil.copyfile(archive, data / c.MODEL_ARCHIVE)
        version = run.entry.run_id if run.entry.version is None else str(run.entry.version)
        facts = {"sha256": run.evaluation[c.MODEL_SHA256], "version": version, "workload": workload}
        (data / mlflow_model.FACTS_FILE).write_text(json.dumps(facts) + "\n", encoding="utf-8")
        write_image_context(workload, code / PACKAGE.name)
        shutil.make_archive(str(data / mlflow_loader.CODE_FILE.removesuffix(".zip")), "zip", code)
        served = mlflow_model.open_model(data)
        mlflow.pyfunc.save_model(
            folder,
            loader_module=Path(str(mlflow_loader.__file__)).stem,
            data_path=str(data),
            code_paths=[str(mlflow_loader.__file__)],
            signature=_signature(served),
            input_example=_example(served),
            pip_requirements=_REQUIREMENT.findall((PACKAGE / "requirements.txt").read_text(encoding="utf-8")),
        )


def _signature(served: mlflow_model.ServedModel) -> ModelSignature:
    """The columns of a request: numbers as numbers, all else (days, flags, categories) as text."""
    predictor = served.predictor
    format, columns = predictor.requests.format, {column.name: column for column in predictor.workload.spec.columns}
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(_type(columns.get(name)), name, name in format.required)
        for name in (*format.required, *format.optional)
    ]
    outputs = (format.prediction, *predictor.artifact.card.layout.quantile_columns)
    return ModelSignature(Schema(inputs), Schema([*(ColSpec(DataType.double, name) for name in outputs)]))


def _example(served: mlflow_model.ServedModel) -> pd.DataFrame:
    """The rows that a server answers before its first request, in the signature's types."""
    table = pd.DataFrame([dict(row) for row in served.predictor.requests.warm_up()])
    numbers = {DataType.long: "int64", DataType.double: "float64"}
    wanted = {column.name: numbers.get(_type(column)) for column in served.predictor.workload.spec.columns}
    return table.astype({name: kind for name, kind in wanted.items() if kind and name in table})


def _type(column: Column | None) -> DataType:
    """As pandas has it: whole numbers of which one is missing are floats."""
    if column is None or column.type not in ("number", "integer"):
        return DataType.string
    return DataType.long if column.type == "integer" and not column.missing else DataType.double


def _write_versions(
    client: MlflowClient, name: str, packages: Collection[Mapping[str, Any]], runs: Mapping[str, Run], done: Exported
) -> None:
    """A version for each model package whose run has a model there, its approval, and the alias of the one in use."""
    there: dict[str, ModelVersion] = {}
    try:
        aliases = client.get_registered_model(name).aliases
        there = {v.tags.get(PACKAGE_VERSION, ""): v for v in client.search_model_versions(f"name = '{name}'")}
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(name)
        aliases = {}
    for package in packages:
        number, run = str(package["ModelPackageVersion"]), runs.get(execution_of(package))
        if number not in there and run and _has_model(client, run):
            source, tags = f"{run.info.artifact_uri}/{MODEL}", {PACKAGE_VERSION: number}
            there[number] = client.create_model_version(name, source, run.info.run_id, tags)
            done.versions.append(number)
        approval = " ".join(filter(None, (package["ModelApprovalStatus"], package.get("ApprovalDescription"))))
        if number in there and there[number].tags.get(APPROVAL) != approval:
            client.set_model_version_tag(name, there[number].version, APPROVAL, approval)
    champion = there.get(str(done.champion))
    if champion and str(aliases.get(ALIAS)) != str(champion.version):
        client.set_registered_model_alias(name, ALIAS, champion.version)
    elif champion is None and ALIAS in aliases:
        client.delete_registered_model_alias(name, ALIAS)


def _has_model(client: MlflowClient, run: Run) -> bool:
    return run.info.lifecycle_stage == "active" and bool(client.list_artifacts(run.info.run_id, MODEL))
