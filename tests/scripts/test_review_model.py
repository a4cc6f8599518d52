"""Reviews through the command line, on a store with real versions made by small runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from local_runs import Command, run_command, run_local


@pytest.fixture(scope="module")
def store(
    root: Path, league: Path, tmp_path_factory: pytest.TempPathFactory, new_store: Callable[[Path], Path]
) -> Path:
    """Two versions, both waiting."""
    store = new_store(tmp_path_factory.mktemp("reviews") / "store")
    for depth in ("2", "3"):
        assert run_local(root, store, league, MaxDepth=depth).code == 0
    return store


def review(root: Path, store: Path, *arguments: str) -> Command:
    return run_command(root, store.parent, "scripts.review_model", *arguments, "--store", str(store))


def champion(store: Path) -> dict[str, object]:
    return json.loads((store / "objects" / "artifacts" / "champion" / "champion.json").read_text())


def artifact(store: Path, version: int) -> bytes:
    package = json.loads((store / "registry" / "model" / f"{version}.json").read_text())
    uri = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    return (store / "objects" / uri.removeprefix("s3://")).read_bytes()


def promoted(store: Path) -> bytes:
    return (store / "objects" / "artifacts" / "champion" / str(champion(store)["artifact"])).read_bytes()


def test_the_story_of_two_versions(root: Path, store: Path) -> None:
    """Approve, approve the next, roll back, reject the one in use, reject the last."""
    listed = review(root, store, "list")
    assert listed.code == 0
    assert "none is in use" in listed.out
    rows = json.loads(review(root, store, "list", "--json").out)
    assert [row["version"] for row in rows] == [2, 1]
    assert all(0 < row["loss"] < 1 for row in rows)

    assert review(root, store, "approve", "--version", "1").code == 0
    assert promoted(store) == artifact(store, 1)
    done = review(root, store, "approve", "--version", "2", "--reason", "deeper trees")
    assert "instead of version 1" in done.out
    assert promoted(store) == artifact(store, 2) != artifact(store, 1)

    assert review(root, store, "approve", "--version", "1").code == 0  # a roll-back
    assert champion(store)["version"] == 1
    assert promoted(store) == artifact(store, 1)

    done = review(root, store, "reject", "--version", "1", "--reason", "wrong after all")
    assert "version 2 is the champion again" in done.out
    assert promoted(store) == artifact(store, 2)
    done = review(root, store, "reject", "--version", "2", "--reason", "so is this")
    assert "no version is in use now" in done.out
    assert champion(store) == {"version": None}
    assert [p.name for p in (store / "objects" / "artifacts" / "champion").iterdir()] == ["champion.json"]

    shown = review(root, store, "show", "--version", "1")
    assert "rejected" in shown.out
    assert "log loss" in shown.out
    assert json.loads(review(root, store, "show", "--json").out)["ModelPackageVersion"] == 2


def test_refusals_say_what_there_is(root: Path, store: Path, tmp_path: Path) -> None:
    unknown = review(root, store, "approve", "--version", "7")
    assert unknown.code == 2
    assert "has no version 7; it has 1, 2" in unknown.err
    assert review(root, store, "reject", "--version", "1").code == 2, "a rejection needs a reason"
    nowhere = run_command(root, tmp_path, "scripts.review_model", "list")
    assert nowhere.code == 2
    assert "make run" in nowhere.err


def test_a_lost_artifact_is_not_promoted(root: Path, store: Path) -> None:
    review(root, store, "reject", "--version", "1", "--reason", "to start from no champion")
    package = json.loads((store / "registry" / "model" / "1.json").read_text())
    uri = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    path = store / "objects" / uri.removeprefix("s3://")
    content = path.read_bytes()
    path.unlink()
    try:
        done = review(root, store, "approve", "--version", "1")
        assert done.code == 1
        assert "lost its artifact" in done.err
        assert champion(store) == {"version": None}
        assert "rejected" in review(root, store, "show", "--version", "1").out
    finally:
        path.write_bytes(content)
