"""The image, built once for all tests of this folder; they skip, and say why, where no engine or no base image is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.local.engine import EngineError, image_details, require_engine
from scripts.build_image import build

IMAGE = "retraining:test"
MADE_BASE = "retraining-base:bookworm"  # what .ci/base-image makes where none can be pulled


def base_image() -> str | None:
    """The base image to build on; None for the Dockerfile's own."""
    chosen = os.environ.get("BASE_IMAGE")
    return chosen or (MADE_BASE if image_details(MADE_BASE) else None)


@pytest.fixture(scope="session")
def base() -> str | None:
    """See `base_image`; skips without an engine."""
    try:
        require_engine()
    except EngineError as error:
        pytest.skip(f"containers cannot be run here: {error}")
    return base_image()


@pytest.fixture(scope="session")
def image(base: str | None) -> str:
    """The image of this folder's code; skips where its base image cannot be had."""
    try:
        build(base=base, tag=IMAGE, network=os.environ.get("BUILD_NETWORK"), quiet=True)
    except EngineError as error:
        if base is None and image_details("python:3.11-slim") is None:
            pytest.skip(f"the public base image cannot be pulled here (.ci/base-image makes one): {error}")
        raise
    return IMAGE


@pytest.fixture()
def ml(tmp_path: Path) -> Path:
    """An empty folder to mount as /opt/ml."""
    folder = tmp_path / "ml"
    folder.mkdir()
    return folder
