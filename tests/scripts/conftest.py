"""A small simulated league, written once."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pipeline.workloads.nba.sample import write as write_sample


@pytest.fixture(scope="session")
def league(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last three simulated seasons up to 2025-03-01, and a week of games to come."""
    folder = write_sample(tmp_path_factory.mktemp("league") / "games", date(2025, 3, 1))
    for path in sorted(folder.glob("simulated_*.csv"))[:-3]:
        path.unlink()
    return folder


@pytest.fixture(scope="session")
def later_league(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same league five weeks later."""
    folder = write_sample(tmp_path_factory.mktemp("later") / "games", date(2025, 4, 5))
    for path in sorted(folder.glob("simulated_*.csv"))[:-3]:
        path.unlink()
    return folder
