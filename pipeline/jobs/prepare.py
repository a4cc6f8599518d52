"""Prepare: raw game files -> validated games -> features; says whether anything is new.

in   processing/input/data/*.csv|csv.gz|parquet     every game, played or to come (docs/data.md)
     processing/input/champion/champion.json         whether a version is in use: without one, new games never wait
     processing/input/evaluated/last_evaluated.json  the last evaluated candidate
     processing/input/evaluated/registered.json      the registry has it; missing where it does not
     processing/input/team_games/                    what Aggregate left of the play-by-play (see prepare_events.py)
out  processing/output/features/features.parquet     played games from the first modelled season on
     processing/output/features/state.parquet        the league on the as-of morning (travels with the model)
     processing/output/features/results.parquet      every played game's result: for a reference of its own
     processing/output/upcoming/upcoming.parquet     games not yet played
     processing/output/report/prepared.json          has_new_data, why, fingerprint, data summary
     processing/output/report/quarantine.csv         bad rows with file, line, column, value, rule

python -m pipeline.jobs.prepare --as-of 2025-03-01 --training-config max_depth=3 learning_rate=0.05
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from pipeline.contract import names as c
from pipeline.contract.container import (
    StepError,
    code_version,
    processing_input,
    processing_output,
    public_path,
    run_step,
)
from pipeline.contract.parameters import TIME_ZONE, snake_case
from pipeline.evaluation.news import Tonight, judge_news, read_last_evaluated, read_last_registered
from pipeline.ingest.row_counts import took_no_part
from pipeline.ingest.spreadsheet_text import safe_columns
from pipeline.ingest.today import parse_as_of, today_in
from pipeline.jobs.limits import parse_limits
from pipeline.training.champion import read_metadata
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.data.games import BadData, ValidatedGames, count_rules, games_fingerprint, load_games
from pipeline.workloads.nba.feature_names import LAYOUT
from pipeline.workloads.nba.features import feature_signature, features_and_state
from pipeline.workloads.nba.play_by_play.prepare_events import join_events
from pipeline.workloads.nba.state_file import write_state
from pipeline.workloads.nba.tables import result_table

EXAMPLES_OF_A_RULE = 2  # in the report; quarantine.csv holds every violation
MAX_ROW_GROUP = 16_384  # games: a part that training can read by itself
MIN_ROW_GROUP = 256
MANY_ROW_GROUPS = 64  # so that every host of a training job has an equal share of them
LATE_SCORE_DAYS = 30  # a game that has had no score for longer is a known gap


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The step's command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.jobs.prepare", description=__doc__)
    parser.add_argument("--as-of", default="today", help="YYYY-MM-DD, or today in --time-zone")
    parser.add_argument("--time-zone", default=TIME_ZONE, help="of the games' days (IANA name)")
    parser.add_argument("--first-season", type=int, default=2004)
    parser.add_argument("--max-bad-row-share", type=float, default=0.01)
    parser.add_argument("--max-bad-row-share-of-file", type=float, default=0.2)
    parser.add_argument("--min-rows", type=int, default=1000)
    parser.add_argument("--min-days-between-trainings", type=int, default=0, help="of runs that nobody asked for")
    parser.add_argument("--trigger", default="manual", help="what started the run; a schedule and new data wait")
    parser.add_argument(
        "--training-config", nargs="*", default=[], metavar="NAME=VALUE", help="what training will be told"
    )
    parser.add_argument("--limits", nargs="*", default=[], metavar="NAME=VALUE", help="what candidates are held to")
    return parser.parse_args(argv)


def fingerprint(games_digest: str, training_config: Sequence[str], first_season: int, code: str) -> str:
    """What a candidate is made of: game content, training config and code. Equal fingerprints give equal candidates."""
    parts = sorted(_canonical(item) for item in training_config)
    text = "\n".join([games_digest, f"first_season={first_season}", *parts, code])
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(item: str) -> str:
    """`max_depth=3` and `max_depth=3.0` are one training config."""
    name, _, value = item.partition("=")
    try:
        return f"{name}={float(value)!r}"
    except ValueError:
        return item


def data_summary(validated: ValidatedGames, modelled: pd.DataFrame, as_of: date) -> dict[str, Any]:
    """Counts of the data report; JSON types only."""
    games, quarantine = validated.games, validated.quarantine
    played = games[games[nba.HOME_POINTS].notna()]
    rules = count_rules(quarantine)
    examples = quarantine.groupby(quarantine["rule"].str.split(":").str[0], sort=False).head(EXAMPLES_OF_A_RULE)
    newest = played[nba.DATE].max().date()
    return {
        "files": [
            {
                "name": f.name,
                "lines": asdict(f.lines),
                "rows": f.rows,
                "games": f.games,
                "replaced_rows": f.replaced,
                "bad_rows": f.bad_rows,
                "first_date": _text(f.first_date),
                "last_date": _text(f.last_date),
                "unused_columns": list(f.unused_columns),
            }
            for f in validated.files
        ],
        "took_no_part": took_no_part(validated.files, validated.left_out),
        "left_out": [{"name": item.name, "reason": item.reason} for item in validated.left_out],
        "n_rows_read": validated.n_rows_read,
        "n_rows": len(games),
        "n_played": len(played),
        "n_modelled": len(modelled),
        "n_upcoming": len(games) - len(played),
        "n_duplicates_collapsed": validated.n_duplicates_collapsed,
        "n_unplayed_superseded": validated.n_unplayed_superseded,
        "n_bad_rows": validated.n_bad_rows,
        "n_scores_hidden": validated.n_scores_hidden,
        "late_scores": [
            str(day) for day in validated.days_without_score if day >= as_of - timedelta(days=LATE_SCORE_DAYS)
        ],
        "first_date": str(played[nba.DATE].min().date()),
        "last_played_date": str(newest),
        "quarantine_rules": [{"rule": str(rule), "n_rows": int(n)} for rule, n in rules.items()],
        "quarantine_examples": examples.astype(str).to_dict("records"),
        "seasons": [
            {"season": int(str(season)), "n_rows": len(group), "home_win_rate": float(group[c.TARGET].mean())}
            for season, group in modelled.groupby(nba.SEASON)
        ],
        "notes": [
            f"the newest played game is of {newest}, {(as_of - newest).days:,} day(s) before the as-of date",
            *validated.notes,
            *(f"{name} is a link to {target}, which is read too" for name, target in validated.linked.items()),
        ],
    }


def _text(day: date | None) -> str | None:
    return None if day is None else str(day)


def write_quarantine(folder: Path, quarantine: pd.DataFrame) -> None:
    """Every violation with file, line, column, value and rule; no cell is a formula."""
    table = safe_columns(pa.Table.from_pandas(quarantine, preserve_index=False))
    pyarrow.csv.write_csv(table, folder / c.QUARANTINE_FILE, pyarrow.csv.WriteOptions(quoting_style="needed"))


def write_features(path: Path, features: pd.DataFrame, facts: Mapping[str, str]) -> None:
    """A Parquet file whose metadata carries the facts that Train needs for the model's card."""
    table = pa.Table.from_pandas(features, preserve_index=False)
    metadata = {key.encode(): value.encode() for key, value in facts.items()}
    group = min(MAX_ROW_GROUP, max(MIN_ROW_GROUP, -(-len(features) // MANY_ROW_GROUPS)))
    pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=group)


def validate(arguments: argparse.Namespace, as_of: date, today: date, report: Path) -> ValidatedGames:
    """The validated games; the quarantine is written either way. Raises StepError for data that must not be used."""
    try:
        validated = load_games(
            processing_input(c.DATA_CHANNEL),
            as_of=as_of,
            today=today,
            max_bad_row_share=arguments.max_bad_row_share,
            max_bad_row_share_of_file=arguments.max_bad_row_share_of_file,
            min_rows=arguments.min_rows,
        )
    except BadData as error:
        write_quarantine(report, error.quarantine)
        reason = str(error).replace(c.QUARANTINE_FILE, public_path(report / c.QUARANTINE_FILE), 1)
        raise StepError(reason) from error
    write_quarantine(report, validated.quarantine)
    return validated


def main(argv: Sequence[str]) -> None:
    """Read, validate, build features, compare the fingerprint, write."""
    arguments = parse_arguments(argv)
    for name in ("MaxBadRowShare", "MaxBadRowShareOfFile"):
        share = getattr(arguments, snake_case(name))
        if not 0 <= share <= 1:
            raise StepError(f"{name} {share:g} is not a share from 0 to 1")
    today = today_in(arguments.time_zone)
    as_of = parse_as_of(arguments.as_of, today, arguments.time_zone)
    report = processing_output(c.REPORT_CHANNEL)
    validated = validate(arguments, as_of, today, report)
    features, state = features_and_state(validated.games, as_of)
    results = validated.games[validated.games[nba.HOME_POINTS].notna()]
    played = features[c.TARGET].notna()
    modelled = features[played & (features[nba.SEASON] >= arguments.first_season)]
    if modelled.empty:
        raise StepError(
            f"no played game from season {arguments.first_season} on: lower FirstSeason or put newer games under "
            "DataPrefix"
        )
    last_evaluated = read_last_evaluated(processing_input(c.EVALUATED_CHANNEL))
    facts = {
        "as_of_date": str(as_of),
        "fingerprint": fingerprint(
            games_fingerprint(results),
            arguments.training_config,
            arguments.first_season,
            code_version(),
        ),
        "training_config_fingerprint": fingerprint(
            "", arguments.training_config, arguments.first_season, code_version()
        ),
        "feature_signature": feature_signature(),
        "time_zone": arguments.time_zone,
        **LAYOUT.as_metadata(),
    }
    tonight = Tonight(
        facts,
        champion=read_metadata(processing_input(c.CHAMPION_CHANNEL))["version"] is not None,
        trigger=arguments.trigger,
        min_days=arguments.min_days_between_trainings,
        limits=parse_limits(arguments.limits),
    )
    news = judge_news(last_evaluated, read_last_registered(processing_input(c.EVALUATED_CHANNEL)), tonight)
    write_features(processing_output(c.FEATURES_CHANNEL) / c.FEATURES_FILE, modelled, facts)
    write_state(processing_output(c.FEATURES_CHANNEL) / c.STATE_FILE, state)
    pq.write_table(result_table(results), processing_output(c.FEATURES_CHANNEL) / c.RESULTS_FILE)
    write_features(processing_output(c.UPCOMING_CHANNEL) / c.UPCOMING_FILE, features[~played], facts)
    data = data_summary(validated, modelled, as_of)
    data["notes"] += join_events(validated.games)
    prepared: dict[str, Any] = {
        "has_new_data": c.YES if news.train else c.NO,
        "reason": news.reason,
        **facts,
        "last_evaluated": last_evaluated,
        "simulated": bool(validated.games[nba.HOME_TEAM].str.startswith("SIM").any()),
        "training_config": dict(item.split("=", 1) for item in arguments.training_config),
        "data": data,
    }
    (report / c.PREPARED_FILE).write_text(json.dumps(prepared, indent=2) + "\n", encoding="utf-8")
    sys.stderr.write(
        f"{data['n_played']:,} played games to {data['last_played_date']}, {data['n_upcoming']:,} upcoming, "
        f"{data['n_bad_rows']:,} bad rows; {news.reason}\n"
        + (f"took no part: {data['took_no_part']}\n" if data["took_no_part"] else "")
    )


if __name__ == "__main__":
    sys.exit(run_step(main, sys.argv[1:]))
