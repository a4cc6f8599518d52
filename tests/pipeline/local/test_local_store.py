"""Objects of the store: prefixes, atomic writes, uploads."""

from __future__ import annotations

import pytest
from local_definitions import Workbench

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
