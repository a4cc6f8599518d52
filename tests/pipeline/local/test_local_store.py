"""Objects of the store: prefixes, atomic writes, uploads."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from local_definitions import Workbench

from pipeline.local.store.run_record import RunResult, StepResult, load_run, record_path
from pipeline.local.store.store_errors import StoreError


def names(bench: Workbench, uri: str) -> list[str]:
    return [item.relative for item in bench.store.objects(uri)]


def test_a_prefix_selects_as_s3_does(bench: Workbench) -> None:
    for key in ("games/a.csv", "games/deep/b.csv", "games_new/c.csv", "games.txt", "other/d.csv"):
        bench.put(f"s3://data/{key}", key)
    assert names(bench, "s3://data/games/") == ["a.csv", "deep/b.csv"]
    assert names(bench, "s3://data/games") == ["a.csv", "deep/b.csv", "games.txt", "games_new/c.csv"]
    assert names(bench, "s3://data/games.txt") == ["games.txt"]
    assert names(bench, "s3://data/games/a") == ["a.csv"]
    assert len(names(bench, "s3://data")) == 5
    assert names(bench, "s3://data/none") == []
    assert names(bench, "s3://nobucket/x/y") == []


def test_the_same_bucket_name_start_is_another_bucket(bench: Workbench) -> None:
    bench.put("s3://data/x", "1")
    bench.put("s3://data2/x", "2")
    assert names(bench, "s3://data") == ["x"]


@pytest.mark.parametrize("uri", ["s3://bucket/../x", "s3://../x", "/opt/ml", "http://x/y", "s3://"])
def test_locations_outside_the_store_are_refused(bench: Workbench, uri: str) -> None:
    with pytest.raises(StoreError):
        bench.store.object_path(uri)


def test_an_object_cannot_be_below_another(bench: Workbench) -> None:
    bench.put("s3://data/x", "1")
    with pytest.raises(StoreError, match="a file and a folder of one name"):
        bench.put("s3://data/x/y", "2")


def test_stale_temporary_files_are_swept(bench: Workbench) -> None:
    import os

    old, new = bench.store.root / "tmp" / "old", bench.store.root / "tmp" / "new"
    old.mkdir()
    new.mkdir()
    os.utime(old, (0, 0))
    bench.store.sweep_temporary()
    assert not old.exists()
    assert new.exists()


def test_messages_name_a_given_folder_only_while_it_is_there(bench: Workbench, tmp_path: Path) -> None:
    given, uri = tmp_path / "given", "s3://data/given-00000000"
    given.mkdir()
    bench.store.note_origin(uri, given)
    assert bench.store.origin(f"{uri}/") == given
    given.rmdir()  # or the store was copied to another machine
    assert bench.store.origin(uri) == bench.store.object_path(uri)
    for damage in ("", "null", "[]", "[" * 100_000, json.dumps({uri: 7})):
        (bench.store.root / "origins.json").write_text(damage)
        assert bench.store.origin(uri) == bench.store.object_path(uri)
        bench.store.note_origin(uri, tmp_path)
        assert bench.store.origin(uri) == tmp_path


def test_a_record_of_a_later_release_is_read(bench: Workbench) -> None:
    run = RunResult("id", "p", "d", {}, {}, 2.0, steps=(StepResult("A", "Training", started_at=9.0, ended_at=8.0),))
    entry = asdict(run) | {"new": 1}
    entry["steps"][0]["new"] = 2
    bench.store.write_json(record_path(bench.store, "id"), entry)
    assert load_run(bench.store, "id") == run
    assert run.steps[0].seconds == 0.0  # the clock was set back meanwhile
