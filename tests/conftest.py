"""What all tests share: where the project is, and where real games may be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
REAL_GAMES = ROOT.parent / "shared" / "data" / "games"


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def real_games() -> Path:
    """The folder of real games; skips the test where it is missing."""
    if not REAL_GAMES.is_dir():
        pytest.skip("real games not found at ../shared/data")
    return REAL_GAMES


@pytest.fixture(scope="session")
def definition() -> dict[str, Any]:
    """The committed definition."""
    return json.loads((ROOT / "pipeline" / "definition.json").read_text(encoding="utf-8"))
