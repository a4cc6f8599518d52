"""What a store keeps: a thousand runs stay under a bound, and nothing that a version needs is lost."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline.local.run.runner import run_lock
from pipeline.local.store.history import HISTORY_FILE, note_run
from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.retention import KEPT_RUNS, clean
from pipeline.local.store.run_record import EXECUTING, SUCCEEDED, RunResult, load_run, record_path, save_run
from pipeline.local.store.store import STALE_SECONDS, Store
from pipeline.local.store.store_errors import StoreError
from scripts.clean import main
from scripts.history.history import local_history

PER_RUN = ("prepare/features/features.parquet", "prepare/report/prepared.json")
TRAINED = ("train/model.tar.gz", "evaluate/evaluation.json", "evaluate/report.html")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def new_run(store: Store, n: int, *, version: bool = False, prefix: str = "data/x-00000000") -> str:
    """What a run leaves: record, log, working files and, where it registered, a version."""
    execution_id = f"{n:012x}"
    folder = store.run_folder(execution_id)
    (folder / "steps" / "Prepare" / "logs").mkdir(parents=True)
    (folder / "steps" / "Prepare" / "logs" / "job.log").write_text("log")
    (folder / "lock").touch()
    run = RunResult(execution_id, "p", "d", {}, {"DataPrefix": prefix}, started_at=float(n), status=SUCCEEDED)
    if n:  # the first is written as runs write it; to wait for the disk a thousand times would show nothing
        text = record_path(store, "0" * 12).read_text()
        text = text.replace("0" * 12, execution_id).replace('"started_at": 0.0', f'"started_at": {float(n)}')
        record_path(store, execution_id).write_text(text.replace("data/x-00000000", prefix))
    else:
        save_run(store, run)
    place = store.root / "objects" / "artifacts" / "runs" / execution_id
    for name in (*PER_RUN, *(TRAINED if version else ())):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("x" * 100)
    if version:
        register(store, execution_id)
    return execution_id


def register(store: Store, execution_id: str) -> None:
    uri = f"s3://artifacts/runs/{execution_id}"
    request = {
        "ModelPackageGroupName": "models",
        "InferenceSpecification": {"Containers": [{"Image": "image", "ModelDataUrl": f"{uri}/{TRAINED[0]}"}]},
        "ModelMetrics": {"ModelQuality": {"Statistics": {"S3Uri": f"{uri}/{TRAINED[1]}"}}},
        "CustomerMetadataProperties": {"report": f"{uri}/{TRAINED[2]}"},
    }
    LocalRegistry(store).register(request, f"arn:aws:sagemaker:x:y:pipeline/p/execution/{execution_id}/step/Register")


def files(store: Store) -> set[str]:
    root = store.root
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_a_thousand_runs_stay_under_a_bound(store: Store) -> None:
    versions = []
    most = 0
    for n in range(1_000):
        execution_id = new_run(store, n, version=n % 30 == 0)
        versions += [execution_id] if n % 30 == 0 else []
        if n % 10 == 9:
            clean(store)
            most = max(most, len(list((store.root / "runs").iterdir())))
    assert most <= KEPT_RUNS + len(versions)
    assert len(files(store)) < KEPT_RUNS * 8 + len(versions) * 8
    for execution_id in versions:
        assert all((store.root / "objects/artifacts/runs" / execution_id / name).is_file() for name in TRAINED)
        assert record_path(store, execution_id).is_file()
    assert not list((store.root / "tmp").iterdir())


def test_of_an_old_run_only_what_a_version_names_stays(store: Store) -> None:
    old, kept = new_run(store, 0, version=True), new_run(store, 1)
    plain = new_run(store, 2)
    removal = clean(store, keep=1, dry_run=True)
    before = files(store)
    assert (removal.runs, removal.files) == (1, 2 + 5)
    assert files(store) == before
    again = clean(store, keep=1)
    assert (again.runs, again.files, again.size) == (removal.runs, removal.files, removal.size)
    left = files(store)
    assert {name for name in left if old in name and name.startswith("objects")} == {
        f"objects/artifacts/runs/{old}/{name}" for name in TRAINED
    }
    assert not any(kept in name for name in left)
    assert {name for name in before if plain in name} <= left
    assert clean(store, keep=1).paths == []


def test_a_run_after_the_clock_was_set_back_is_the_newest(store: Store) -> None:
    new_run(store, 0)
    before = [new_run(store, n) for n in (1_000, 2_000)]
    clean(store)  # in its history each run has its place
    latest = new_run(store, 10)
    clean(store, keep=2)
    assert {folder.name for folder in (store.root / "runs").iterdir()} == {before[1], latest}


def test_runs_that_execute_are_left_alone(store: Store) -> None:
    executing = new_run(store, 0)
    new_run(store, 1)
    with run_lock(store, executing):
        before = files(store)
        assert clean(store, keep=1).paths == []
        assert files(store) - {HISTORY_FILE} == before
    assert clean(store, keep=1).runs == 1


@pytest.mark.parametrize("damage", ["", "{", "null"])
def test_a_damaged_version_stops_the_cleaning_and_a_damaged_record_is_kept(store: Store, damage: str) -> None:
    first, second = new_run(store, 0, version=True), new_run(store, 1)
    record_path(store, second).write_text(damage)
    clean(store, keep=0)
    assert record_path(store, second).exists(), "it may be repaired"
    path = store.root / "registry" / "models" / "1.json"
    path.write_text(damage)
    before = files(store)
    with pytest.raises(StoreError, match=r"nothing was removed.*1.json is damaged"):
        clean(store, keep=0)
    assert files(store) == before
    assert (store.root / "objects/artifacts/runs" / first / TRAINED[0]).exists()


def old(path: Path) -> None:
    stamp = time.time() - STALE_SECONDS - 60
    os.utime(path, (stamp, stamp))


def test_files_of_a_run_without_a_record_go_when_they_are_old(store: Store) -> None:
    execution_id = new_run(store, 0)
    record_path(store, execution_id).unlink()
    assert clean(store).paths == []
    for folder in (store.run_folder(execution_id), store.root / "objects/artifacts/runs" / execution_id):
        old(folder)
    clean(store)
    assert not any(execution_id in name for name in files(store))


def copies(store: Store) -> Iterator[str]:
    yield from (path.name for path in (store.root / "objects/data/data").iterdir())


def test_copies_of_data_that_no_kept_run_has_read_go(store: Store) -> None:
    new_run(store, 0, prefix="data/used-11111111")
    new_run(store, 1, prefix="data/used-11111111")
    names = ("used-11111111", "unused-22222222", "beginning-33333333", "put by hand")
    for name in names:
        folder = store.root / "objects/data/data" / name
        folder.mkdir(parents=True)
        (folder / "games.csv").write_text("x")
        if not name.startswith("beginning"):
            old(folder)
    clean(store)
    assert sorted(copies(store)) == sorted(set(names) - {"unused-22222222"})


def test_a_removal_that_is_interrupted_is_finished_by_the_next(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        new_run(store, n)
    rename, calls = Path.rename, iter(range(10))

    def interrupted(path: Path, target: Path) -> Path:
        if next(calls) == 2:
            raise OSError(5, "Input/output error", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(OSError, match="Input/output"):
        clean(store, keep=0)
    monkeypatch.undo()
    clean(store, keep=0)
    assert files(store) == {HISTORY_FILE}, "of each run a line is left"
    assert {entry.run_id for entry in local_history(store).runs} == {f"{n:012x}" for n in range(3)}


def test_the_command(store: Store) -> None:
    for n in range(3):
        new_run(store, n)
    arguments = ["--store", str(store.root), "--keep-runs", "1"]
    planned = CliRunner().invoke(main, [*arguments, "--dry-run"])
    assert planned.exit_code == 0
    assert planned.output.splitlines()[-1].startswith("would remove 2 runs, 10 files")
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert json.loads(done.stdout)["removed"] is True
    assert json.loads(done.stdout)["runs"] == 2
    assert "removed 0 runs, 0 files" in CliRunner().invoke(main, arguments).output
    new_run(store, 0, version=True)
    (store.root / "registry" / "models" / "1.json").write_text("")
    refused = CliRunner().invoke(main, [*arguments, "--json"])
    assert refused.exit_code == 1
    assert "is damaged" in json.loads(refused.stdout)["error"]
    assert CliRunner().invoke(main, ["--store", str(store.root / "runs")]).exit_code == 2


def test_a_run_that_registers_while_it_is_looked_at_keeps_its_model(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    executing = new_run(store, 0, version=True)
    save_run(store, replace(load_run(store, executing), status=EXECUTING))
    before: list[tuple[dict[str, Any], ...]] = [()]  # the first look at the registry is before the registration
    packages = LocalRegistry.packages
    monkeypatch.setattr(LocalRegistry, "packages", lambda *args: before.pop() if before else packages(*args))
    clean(store, keep=0)
    assert {path.name for path in store.root.rglob("model.tar.gz")} == {"model.tar.gz"}
    assert load_run(store, executing)


def test_a_run_that_was_resumed_counts_from_its_last_end(store: Store) -> None:
    resumed, later = new_run(store, 0), new_run(store, 1)
    for execution_id in (resumed, later, resumed):
        note_run(store, load_run(store, execution_id))
    clean(store, keep=1)
    assert [path.name for path in (store.root / "runs").iterdir()] == [resumed]
