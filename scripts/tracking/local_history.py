"""The runs and versions of a local store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.contract import names as c
from pipeline.contract.workload import default_workload, load_spec
from pipeline.local.local_deployment import ARTIFACT_BUCKET, MODEL_PACKAGE_GROUP
from pipeline.local.store.local_champion import read_champion
from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.run_record import EXECUTING, RunResult, load_run, readable_run, record_path
from pipeline.local.store.store import Store
from pipeline.local.store.store_errors import StoreError
from scripts.tracking.ended_run import EndedRun


class LocalHistory:
    """A store as a history; runs of simulated rows are another experiment than those of given ones."""

    def __init__(self, store: Store, experiment: str | None = None) -> None:
        self._store = store
        self._given = experiment

    @property
    def experiment(self) -> str:
        """The given name, or the workload's group with the kind of rows: churn-local, churn-simulated."""
        if self._given:
            return self._given
        kinds = {
            job.get("Environment", {}).get("WORKLOAD") for run in self._ended()[-1:] for job in _jobs(run).values()
        }
        kind = self._store.root / "rows"
        simulated = kind.is_file() and kind.read_text(encoding="utf-8").startswith("simulated")
        group = load_spec(next(filter(None, kinds), default_workload())).group
        return f"{group}-{'simulated' if simulated else 'local'}"

    @property
    def model_name(self) -> str:
        """The same: a store has one registry."""
        return self.experiment

    def _ended(self) -> list[RunResult]:
        found = (readable_run(self._store, path.parent.name) for path in (self._store.root / "runs").glob("*/run.json"))
        return sorted((run for run in found if run and run.status != EXECUTING), key=lambda run: run.started_at)

    def ended(self) -> list[tuple[str, str]]:
        """Each run that has ended, oldest first, and the state that it ended in."""
        return [(run.execution_id, f"{run.status} {run.ended_at}") for run in self._ended()]

    def read(self, execution_id: str) -> EndedRun:
        """Raises RunError for a run that is not there."""
        run = load_run(self._store, execution_id)
        arn = str(
            next((step.properties.get("ModelPackageArn", "") for step in run.steps if step.name == "Register"), "")
        )
        steps = {step.name: step for step in run.steps}
        folder = self._store.run_folder(execution_id)
        return EndedRun(
            execution_id=execution_id,
            status=run.status,
            started_at=run.started_at,
            ended_at=run.ended_at or run.started_at,
            failure=f"{run.failure.step}: {run.failure.reason}" if run.failure else "",
            parameters=run.parameters,
            seconds={step.name: step.seconds for step in run.steps if step.seconds},
            has_new_data=steps["HasNewData"].outcome if "HasNewData" in steps else None,
            version=int(arn.rpartition("/")[2]) if arn else None,
            jobs=_jobs(run),
            fetch=self._fetch,
            more_files=(folder / c.MONITOR_REPORT_FILE, record_path(self._store, execution_id)),
        )

    def _fetch(self, uri: str) -> Path | None:
        path = self._store.object_path(uri)
        return path if path.is_file() else None

    def packages(self) -> tuple[dict[str, Any], ...]:
        """The registered versions, oldest first."""
        return LocalRegistry(self._store).packages(MODEL_PACKAGE_GROUP)

    @property
    def champion(self) -> int | None:
        """The version in use; None also where champion.json is damaged."""
        try:
            version: int | None = read_champion(self._store, ARTIFACT_BUCKET)["version"]
        except StoreError:
            return None
        return version


def _jobs(run: RunResult) -> dict[str, Mapping[str, Any]]:
    return {step.name: step.properties for step in run.steps if "ProcessingJobName" in step.properties}
