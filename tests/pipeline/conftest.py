"""Game files written and loaded in one call, and a browser for the pages that steps write."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.ingest.validated import ValidatedRows
from pipeline.workloads.nba.game_data.games import load_games

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Without these Chromium looks for its maker's hosts at every start.
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
GameFiles = Mapping[str, str | bytes | pd.DataFrame]


def write_game_files(folder: Path, files: GameFiles) -> Path:
    """Write text as CSV (gzipped by its name), bytes as they are, and frames as Parquet."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pd.DataFrame):
            content.to_parquet(path, index=False)
            continue
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") and isinstance(content, str) else data)
    return folder


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., ValidatedRows]:
    """Write files and load them as of 2021-03-01; no limits unless given."""

    def write_and_load(
        files: GameFiles,
        *,
        as_of: date = date(2021, 3, 1),
        today: date = date(2021, 3, 1),
        max_bad_row_share: float = 1.0,
        min_rows: int = 0,
        max_bad_row_share_of_file: float = 1.0,
    ) -> ValidatedRows:
        return load_games(
            write_game_files(tmp_path / "games", files),
            as_of=as_of,
            today=today,
            max_bad_row_share=max_bad_row_share,
            max_bad_row_share_of_file=max_bad_row_share_of_file,
            min_rows=min_rows,
        )

    return write_and_load


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium found")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS))
        yield chromium
        chromium.close()
