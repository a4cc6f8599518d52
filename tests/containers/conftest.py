"""The image, built once for all tests of this folder; they skip, and say why, where no engine or no base image is."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from containers import CONTAINER_NIGHTS, NIGHTS_WITHOUT_SPARK, Nights, hand_over, run_nights, write_events

from pipeline.local.launch.container_runtime import ContainerRuntimeError, image_details, require_container_runtime
from pipeline.local.store.store import Store
from pipeline.workloads.nba.sample import write as write_sample
from scripts.build_image import build
from targets.image import build_targets

MADE_BASE = "retraining-base:bookworm"  # what .ci/base-image makes where none can be pulled


@pytest.fixture(scope="session")
def base() -> str | None:
    """The base image to build on, None for the Dockerfile's own; skips without an engine."""
    try:
        require_container_runtime()
        made = image_details(MADE_BASE)
    except ContainerRuntimeError as error:
        pytest.skip(f"containers cannot be run here: {error}")
    return os.environ.get("BASE_IMAGE") or (MADE_BASE if made else None)


@pytest.fixture(scope="session")
def image(base: str | None) -> Iterator[str]:
    """The image of this folder's code, under a name of this process; skips where its base image cannot be had."""
    name = f"retraining-test:{os.getpid()}"
    try:
        build(base=base, tag=name, network=os.environ.get("BUILD_NETWORK"), quiet=True)
    except ContainerRuntimeError as error:
        if base is None and image_details("python:3.11-slim") is None:
            pytest.skip(f"the public base image cannot be pulled here (.ci/base-image makes one): {error}")
        raise
    yield name
    removed(name)


def removed(name: str) -> None:
    """Remove an image; the layers stay in the engine's cache, for the next run of the tests."""
    subprocess.run(["docker", "rmi", "--no-prune", name], capture_output=True, check=False)


@pytest.fixture(scope="session")
def spark_image(base: str | None) -> Iterator[str]:
    """The image that stands in for SageMaker's Spark image, under a name of this process."""
    name = f"retraining-spark-test:{os.getpid()}"
    build(base=base, tag=name, network=os.environ.get("BUILD_NETWORK"), quiet=True, spark=True)
    yield name
    removed(name)


@pytest.fixture(scope="session")
def targets_image(image: str) -> Iterator[str]:
    """The image of the whole pipeline on that of the steps, under a name of this process."""
    name = f"retraining-targets-test:{os.getpid()}"
    build_targets(steps_image=image, tag=name, network=os.environ.get("BUILD_NETWORK"), quiet=True)
    yield name
    removed(name)


@pytest.fixture(scope="session")
def league(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last three simulated seasons up to 2025-03-01, and a week of games to come."""
    folder = write_sample(tmp_path_factory.mktemp("league") / "games", date(2025, 3, 1))
    for path in sorted(folder.glob("simulated_*.csv"))[:-3]:
        path.unlink()
    return folder


@pytest.fixture(scope="session")
def world(base: str | None, league: Path) -> Iterator[Path]:  # skips without an engine, whose socket nights ask for
    """Games and the play-by-play of 24 of them, which belong to a user who is not root."""
    with tempfile.TemporaryDirectory(prefix="retraining-test-") as name:  # pytest's folders are for one user only
        folder = Path(name)
        shutil.copytree(league, folder / "games")
        write_events(folder / "events", 24)
        hand_over(folder)
        yield folder


@pytest.fixture(scope="session")
def embedded(world: Path) -> Nights:
    """Every night in child processes."""
    return run_nights(world / "embedded", world / "games", world / "events", chosen=NIGHTS_WITHOUT_SPARK)


@pytest.fixture(scope="session")
def in_containers(world: Path, image: str, spark_image: str) -> Nights:
    """The nights in containers; the store has characters in its name that a compose file gives a meaning."""
    options = ("--docker", "--image", image, "--spark-image", spark_image)
    store = world / "a store: #1 for $HOME?"
    return run_nights(store, world / "games", world / "events", *options, chosen=CONTAINER_NIGHTS)


@pytest.fixture()
def prepared(in_containers: Nights, tmp_path: Path) -> Path:
    """A new store with the nights' results, but none of Train: on the first one's parameters Prepare need not run."""
    store = tmp_path / "store"
    shutil.copytree(in_containers.store / "cache", store / "cache")
    for entry in store.glob("cache/*/entry.json"):
        if "model.tar.gz" in entry.read_text(encoding="utf-8"):
            shutil.rmtree(entry.parent)
    return store


@pytest.fixture()
def store(tmp_path: Path) -> Store:
    """In a folder with every character that a compose file or an address gives a meaning."""
    return Store(tmp_path / "a store: #1 for $HOME?")


@pytest.fixture()
def ml(tmp_path: Path) -> Path:
    """An empty folder to mount as /opt/ml."""
    folder = tmp_path / "ml"
    folder.mkdir()
    return folder
