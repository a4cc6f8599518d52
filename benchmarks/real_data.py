"""The real games and events, beside the project (../shared/data), not part of it."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Final

import pandas as pd

from pipeline.workloads.nba.game_data.games import load_games

ROOT: Final = Path(__file__).resolve().parents[1]
REAL_DATA: Final = ROOT.parent / "shared" / "data"
GAMES: Final = REAL_DATA / "games"  # every NBA game
EVENTS: Final = REAL_DATA / "play_by_play_2023"  # every event of the regular season 2022-23
AS_OF: Final = date(2023, 7, 1)  # after the last real game
FIRST_SEASON: Final = 2004  # that is modelled


def require(folder: Path) -> Path:
    """The folder; ends the program with exit code 2 where it is not there."""
    if not folder.is_dir():
        sys.stderr.write(f"no data at {folder}\n")
        raise SystemExit(2)
    return folder


def games_of(folder: Path = GAMES, as_of: date = AS_OF) -> pd.DataFrame:
    """Validated games, one row each."""
    return load_games(require(folder), as_of=as_of, today=as_of, max_bad_row_share=0.01, min_rows=500).rows
