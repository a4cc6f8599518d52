"""A disk that refuses: the n-th write of a run fails."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from local_definitions import Json, Workbench, definition, get, output_uri, processing, register, run_prefix, training

from pipeline.local.launch.job import Job, JobOutcome
from pipeline.local.run.cache import Cache
from pipeline.local.store import store as stores
from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.run_record import damaged_records, recent_runs
from pipeline.local.store.store_errors import StoreLostError, explain

WRITES = ("open", "os.mkdir", "os.rename", "os.link", "os.truncate")


@dataclass
class Injector:
    """Lets the n-th write below a folder fail. Python's own audit events see each before it happens."""

    folder: str = ""
    fails_at: int = 0  # counted from 1; 0: none
    number: int = errno.ENOSPC
    count: int = 0
    failed: str = ""

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder and event in WRITES:
            paths = [os.fsdecode(a) for a in arguments[:2] if isinstance(a, str | bytes)]
            if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
                return
            if event == "os.mkdir" and Path(paths[0]).is_dir():
                return  # that it exists is all that is said of it
            if any(path.startswith(self.folder) for path in paths):
                self.hit(event, paths[-1] if event in ("os.rename", "os.link") else paths[0])

    def hit(self, event: str, path: str) -> None:
        self.count += 1
        if self.count == self.fails_at:
            self.failed = f"{event} {path}"
            raise OSError(self.number, os.strerror(self.number), *([path] if event != "sync" else []))


INJECTOR = Injector()
sys.addaudithook(INJECTOR.hook)  # for good: while it has no folder it does nothing


@contextmanager
def failing(folder: Path, at: int, number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Injector]:
    """The `at`-th write below the folder fails, or its `fsync`, which has no path: that is where a disk runs full."""
    sync = stores.sync
    monkeypatch.setattr(stores, "sync", lambda path: (INJECTOR.folder and INJECTOR.hit("sync", ""), sync(path)))
    INJECTOR.folder, INJECTOR.fails_at, INJECTOR.number, INJECTOR.count, INJECTOR.failed = (
        str(folder),
        at,
        number,
        0,
        "",
    )
    try:
        yield INJECTOR
    finally:
        INJECTOR.folder = ""
        monkeypatch.setattr(stores, "sync", sync)


class InProcess:
    """A launcher whose programs are a few lines here: so that hundreds of runs take seconds."""

    def check(self, step: Any) -> None:
        """Takes every step."""

    def launch(self, job: Job) -> JobOutcome:
        """What each step writes: its name, and all that it was given."""
        given = sorted(path.name for path in (job.base_dir / "input").rglob("*.txt"))
        for folder in ("processing/out", "model"):
            if (job.base_dir / folder).is_dir():
                _without_a_fault(job.base_dir / folder / f"{job.step.name}.txt", f"{job.step.name} of {given}")
        return JobOutcome("Completed", None)


def _without_a_fault(path: Path, text: str) -> None:
    folder, INJECTOR.folder = INJECTOR.folder, ""
    path.write_text(text)
    INJECTOR.folder = folder


def pipeline() -> Json:
    return definition(
        processing("Prepare", [], outputs={"out": run_prefix("prepare")}),
        training("Train", [], channels={"prepared": output_uri("Prepare", "out")}),
        register("Register", get("Steps.Train.ModelArtifacts.S3ModelArtifacts")),
    )


@dataclass(frozen=True)
class FaultyRun:
    """How a run ended whose n-th write failed: `end` is unharmed, failed or lost (with the store); why, in words."""

    end: str
    reason: str
    failed: str  # the write; empty where the run had fewer


def run_with_fault(bench: Workbench, at: int, number: int, *, use_cache: bool) -> FaultyRun:
    """A run whose `at`-th write fails with the error `number`."""
    launcher: Any = InProcess()
    with pytest.MonkeyPatch.context() as patch, failing(bench.store.root, at, number, patch) as injector:
        try:
            result = bench.run(pipeline(), launcher=launcher, use_cache=use_cache, max_parallel=1)
        except StoreLostError as error:
            return FaultyRun("lost", str(error), injector.failed)
        except OSError as error:  # before the run began: what run_local explains
            return FaultyRun("lost", explain(error), injector.failed)
        if result.failure:
            return FaultyRun("failed", result.failure.reason, injector.failed)
        return FaultyRun("unharmed", "", injector.failed)


def assert_whole(bench: Workbench) -> None:
    """Nothing of the store is damaged, half-done or left over."""
    registry = LocalRegistry(bench.store)
    assert not registry.damaged("models")
    for package in registry.packages("models"):
        assert bench.store.object_path(package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]).is_file()
    assert not damaged_records(bench.store)
    assert not list((bench.store.root / "executing").iterdir())
    assert all(run.status != "Executing" for run in recent_runs(bench.store, 1000))
    for path in (bench.store.root / "cache").glob("*/entry.json"):
        assert Cache(bench.store).find(path.parent.name)
    leftovers = [path for path in (bench.store.root / "tmp").iterdir() if path.is_file()]
    assert not leftovers, "a full disk must not hold what nothing refers to"
