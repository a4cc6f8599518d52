"""What became of every line and row of the events, file by file; and the limits on bad rows that stop a run.

Standard library only, Python 3.9 of a Spark image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from pipeline.contract.container import StepError
from pipeline.contract.reasons import bad_share, counted, some
from pipeline.workloads.nba.columns import AGGREGATED_FILE
from pipeline.workloads.nba.play_by_play.event_sql import Engine

SHOWN: Final = 3  # names of entries that are not read
EXAMPLES: Final = 20  # bad values and games that the report lists
COUNTED_KINDS: Final = ("2pt", "3pt", "freethrow", "rebound", "turnover")
RULES: Final = {
    "game_id": "is empty",
    "date": "is not a day like 2022-10-19 or 20221019",
    "period": "is not a whole number from 1 to 99",
    "clock": "is not a clock like PT11M44.00S",
    "actionNumber": "is not a whole number of at most nine digits",
    "actionType": "is empty",
    "shotResult": "is neither Made nor Missed",
    "team": "is empty",
    "description": "is empty, so that a free throw does not say which of how many it is",
}


def account(engine: Engine) -> dict[str, Any]:
    """What was read and what of it is not used, in JSON types: rows read = events + repeats + bad rows + others.

    Of each file: lines = header (1) + rows + blank lines + continued lines, and rows = kept + collapsed + bad rows +
    others. An event is kept in the first file (by name) that has it, and collapsed where it is repeated.
    Raises StepError where a line is no row.
    """
    files, others = _rows_by_file(engine)
    ((n_events, n_copies, n_bad),) = engine.rows(
        "SELECT SUM(CASE WHEN play > 0 THEN 1 ELSE 0 END), SUM(CASE WHEN play > 0 THEN copies ELSE 0 END),"
        " SUM(CASE WHEN play > 0 THEN 0 ELSE copies END) FROM events"
    )
    n_events, n_copies, n_bad = int(n_events or 0), int(n_copies or 0), int(n_bad or 0)
    games = list(engine.rows("SELECT game_id, left_out FROM games ORDER BY game_id"))
    left_out = [game for game in games if game[1]]
    bad_rows = _count_bad_rows(engine, files) if n_bad else []
    _tell_kept_from_collapsed(engine, files)
    return {
        "left_out": [{"name": item.name, "reason": item.reason} for item in engine.files.left_out],
        "n_rows_read": n_copies + n_bad + sum(others.values()),
        "n_events": n_events,
        "n_duplicates_collapsed": n_copies - n_events,
        "n_bad_rows": n_bad,
        "n_rows_not_counted": dict(sorted(others.items())),
        "n_games": len(games),
        "n_games_left_out": len(left_out),
        "bad_rows": bad_rows,
        "games_left_out": [{"game_id": game_id, "rule": rule} for game_id, rule in left_out[:EXAMPLES]],
        "files": [{"name": name, **counts} for name, counts in sorted(files.items())],
    }


def _rows_by_file(engine: Engine) -> tuple[dict[str, dict[str, Any]], Counter[str]]:
    """The lines and rows of each file by its name, and the rows of each kind that is not counted."""
    files = {
        file.name: {"rows": 0, "kept": 0, "collapsed": 0, "bad_rows": 0, "not_counted": 0}
        for file in engine.files.files
    }
    others = Counter[str]()
    for address, kind, n in engine.rows("SELECT file, kind, n_rows FROM file_rows"):
        counts = files[engine.files.name_of(address)]
        counts["rows"] += int(n)
        if kind in (None, "", *COUNTED_KINDS):
            counts["collapsed"] += int(n)  # bad ones and those that are kept are taken off later
        else:
            counts["not_counted"] += int(n)
            others[kind] += int(n)
    for file in engine.files.files:
        if file.is_csv:
            lines = file.lines_of(files[file.name]["rows"])
            continued = lines.lines - 1 - lines.rows - lines.blank
            files[file.name].update(lines=lines.lines, blank_lines=lines.blank, continued_lines=continued)
    return files, others


def _count_bad_rows(engine: Engine, files: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The first EXAMPLES of bad values; each file gets the number of its bad rows, and the first of them."""
    examples: list[dict[str, Any]] = []
    for address, column, value, n in engine.rows("SELECT * FROM broken_events ORDER BY file, broken_column, found"):
        name = engine.files.name_of(address)
        example = {"file": name, "column": column, "value": value, "rule": RULES[column], "rows": int(n)}
        if len(examples) < EXAMPLES:
            examples.append(example)
        files[name].setdefault("first_bad_row", example)
        files[name]["bad_rows"] += int(n)
        files[name]["collapsed"] -= int(n)
    return examples


def _tell_kept_from_collapsed(engine: Engine, files: dict[str, dict[str, Any]]) -> None:
    """Raises AssertionError where a file keeps more events than it has rows of them."""
    for address, n in engine.rows("SELECT file, COUNT(*) FROM events WHERE play > 0 GROUP BY file"):
        counts = files[engine.files.name_of(address)]
        counts["kept"] += int(n)
        counts["collapsed"] -= int(n)
    wrong = next((name for name, counts in files.items() if counts["collapsed"] < 0), None)
    if wrong is not None:
        raise AssertionError(f"{wrong}: more events are kept than it has rows of them: {files[wrong]}")


def refuse_bad_data(found: dict[str, Any], max_share: float, max_share_of_file: float) -> None:
    """Raise StepError where the share of bad rows of all files, or of one, is too high, or no game could be counted."""
    n_rows, n_bad = found["n_rows_read"], found["n_bad_rows"]
    if n_bad > max_share * n_rows:
        raise StepError(
            f"{bad_share(n_bad, n_rows, max_share, 'event row')}; {_first(found['bad_rows'][0])}; "
            "correct the files, or raise MaxBadRowShare"
        )
    for file in found["files"]:
        if file["bad_rows"] > max_share_of_file * file["rows"]:
            raise StepError(
                f"{file['name']}: {bad_share(file['bad_rows'], file['rows'], max_share_of_file, 'event row')}; "
                f"{_first(file['first_bad_row'])}; correct the file, remove it, or raise MaxBadRowShareOfFile"
            )
    if found["n_games"] == found["n_games_left_out"]:
        example = found["games_left_out"][0] if found["games_left_out"] else None
        reason = f": game {example['game_id']} {example['rule']}" if example else ""
        raise StepError(
            f"no game could be counted from {counted(n_rows, 'event row')}{reason}; give every event of a game, once "
            "at least"
        )


def _first(bad: dict[str, Any]) -> str:
    return f'first: {bad["file"]}: {bad["column"]} "{bad["value"]}" {bad["rule"]} ({counted(bad["rows"], "row")})'


def summarise(found: Mapping[str, Any]) -> str:
    """One sentence for people: games, and what took no part."""
    left_out, names = found["n_games_left_out"], [item["name"] for item in found["left_out"]]
    parts = [f"play-by-play of {counted(found['n_games'] - left_out, 'game')}; the next run's Prepare joins it"]
    parts += [f"{counted(left_out, 'game')} left out ({AGGREGATED_FILE} says why)"] if left_out else []
    return "; ".join([*parts, *([f"not read: {some(names, SHOWN)}"] if names else [])])
