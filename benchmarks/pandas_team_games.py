"""The aggregation of events as plain pandas: the reference that benchmarks/scale.py times, and checks results against.

Plain: reads the files as they are, drops repeated rows, and makes the checks that the SQL makes (every value, one event
a number). Tuned: reads only the columns that it needs, and trusts them and the event numbers.

python -m benchmarks.pandas_team_games FOLDER OUTPUT [--tuned]
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from pipeline import contract as c

KEYS = ["game_id", "team"]


def main() -> None:
    """Read every Parquet file of FOLDER, write OUTPUT/team_games.csv."""
    folder, output = Path(sys.argv[1]), Path(sys.argv[2])
    files = sorted(folder.rglob("*.parquet"))
    tuned = "--tuned" in sys.argv
    columns = list(c.EVENT_COLUMNS) if tuned else None
    events = pd.concat([pd.read_parquet(path, columns=columns) for path in files], ignore_index=True)
    n_rows = len(events)
    found = team_games(events if tuned else checked(events))
    output.mkdir(parents=True, exist_ok=True)
    found.to_csv(output / c.TEAM_GAMES_FILE, index=False)
    print(f"{n_rows:,} rows, {len(found):,} rows of teams and games", file=sys.stderr)


COUNTED_KINDS = ["2pt", "3pt", "freethrow", "rebound", "turnover"]
RULES = {
    "game_id": "[0-9]+",
    "date": "(?:19|20)[0-9]{6}",
    "period": "[1-9][0-9]?",
    "clock": r"PT[0-9]{2}M[0-9]{2}\.[0-9]{2}S",
    "actionNumber": "[0-9]{1,9}",
    "team": ".+",
}


def checked(events: pd.DataFrame) -> pd.DataFrame:
    """The counted events, each once; refuses what the step would not count."""
    events = events[events["actionType"].isin(COUNTED_KINDS)]
    for column, rule in RULES.items():
        assert events[column].astype("str").str.fullmatch(rule).all(), column
    assert pd.to_datetime(events["date"].astype("str"), errors="coerce").notna().all()
    shots = events["actionType"].isin(["2pt", "3pt", "freethrow"])
    assert events.loc[shots, "shotResult"].isin(["Made", "Missed"]).all()
    events = events.drop_duplicates()
    assert not events.duplicated(["game_id", "actionNumber"]).any()
    assert (events.groupby("game_id")["team"].nunique() == 2).all()
    assert (events.groupby("game_id")["date"].nunique() == 1).all()
    return events


def team_games(events: pd.DataFrame) -> pd.DataFrame:
    """What the columns of team_games.csv say, for events in which nothing is bad."""
    events = events.drop_duplicates(["game_id", "actionNumber"])
    periods = events.groupby("game_id")["period"].max()
    kind, made = events["actionType"], events["shotResult"] == "Made"
    shot = kind.isin(["2pt", "3pt"])
    free = kind == "freethrow"
    of = events["description"].str.contains("2 of 2|3 of 3", regex=True)
    dead = events["qualifier"].str.contains("deadball") | (events["clock"] == "PT00M00.00S")
    events = events.assign(
        points=(made & shot) * (2 + (kind == "3pt")) + (made & free) * 1,
        field_goals_made=shot & made,
        field_goals_attempted=shot,
        threes_made=(kind == "3pt") & made,
        threes_attempted=kind == "3pt",
        free_throws_made=free & made,
        free_throws_attempted=free,
        trips=free & of,
        turnovers=kind == "turnover",
    )
    ordered = events[shot | free | ((kind == "rebound") & ~dead)].sort_values(
        ["game_id", "period", "clock", "actionNumber"], ascending=[True, True, False, True]
    )
    shooting = ordered["team"].where(ordered["actionType"] != "rebound").groupby(ordered["game_id"]).shift()
    rebound = ordered["actionType"] == "rebound"
    events["offensive_rebounds"] = (rebound & (ordered["team"] == shooting)).reindex(events.index, fill_value=False)
    events["defensive_rebounds"] = (rebound & shooting.notna() & (ordered["team"] != shooting)).reindex(
        events.index, fill_value=False
    )
    counted = ["points", "field_goals_made", "field_goals_attempted", "threes_made", "threes_attempted"]
    counted += ["free_throws_made", "free_throws_attempted", "offensive_rebounds", "defensive_rebounds", "turnovers"]
    box = events.groupby(KEYS)[[*counted, "trips"]].sum()
    box["possessions"] = box["field_goals_attempted"] + box["trips"] + box["turnovers"] - box["offensive_rebounds"]
    box["date"] = events.groupby(KEYS)["date"].first()
    return _with_rates(box.reset_index(), periods)


def _with_rates(box: pd.DataFrame, periods: pd.Series[int]) -> pd.DataFrame:
    both = box.merge(box, on="game_id", suffixes=("", "_other"))
    both = both[both["team"] != both["team_other"]].reset_index(drop=True)
    minutes = 48 + 5 * (both["game_id"].map(periods) - 4)
    both["pace"] = 24 * (both["possessions"] + both["possessions_other"]) / minutes
    for side, other, prefix in (("", "_other", ""), ("_other", "", "opponent_")):
        shots, possessions = both[f"field_goals_attempted{side}"], both[f"possessions{side}"]
        efficiency = "defensive_efficiency" if prefix else "offensive_efficiency"
        own = both[f"offensive_rebounds{side}"]
        goals = both[f"field_goals_made{side}"] + 0.5 * both[f"threes_made{side}"]
        both[efficiency] = 100 * both[f"points{side}"] / possessions
        both[f"{prefix}effective_field_goal_share"] = goals / shots
        both[f"{prefix}turnover_share"] = both[f"turnovers{side}"] / possessions
        both[f"{prefix}offensive_rebound_share"] = own / (own + both[f"defensive_rebounds{other}"])
        both[f"{prefix}free_throw_rate"] = both[f"free_throws_made{side}"] / shots
    return both.sort_values(["date", "game_id", "team"], ignore_index=True)


if __name__ == "__main__":
    main()
