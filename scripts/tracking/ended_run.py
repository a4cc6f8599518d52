"""A run that has ended, wherever it ran, as a tracker keeps it: parameters, metrics, tags, files, model.

All of it comes from what the run's jobs wrote and from the requests that started them, so local runs and those of the
cloud differ in where files are read only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

from pipeline.contract import names as c
from pipeline.contract.history.runs import decision_of
from pipeline.contract.reasons import shorten

# Tag -> the variable with which the definition tells a job, and the name in evaluation.json's versions.
_VERSIONS: Final = {
    "code_version": ("CODE_VERSION", "code"),
    "git_revision": ("GIT_REVISION", "git"),
    "definition_hash": ("DEFINITION_HASH", "definition"),
}
REPORTS: Final = (c.EVALUATION_FILE, c.REPORT_FILE)


@dataclass(frozen=True)
class EndedRun:
    """One run. Times are seconds since the epoch."""

    execution_id: str
    status: str
    started_at: float
    ended_at: float
    failure: str  # why it failed; empty for one that did not
    parameters: Mapping[str, Any]
    seconds: Mapping[str, float]  # of each step that ran
    has_new_data: bool | None  # None: not decided
    version: int | None  # of the model package that it registered
    jobs: Mapping[str, Mapping[str, Any]]  # step -> DescribeProcessingJob
    fetch: Callable[[str], Path | None]  # a copy on this machine of an object; None where it is gone
    more_files: tuple[Path, ...] = ()

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """evaluation.json; empty where nothing was evaluated."""
        return _json(self._output("Evaluate", c.EVALUATION_CHANNEL, c.EVALUATION_FILE))

    @cached_property
    def prepared(self) -> dict[str, Any]:
        """prepared.json; empty where the data was refused."""
        return _json(self._output("Prepare", c.REPORT_CHANNEL, c.PREPARED_FILE))

    @property
    def files(self) -> list[Path]:
        """What a person reads."""
        reports = (self._output("Evaluate", c.EVALUATION_CHANNEL, name) for name in REPORTS)
        return [path for path in (*reports, *self.more_files) if path and path.is_file()]

    @property
    def model(self) -> Path | None:
        """model.tar.gz that was evaluated; None where there is none, or it was removed since."""
        given = {item["InputName"]: item for item in self.jobs.get("Evaluate", {}).get("ProcessingInputs", ())}
        return self.fetch(given[c.MODEL_CHANNEL]["S3Input"]["S3Uri"]) if given and self.evaluation else None

    def _output(self, step: str, channel: str, file: str) -> Path | None:
        for output in self.jobs.get(step, {}).get("ProcessingOutputConfig", {}).get("Outputs", ()):
            if output["OutputName"] == channel:
                return self.fetch(f"{output['S3Output']['S3Uri'].rstrip('/')}/{file}")
        return None

    @property
    def decision(self) -> str:
        """registered, champion-kept, no-new-data or failed; stopped for a run without one."""
        decided = decision_of(self.status, registered=self.version is not None, has_new_data=self.has_new_data)
        return decided or self.status.lower()

    @property
    def metrics(self) -> dict[str, float]:
        """`candidate/log_loss`, ..., the difference to the champion with its interval, and how long each step took."""
        found = {
            f"{who}/{key}": value for who, v in self.evaluation.get("metrics", {}).items() for key, value in _of(v)
        }
        difference = self.evaluation.get("comparison", {}).get("difference")
        found |= {f"difference/{key}": value for key, value in _of(difference)}
        found |= {f"seconds/{step}": value for step, value in self.seconds.items()}
        return found | {"seconds/run": self.ended_at - self.started_at}

    @property
    def tags(self) -> dict[str, str]:
        """What a run is found by."""
        environment: dict[str, str] = {}
        for job in self.jobs.values():
            environment |= job.get("Environment", {})
        about, known = self.evaluation or self.prepared, self.evaluation.get("versions", {})
        tags = {
            "decision": self.decision,
            "reason": self.failure or str(about.get("reason", "")),
            "trigger": str(self.parameters.get("TriggerReason", "")),
            "fingerprint": str(self.prepared.get("fingerprint") or ""),
            "as_of_date": str(about.get("as_of_date", "")),
            "simulated": str(about.get("simulated", "")).lower(),
            "package_version": "" if self.version is None else str(self.version),
            "workload": str(environment.get("WORKLOAD") or about.get("workload", "")),
            **{tag: str(environment.get(v) or known.get(name, "")) for tag, (v, name) in _VERSIONS.items()},
        }
        return {name: shorten(text) for name, text in tags.items() if text}


class History(Protocol):
    """Where runs are read: a local store or a deployed pipeline."""

    @property
    def experiment(self) -> str:
        """What the runs belong to."""

    @property
    def model_name(self) -> str:
        """What the versions are versions of."""

    def ended(self) -> list[tuple[str, str]]:
        """Each run that has ended, oldest first: its id, and a text that changes when the run is resumed."""

    def read(self, execution_id: str) -> EndedRun:
        """One of them."""

    def packages(self) -> tuple[dict[str, Any], ...]:
        """The registered versions, oldest first, as DescribeModelPackage gives them."""

    @property
    def champion(self) -> int | None:
        """The version in use."""


def execution_of(package: Mapping[str, Any]) -> str:
    """The id of the run that registered a version; empty for one that no run did."""
    return str(package.get("CustomerMetadataProperties", {}).get("execution", "")).rpartition("/")[2]


def _of(values: object) -> list[tuple[str, float]]:
    """The numbers of an object."""
    items = values.items() if isinstance(values, Mapping) else ()
    return [(key, float(v)) for key, v in items if isinstance(v, int | float) and math.isfinite(v)]


def _json(path: Path | None) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8")) if path else {}
    return found if isinstance(found, dict) else {}
