"""What Prepare makes of the play-by-play that Aggregate left: features of every game, and a check of the final scores.

in   processing/input/team_games/team_games.csv      one row a team and game; missing where events are not used
out  processing/output/features/event_features.parquet   EVENT_FEATURES of the seasons with play-by-play, and of games
                                                         to come; the model does not read them (docs/scaling.md)
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from pipeline.contract import names as c
from pipeline.contract.container import StepError, processing_input, processing_output
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.play_by_play.event_features import COUNTED, event_features, match_events

_COLUMNS: Final = (n.DATE, "team", "opponent", "opponent_points", *COUNTED)
_NAMED: Final = 5  # games that a note names


def join_events(games: pd.DataFrame) -> list[str]:
    """Write the features of `games` (as `load_games` returns them), and return notes for the data report.

    Without play-by-play nothing is written and nothing said. Raises StepError for a file that Aggregate did not write.
    """
    path = processing_input(n.TEAM_GAMES_CHANNEL) / n.TEAM_GAMES_FILE
    if not path.exists():
        return []
    team_games = read_team_games(path)
    events = match_events(games, team_games)
    features = event_features(games, events)
    with_events = set(games.loc[events.known[0::2], n.SEASON])
    rows = games[n.SEASON].isin(with_events).to_numpy()
    table = pd.concat([games[[n.GAME_ID, n.DATE, n.HOME_TEAM, n.AWAY_TEAM]], features], axis=1)[rows]
    table.to_parquet(processing_output(c.FEATURES_CHANNEL) / n.EVENT_FEATURES_FILE, index=False)
    return _notes(len(team_games) // 2, int(events.known.sum()) // 2, events.contradicting)


def read_team_games(path: Path) -> pd.DataFrame:
    """The rows of team_games.csv; raises StepError that says how to make it again."""
    remedy = f"run Aggregate again, or remove {n.TEAM_GAMES_CHANNEL}/{path.name}"
    try:
        found = pd.read_csv(path, dtype={n.DATE: "str", "team": "str", "opponent": "str"})
    except (ValueError, OSError) as error:
        raise StepError(f"{path.name} cannot be read ({error}): {remedy}") from error
    missing = [name for name in _COLUMNS if name not in found.columns]
    if missing:
        raise StepError(f'{path.name}: column "{missing[0]}" is missing: {remedy}')
    return found


def _notes(n_given: int, n_known: int, contradicting: tuple[str, ...]) -> list[str]:
    notes = [f"play-by-play of {n_given:,} games, of which {n_known:,} fit a game played before the as-of date"]
    if contradicting:
        named = ", ".join(contradicting[:_NAMED]) + (", ..." if len(contradicting) > _NAMED else "")
        notes.append(f"in {len(contradicting):,} game(s) the play-by-play's points are not the final score: {named}")
    return notes
