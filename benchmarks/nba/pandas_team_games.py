"""The aggregation of events as plain pandas: the reference that benchmarks/scale.py times, and checks results against.

Plain: reads the files as they are, drops repeated rows, makes the checks that the SQL makes, accounts for every row.
Tuned: reads only the columns that it needs, trusts them and the event numbers, and accounts for nothing.
Object strings: plain, but a text is a Python object, as it was in pandas until 3.0 (an option that pandas 4 will drop).

out  team_games.csv      one row a team and game, with these columns of the step's and some of its own
     aggregated.json     what the step writes of the rows (not with --tuned)

python -m benchmarks.nba.pandas_team_games FOLDER OUTPUT [--tuned | --object-strings]
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.play_by_play.event_account import RULES

KEYS = ["game_id", "team"]
COUNTED_KINDS = ["2pt", "3pt", "freethrow", "rebound", "turnover"]
PATTERNS = {
    "game_id": "[0-9]+",
    "date": "(?:19|20)[0-9]{6}",
    "period": "[1-9][0-9]?",
    "clock": r"PT[0-9]{2}M[0-9]{2}\.[0-9]{2}S",
    "actionNumber": "[0-9]{1,9}",
    "team": ".+",
}


def main() -> None:
    """Read every Parquet file of FOLDER, write OUTPUT/team_games.csv, and OUTPUT/aggregated.json."""
    folder, output = Path(sys.argv[1]), Path(sys.argv[2])
    if "--object-strings" in sys.argv:
        with warnings.catch_warnings(action="ignore"):  # it is deprecated
            pd.set_option("future.infer_string", False)
    files = sorted(folder.rglob("*.parquet"))
    output.mkdir(parents=True, exist_ok=True)
    if "--tuned" in sys.argv:
        columns = list(nba.EVENT_COLUMNS)
        events = pd.concat([pd.read_parquet(path, columns=columns) for path in files], ignore_index=True)
    else:
        everything = pd.concat([pd.read_parquet(path).assign(file=path.name) for path in files], ignore_index=True)
        events, account = checked(everything)
        (output / nba.AGGREGATED_FILE).write_text(json.dumps(account, indent=2) + "\n", encoding="utf-8")
    found = team_games(events)
    found.to_csv(output / nba.TEAM_GAMES_FILE, index=False)
    print(f"{len(found):,} rows of teams and games", file=sys.stderr)


def checked(events: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The events of games that can be counted, each once, and an account of every row, as the step's is."""
    kind = events["actionType"]
    other = ~kind.isin([*COUNTED_KINDS, ""]) & kind.notna()
    counted = events[~other]
    broken = broken_columns(counted)
    good = counted[broken.isna()]
    once = good.drop_duplicates(good.columns.drop("file"))
    games = games_left_out(once, counted.loc[broken.notna(), "game_id"])
    left_out = games[games.notna()]
    bad = counted[broken.notna()].assign(column=broken.dropna())
    account = {
        "left_out": [],  # the folder is given: it holds nothing else
        "n_rows_read": len(events),
        "n_events": len(once),
        "n_duplicates_collapsed": len(good) - len(once),
        "n_bad_rows": len(bad),
        "n_rows_not_counted": kind[other].value_counts().sort_index().to_dict(),
        "n_games": len(games),
        "n_games_left_out": len(left_out),
        "bad_rows": [
            {"file": file, "column": column, "value": str(value), "rule": RULES[str(column)], "rows": n}
            for (file, column), found in bad.groupby(["file", "column"])
            for value, n in found[column].value_counts(dropna=False).items()
        ],
        "games_left_out": [{"game_id": str(name), "rule": rule} for name, rule in left_out.items()],
    }
    return once[once["game_id"].map(games).isna()], account


def broken_columns(events: pd.DataFrame) -> pd.Series[str]:
    """The first column of each row that breaks its rule; NaN for a good row."""
    broken = pd.Series(pd.NA, index=events.index, dtype="str")
    for column, rule in PATTERNS.items():
        broken[~events[column].astype("str").str.fullmatch(rule) & broken.isna()] = column
    days = pd.to_datetime(events["date"].astype("str"), errors="coerce")
    broken[days.isna() & broken.isna()] = "date"
    kind = events["actionType"]
    broken[(kind.isna() | (kind == "")) & broken.isna()] = "actionType"
    shots = kind.isin(["2pt", "3pt", "freethrow"])
    broken[shots & ~events["shotResult"].isin(["Made", "Missed"]) & broken.isna()] = "shotResult"
    nameless = events["description"].isna() | (events["description"] == "")
    broken[(kind == "freethrow") & nameless & broken.isna()] = "description"
    return broken


def games_left_out(events: pd.DataFrame, bad: pd.Series[int]) -> pd.Series[str]:
    """Why a game cannot be counted, by its id; NaN where it can. `bad` holds the game of each bad row."""
    by_game = events.groupby("game_id")
    rules = {
        "has not reached the fourth period": by_game["period"].max() < 4,
        "does not have events of two teams": by_game["team"].nunique() != 2,
        "has events of several days": by_game["date"].nunique() != 1,
        "has events that contradict each other under one actionNumber": by_game["actionNumber"].nunique()
        != by_game.size(),
    }
    found = pd.Series(pd.NA, index=pd.Index(sorted({*events["game_id"].unique(), *bad})), dtype="str")
    for rule, breaks in rules.items():  # the weightiest last
        found[breaks.index[breaks]] = rule
    found[bad.unique()] = "has bad events"
    return found


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
