"""Fixtures of the local runner's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from local_definitions import Workbench


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    """An empty store and a project with the step program."""
    return Workbench(tmp_path)
