"""Made-up play-by-play: one written by hand, and seasons of random games with every oddity that a feed has."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.workloads.nba import columns as nba

Event = dict[str, Any]

# What the one engine may take for a number, a day or a clock, and the other not.
ODD_VALUES = [
    "",
    None,
    "?",
    "7.5",
    " ",
    "1e3",
    "-1",
    "7d",
    "2022-02-30",
    "0",
    "1.0",
    "1.00",
    "0x1",
    "1_0",
    "01",
    "1\n",
    "+1",
    "2022-10-18T19:30:00Z",
    "20221018 1",
    "2022-1018",
    "2022-10-18x",
    "PT6M00.00S",
    "PT06M00.00S ",
    "٣",
    "1" * 30,
]


def event(
    number: int,
    kind: str,
    team: str,
    result: str | None = None,
    *,
    period: int = 1,
    clock: str = "PT06M00.00S",
    description: str = "",
    qualifier: str = "[]",
    game_id: str = "22200001",
    date: str = "2022-10-18",
) -> Event:
    """One row by the feed's names."""
    values = (game_id, date, period, clock, number, kind, result, team, description or f"{team} {kind}", qualifier)
    return dict(zip(nba.EVENT_COLUMNS, values, strict=True))


def a_game(**changes: Any) -> list[Event]:
    """Home (HOM) scores 8 points on 5 possessions, away (AWY) 3 on 4, in regular time.

    What is odd in it: an and-one, an offensive rebound after the last free throw, a technical free throw, rebounds of
    the team that decide nothing, a rebound after the buzzer, and an event that was corrected and so has a late number.
    """
    free = "Free Throw {} of {}"
    dead = "['deadball', 'team']"
    end = "PT00M00.00S"
    # Columns of the rows below: period, clock, number, kind, team, result, description, qualifier
    rows: list[tuple[int, str, int, str, str, str | None, str, str]] = [
        # HOM 1: a three. (3)
        (1, "PT11M40.00S", 7, "3pt", "HOM", "Made", "", "[]"),
        # AWY 1: a miss, rebounded by HOM.
        (1, "PT11M20.00S", 8, "2pt", "AWY", "Missed", "", "[]"),
        (1, "PT11M18.00S", 9, "rebound", "HOM", None, "", "[]"),
        # HOM 2: a made two with a foul; its free throw misses, and HOM rebounds: the possession goes on, to a turnover.
        (1, "PT11M00.00S", 10, "2pt", "HOM", "Made", "", "[]"),
        (1, "PT11M00.00S", 11, "foul", "AWY", None, "", "[]"),
        (1, "PT11M00.00S", 12, "freethrow", "HOM", "Missed", free.format(1, 1), "[]"),
        (1, "PT10M58.00S", 13, "rebound", "HOM", None, "", "[]"),
        (1, "PT10M40.00S", 14, "turnover", "HOM", None, "", "[]"),
        # AWY 2: two free throws: the first misses (a dead rebound), the second is made. (1)
        (2, "PT09M00.00S", 20, "freethrow", "AWY", "Missed", free.format(1, 2), "[]"),
        (2, "PT09M00.00S", 21, "rebound", "AWY", None, "TEAM offensive REBOUND", dead),
        (2, "PT09M00.00S", 22, "freethrow", "AWY", "Made", free.format(2, 2), "[]"),
        # A technical foul of AWY: one free throw, which is no possession. (6)
        (2, "PT09M00.00S", 23, "freethrow", "HOM", "Made", "Free Throw Technical", "[]"),
        # HOM 3: two free throws, the last misses, HOM rebounds, and scores. (8)
        (3, "PT08M00.00S", 30, "freethrow", "HOM", "Missed", free.format(1, 2), "[]"),
        (3, "PT08M00.00S", 31, "rebound", "HOM", None, "TEAM offensive REBOUND", dead),
        (3, "PT08M00.00S", 32, "freethrow", "HOM", "Missed", free.format(2, 2), "[]"),
        # This rebound was entered late: by its number alone it would follow the miss of AWY below.
        (3, "PT07M58.00S", 99, "rebound", "HOM", None, "", "[]"),
        (3, "PT07M50.00S", 33, "2pt", "HOM", "Made", "", "[]"),
        # AWY 3: a miss, AWY rebounds, and scores. (3)
        (3, "PT07M30.00S", 34, "2pt", "AWY", "Missed", "", "[]"),
        (3, "PT07M28.00S", 35, "rebound", "AWY", None, "", "[]"),
        (3, "PT07M20.00S", 36, "2pt", "AWY", "Made", "", "[]"),
        # HOM 4: a turnover; AWY 4: a shot at the buzzer, with a rebound after it.
        (4, "PT00M05.00S", 40, "turnover", "HOM", None, "", "[]"),
        (4, end, 41, "3pt", "AWY", "Missed", "", "[]"),
        (4, end, 42, "rebound", "AWY", None, "TEAM offensive REBOUND", "['team']"),
        (4, "PT02M00.00S", 43, "substitution", "HOM", None, "", "[]"),
    ]
    return [
        {**event(n, kind, team, result, period=p, clock=clock, description=text, qualifier=qualifier), **changes}
        for p, clock, n, kind, team, result, text, qualifier in rows
    ]


def random_season(seed: int, n_games: int) -> dict[str, list[Event]]:
    """Random events of `n_games` games in four files; each game in one or two of them, some rows once more.

    Not basketball: any event may follow any other, which is what a comparison of two engines wants. Among the games are
    ones in overtime, ones broken by a bad value, a contradiction, a third team, two days or a missing fourth period.
    """
    rng = random.Random(seed)  # noqa: S311 (not for secrets)
    files: dict[str, list[Event]] = {name: [] for name in ("a.parquet", "b.parquet", "c.csv", "d.csv.gz")}
    for number in range(n_games):
        events = random_game(rng, number)
        for name in rng.sample(sorted(files), k=rng.choice((1, 2, 2, 3))):
            files[name].extend(rng.sample(events, k=len(events)))  # rows in any order
            files[name].extend(rng.sample(events, k=rng.randrange(3)))
    return files


def random_game(rng: random.Random, number: int) -> list[Event]:
    """The events of one such game."""
    teams = rng.sample(["BOS", "PHI", "O'K", "Łdź", "LAL"], 2)
    game = {"game_id": f"222{number:05d}", "date": rng.choice(["2022-10-18", "20221019"])}
    periods = rng.choice((4, 4, 4, 5, 6, 3))
    events = [_random_event(rng, n, period, teams, game) for n, period in enumerate(_periods(rng, periods))]
    quirk = rng.randrange(10)
    chosen = rng.choice(events)
    if quirk <= 3:  # of odd values there are many
        column = rng.choice(nba.EVENT_COLUMNS[:-1])
        chosen[column] = rng.choice(ODD_VALUES)
    elif quirk == 4:
        events.append({**chosen, "team": teams[0] if chosen["team"] == teams[1] else teams[1]})
    elif quirk == 5:
        chosen["team"] = "XXX"
    elif quirk == 6:
        chosen["date"] = "2022-12-31"
    return events


def _periods(rng: random.Random, n: int) -> Iterable[int]:
    return (period for period in range(1, n + 1) for _ in range(rng.randrange(4, 12)))


def _random_event(rng: random.Random, n: int, period: int, teams: list[str], game: dict[str, str]) -> Event:
    kinds = ["2pt", "3pt", "freethrow", "rebound", "rebound", "turnover", "foul", "timeout", "jumpball", "new kind"]
    kind = rng.choice(kinds)
    of = rng.choice(["1 of 1", "1 of 2", "2 of 2", "3 of 3", "Technical"])
    shot = kind in ("2pt", "3pt", "freethrow")
    return event(
        n,
        kind,
        rng.choice(teams),
        rng.choice(["Made", "Missed"]) if shot else None,
        period=period,
        # few seconds, so that many events share one
        clock=f"PT{rng.randrange(12):02d}M{rng.choice([0, 0, 30]):02d}.{rng.choice([0, 50]):02d}S",
        description=f'"{teams[0]}", said\nFree Throw {of}' if kind == "freethrow" else "",
        qualifier=rng.choice(["[]", "['team']", "['deadball', 'team']", None]),  # type: ignore[arg-type]
        **game,
    )


def write_events(folder: Path, files: dict[str, list[Event]]) -> Path:
    """Write each file in the format that its name says; columns in another order in each, and one that nobody reads.

    A line break stands as it is in Parquet, and only in the column that nobody reads in CSV.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for place, (name, events) in enumerate(files.items()):
        columns = [*nba.EVENT_COLUMNS[place:], *nba.EVENT_COLUMNS[:place], "extra"]
        frame = pd.DataFrame(events, columns=columns)
        if name.endswith(".parquet"):
            frame.astype("str").where(frame.notna(), None).to_parquet(folder / name, index=False)
        else:
            extra = frame["description"].where(frame["description"].astype("str").str.contains("\n"))
            frame.replace("\n", " ", regex=True).assign(extra=extra).to_csv(folder / name, index=False)
    return folder
