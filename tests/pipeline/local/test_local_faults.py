"""A file system that refuses: at every write of a run, one sentence with path and remedy, and a store that goes on."""

from __future__ import annotations

import errno
import itertools
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from local_definitions import Json, Workbench, definition, get, output_uri, processing, register, run_prefix, training

from pipeline.local import store as stores
from pipeline.local.cache import Cache
from pipeline.local.faults import StoreError, StoreLostError, explain, shown
from pipeline.local.job import Job, JobOutcome
from pipeline.local.record import DamagedRecordError, damaged_records, load_run, recent_runs, record_path
from pipeline.local.recovery import mark_killed_runs
from pipeline.local.registry import Registry, RegistryError
from pipeline.steps.container import run_step

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
    sync = stores._sync
    monkeypatch.setattr(
        stores, "_sync", lambda descriptor: (INJECTOR.folder and INJECTOR.hit("sync", ""), sync(descriptor))
    )
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
        monkeypatch.setattr(stores, "_sync", sync)


class InProcess:
    """A launcher whose programs are a few lines here: so that hundreds of runs take seconds."""

    def check(self, step: Any) -> None:
        """Takes every step."""

    def launch(self, job: Job) -> JobOutcome:
        """What each step writes: its name, and all that it was given."""
        given = sorted(path.name for path in (job.base_dir / "input").rglob("*.txt"))
        for folder in ("processing/out", "model"):
            if (job.base_dir / folder).is_dir():
                _without_a_fault(job.base_dir / folder / f"{job.step_name}.txt", f"{job.step_name} of {given}")
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


def assert_a_sentence(reason: str) -> None:
    assert "\n" not in reason
    assert "Traceback" not in reason
    assert "local runner failed" not in reason
    assert re.search(r"(/[^:;]+): .+; [a-z]", reason), reason


@pytest.mark.parametrize(("number", "use_cache"), [(errno.ENOSPC, False), (errno.ENOSPC, True), (errno.EACCES, False)])
def test_each_write_of_a_run_may_fail(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, number: int, use_cache: bool
) -> None:
    launcher: Any = InProcess()
    if use_cache:  # results are restored, not made
        bench.run(pipeline(), launcher=launcher)
    outcomes = {"failed": 0, "lost": 0, "unharmed": 0}
    for at in itertools.count(1):
        with failing(bench.store.root, at, number, monkeypatch) as injector:
            try:
                result = bench.run(pipeline(), launcher=launcher, use_cache=use_cache, max_parallel=1)
            except StoreLostError as error:
                outcomes["lost"] += 1
                assert_a_sentence(str(error))
            except OSError as error:  # before the run began: what run_local explains
                outcomes["lost"] += 1
                assert_a_sentence(explain(error))
            else:
                outcomes["failed" if result.failure else "unharmed"] += 1
                if result.failure:
                    assert_a_sentence(result.failure.reason)
            if not injector.failed:
                break
        after = bench.run(pipeline(), launcher=launcher, use_cache=use_cache)
        assert after.status == "Succeeded", (injector.failed, after.failure)
        assert_whole(bench)
    assert at > 30
    assert outcomes["failed"] > 10
    assert outcomes["lost"] > 3
    # A result that cannot be put into the cache has been made all the same; and the last run had no fault.
    assert outcomes["unharmed"] <= 3, "a write whose failure goes unnoticed"


def assert_whole(bench: Workbench) -> None:
    registry = Registry(bench.store)
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


# --- damaged files ----------------------------------------------------------------------------------------------------

DAMAGE = (b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"ModelPackageVersion": 7}', b'{"steps": 3, "failure": null}')


@pytest.mark.parametrize("data", DAMAGE)
def test_a_damaged_version_is_named_and_blocks_only_itself(bench: Workbench, data: bytes) -> None:
    launcher: Any = InProcess()
    for _ in range(3):
        assert bench.run(pipeline(), launcher=launcher).status == "Succeeded"
    registry = Registry(bench.store)
    path = bench.store.root / "registry" / "models" / "2.json"
    path.write_bytes(data)
    assert [package["ModelPackageVersion"] for package in registry.packages("models")] == [1, 3]
    assert list(registry.damaged("models")) == [2]
    assert registry.damaged("models")[2].startswith(f"{path} is damaged")
    with pytest.raises(RegistryError, match="is damaged"):
        registry.get("models", 2)
    with pytest.raises(RegistryError, match="is damaged"):
        registry.set_approval("models", 2, "Approved")
    assert path.read_bytes() == data
    assert bench.run(pipeline(), launcher=launcher).step("Register").properties["ModelPackageVersion"] == 4
    path.with_name("4.json").write_bytes(data)
    assert bench.run(pipeline(), launcher=launcher).step("Register").properties["ModelPackageVersion"] == 5


@pytest.mark.parametrize("data", DAMAGE)
def test_a_damaged_record_is_named_and_blocks_only_itself(bench: Workbench, data: bytes) -> None:
    launcher: Any = InProcess()
    first, second = (bench.run(pipeline(), launcher=launcher).execution_id for _ in range(2))
    path = record_path(bench.store, first)
    path.write_bytes(data)
    (bench.store.root / "executing" / first).touch()  # it was executing when the power failed
    assert mark_killed_runs(bench.store) == ()
    assert path.read_bytes() == data, "what may be repaired is not removed"
    (fault,) = damaged_records(bench.store)
    assert fault.startswith(f"{path} is damaged")
    with pytest.raises(DamagedRecordError):
        load_run(bench.store, first)
    assert [run.execution_id for run in recent_runs(bench.store)] == [second]
    assert bench.run(pipeline(), launcher=launcher).status == "Succeeded"


# --- words ------------------------------------------------------------------------------------------------------------


def test_names_that_are_no_text_are_printable(bench: Workbench) -> None:
    assert shown(os.fsdecode(b"/data/caf\xe9\x1b[31m.csv")) == r"/data/caf\xe9\x1b[31m.csv"
    assert len(shown("/x" * 3000)) < 1024
    with pytest.raises(OSError, match="too long") as caught:
        bench.store.write(bench.store.root / ("x" * 300), b"")
    assert explain(caught.value).endswith("file name too long; give it a shorter name")


def test_what_was_written_is_on_the_disk_before_it_has_its_name(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync, folder_sync = stores._sync, os.fsync
    monkeypatch.setattr(stores, "_sync", lambda d: (synced.append(os.fstat(d).st_ino), sync(d)))
    folders: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda d: (folders.append(os.fstat(d).st_ino), folder_sync(d)))
    launcher: Any = InProcess()
    result = bench.run(pipeline(), launcher=launcher)
    package = bench.store.root / "registry" / "models" / "1.json"
    for path in (package, record_path(bench.store, result.execution_id)):
        assert path.stat().st_ino in synced
        assert path.parent.stat().st_ino in folders
    Registry(bench.store).set_approval("models", 1, "Approved")
    assert package.stat().st_ino in synced


def test_a_location_that_a_store_cannot_hold_is_refused(bench: Workbench) -> None:
    bench.put("s3://data/x", "1")
    with pytest.raises(StoreError, match="a file and a folder of one name"):
        bench.put("s3://data/x/y", "2")


def test_a_step_on_a_full_disk_ends_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Arrow names no path; where not even the reason can be written, the log has it."""

    def full(_: Any) -> None:
        raise OSError(errno.ENOSPC, "Error writing bytes to file")

    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    assert run_step(full, []) == 1
    expected = f"{tmp_path}: no space left on device; make room there, or give the job a larger volume"
    assert (tmp_path / "output" / "message").read_text() == expected
    with failing(tmp_path, 1, errno.ENOSPC, monkeypatch) as injector:
        assert run_step(full, []) == 1
        assert injector.failed
    assert capsys.readouterr().err == f"{expected}\n" * 2


def test_a_copy_that_does_not_fit_names_what_was_to_be_written(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").write_text("x")
    target = bench.store.object_path("s3://data/games/x.csv")
    with failing(bench.store.root, 1, errno.ENOSPC, monkeypatch), pytest.raises(OSError, match="No space") as caught:
        bench.store.copy(tmp_path / "source", target)
    assert explain(caught.value).startswith(f"{target}: no space left on device; make room there")
