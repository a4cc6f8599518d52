"""Finds a workload, and loads it. What core calls of it is in rules/hooks.py. Standard library only.

A workload is a folder of pipeline/workloads. Its `spec.py` is read everywhere; its other modules are imported when
they are first needed, and core's own replace those that it does not have.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

from pipeline.contract.code_version import definition_file
from pipeline.contract.reasons import hint
from pipeline.contract.rules.calls import Hooks, WorkloadError, named_by_line
from pipeline.contract.rules.hooks import (
    INTERFACES,
    Backtest,
    Baseline,
    Data,
    Features,
    Monitor,
    Sample,
    Serving,
    SparkArchive,
)
from pipeline.contract.rules.workload_rules import checked_spec, definition_problem
from pipeline.contract.spec import Spec

WORKLOADS: Final = Path(__file__).resolve().parents[1] / "workloads"
CONFIGURATION: Final = WORKLOADS.parents[1] / "cdk.json"
WORKLOAD_KEY: Final = "workload"  # in its context
WORKLOAD_VARIABLE: Final = "WORKLOAD"  # which of several: definition.json says it to each job


@dataclass(frozen=True)
class Workload:
    """A spec and its modules."""

    spec: Spec

    def module(self, name: str, default: str = "") -> Any:  # noqa: ANN401 - as the interface of that name says
        """The workload's module of that name, or core's `default`; None where there is neither."""
        own = f"pipeline.workloads.{self.spec.name}.{name}"
        if importlib.util.find_spec(own):
            return Hooks(named_by_line(importlib.import_module, own), INTERFACES.get(name, SparkArchive), self.spec)
        return importlib.import_module(default) if default else None

    @cached_property
    def data(self) -> Data:
        return cast(Data, self.module("data", "pipeline.ingest.declared"))

    @cached_property
    def features(self) -> Features:
        return cast(Features, self.module("features", "pipeline.training.declared_features"))

    @cached_property
    def baseline(self) -> Baseline:
        return cast(Baseline, self.module("baseline"))

    @cached_property
    def monitor(self) -> Monitor | None:
        return cast("Monitor | None", self.module("monitor"))

    @cached_property
    def backtest(self) -> Backtest | None:
        return cast("Backtest | None", self.module("backtest"))

    @cached_property
    def serving(self) -> Serving:
        return cast(Serving, self.module("serving", "pipeline.serving.declared"))

    @cached_property
    def spark_archive(self) -> SparkArchive:
        return cast(SparkArchive, self.module("spark.archive"))

    @cached_property
    def sample(self) -> Sample:
        """Raises WorkloadError where there is none."""
        if found := self.module("sample"):
            return cast(Sample, found)
        raise WorkloadError(f"the workload {self.spec.name} has no sample.py: name a folder of {self.spec.rows}")


def workload_folders() -> dict[str, Path]:
    """The workloads that are here, by name: the folders of the package pipeline.workloads that have a spec.py."""
    places = reversed(importlib.import_module("pipeline.workloads").__path__)  # a module comes from the first
    return {path.parent.name: path.parent for place in places for path in Path(place).glob("*/spec.py")}


def workload_names() -> list[str]:
    return sorted(workload_folders())


def load_spec(name: str) -> Spec:
    """The spec of a workload that is here and keeps the rules of workload_rules.py; raises WorkloadError otherwise."""
    folder = workload_folders().get(name)
    if folder is None:
        names = workload_names()
        if name and (WORKLOADS / name).is_dir():
            raise WorkloadError(f"pipeline/workloads/{name} has no spec.py: it says what the workload is")
        raise WorkloadError(f'there is no workload "{name}"{hint(name, names) or ":"} there are {", ".join(names)}')
    return checked_spec(folder)


def read_definition(name: str) -> dict[str, Any]:
    """The committed definition of a workload; raises WorkloadError for one that is missing or not its own."""
    file, spec = definition_file(name), load_spec(name)
    try:
        definition: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        problem = definition_problem(spec, definition)
    except FileNotFoundError:
        problem = "is missing"
    except ValueError as error:
        problem = f"is not JSON ({error})"
    if problem:
        raise WorkloadError(f"pipeline/workloads/{name}/{file.name} {problem}: run python -m pipeline.definition")
    return definition


def load_workload(name: str) -> Workload:
    return Workload(load_spec(name))


def configured_workload() -> str:
    """The one that cdk.json names; in an image, which holds one only, that one."""
    if not CONFIGURATION.exists():
        return workload_names()[0]
    return str(read_context().get(WORKLOAD_KEY, ""))


def read_context() -> dict[str, Any]:
    """The context of cdk.json, which people edit; raises WorkloadError where it is none."""
    try:
        content = json.loads(CONFIGURATION.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WorkloadError(f"{CONFIGURATION.name} is not JSON: {error}") from error
    context = content.get("context") if isinstance(content, dict) else None
    if not isinstance(context, dict):
        raise WorkloadError(f'{CONFIGURATION.name} has no object "context": it names the workload and the environments')
    return context


def default_workload() -> str:
    """What the variable WORKLOAD names, or the configured one."""
    return os.environ.get(WORKLOAD_VARIABLE) or configured_workload()


def current_workload() -> Workload:
    """The workload of this process; raises as `load_spec`."""
    return load_workload(default_workload())
