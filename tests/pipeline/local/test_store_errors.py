"""A file system that refuses: at every write of a run, one sentence with path and remedy, and a store that goes on."""

from __future__ import annotations

import errno
import itertools
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from failing_writes import InProcess, assert_whole, failing, pipeline, run_with_fault
from local_definitions import Workbench

from pipeline.contract.container import run_step
from pipeline.local.run.runner import mark_killed_runs
from pipeline.local.store.registry import LocalRegistry, RegistryError
from pipeline.local.store.run_record import (
    DamagedRecordError,
    RunResult,
    damaged_records,
    load_run,
    recent_runs,
    record_path,
)
from pipeline.local.store.store_errors import StoreLostError, explain, shown


def assert_a_sentence(reason: str) -> None:
    assert "\n" not in reason
    assert "Traceback" not in reason
    assert "local runner failed" not in reason
    assert re.search(r"(/[^:;]+): .+; [a-z]", reason), reason


@pytest.mark.parametrize(
    ("number", "use_cache", "each"),
    [(errno.ENOSPC, False, 1), (errno.ENOSPC, True, 1), (errno.EACCES, False, 4)],  # of another error every fourth
)
def test_each_write_of_a_run_may_fail(bench: Workbench, number: int, use_cache: bool, each: int) -> None:
    if use_cache:  # results are restored, not made
        bench.run(pipeline(), launcher=InProcess())
    outcomes = Counter[str]()
    for at in itertools.count(1, each):
        faulty = run_with_fault(bench, at, number, use_cache=use_cache)
        outcomes[faulty.end] += 1
        if faulty.reason:
            assert_a_sentence(faulty.reason)
        if not faulty.failed:
            break
        after = bench.run(pipeline(), launcher=InProcess(), use_cache=use_cache)
        assert after.status == "Succeeded", (faulty.failed, after.failure)
        assert_whole(bench)
    assert at > 30
    assert outcomes["failed"] > 10 / each
    assert outcomes["lost"] > 3 / each
    # A result that cannot be put into the cache has been made all the same, the next clean-up appends a line that the
    # history lacks, and the last run had no fault.
    assert outcomes["unharmed"] <= 4, "a write whose failure goes unnoticed"


# --- damaged files ----------------------------------------------------------------------------------------------------

DAMAGE = (b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"ModelPackageVersion": 7}', b'{"steps": 3, "failure": null}')


@pytest.mark.parametrize("data", DAMAGE)
def test_a_damaged_version_is_named_and_blocks_only_itself(bench: Workbench, data: bytes) -> None:
    launcher: Any = InProcess()
    for _ in range(3):
        assert bench.run(pipeline(), launcher=launcher).status == "Succeeded"
    registry = LocalRegistry(bench.store)
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
    mark_killed_runs(bench.store)
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


def test_a_run_that_lost_its_store_ends_what_is_shown(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live table hides the cursor until its end."""

    def full(_: Any, run: RunResult) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.local.run.execution.save_run", full)
    shown: list[RunResult] = []
    with pytest.raises(StoreLostError):
        bench.run(pipeline(), launcher=InProcess(), listener=lambda run, _: shown.append(run))
    assert [(run.status, run.ended_at is None) for run in shown] == [("Executing", True), ("Stopped", False)]


def test_what_was_written_is_on_the_disk_before_it_has_its_name(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda d: (synced.append(os.fstat(d).st_ino), sync(d)))
    launcher: Any = InProcess()
    result = bench.run(pipeline(), launcher=launcher)
    package = bench.store.root / "registry" / "models" / "1.json"
    objects = [bench.store.object_path(uri) for step in result.steps for uri in step.outputs]
    assert objects
    assert {path.stat().st_ino for path in objects} <= set(synced), "what jobs have written, too"
    for path in (package, record_path(bench.store, result.execution_id)):
        assert path.stat().st_ino in synced
        assert path.parent.stat().st_ino in synced
    LocalRegistry(bench.store).set_approval("models", 1, "Approved")
    assert package.stat().st_ino in synced


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
    assert explain(caught.value).startswith(f"{target}: no space left on device; free disk space")
