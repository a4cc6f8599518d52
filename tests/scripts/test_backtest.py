"""A run of a backtest is a real run: the same numbers as `run_local` with that as-of date, in child processes."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from local_runs import SMALL, Command, run_command

from pipeline.backtest.fit_cache import FitCache
from pipeline.backtest.policies import REFERENCE, Policy
from pipeline.backtest.run import BacktestSettings, Prepared, prepare, simulate
from pipeline.backtest.simulate import NO_CHAMPION, Outcome
from pipeline.contract import names as c
from pipeline.contract import parameters
from pipeline.contract.workload import load_spec
from pipeline.workloads.nba import columns as n
from scripts.backtest import main

NBA = load_spec("nba")
NIGHTLY = Policy(max_age=20)
CLOSE = 1e-12


@dataclass(frozen=True)
class RealRun:
    """What a real run left: evaluation.json, its decision, and predictions.csv."""

    day: date
    evaluation: dict[str, Any]
    predictions: list[dict[str, str]]


def real_runs(root: Path, store: Path, data: Path, days: list[date], chosen: dict[str, str]) -> list[RealRun]:
    """Real runs on the days, each version that waits approved at once."""
    runs = []
    for day in days:
        params = [part for name, value in chosen.items() for part in ("--param", f"{name}={value}")]
        arguments = ["--data", str(data), "--store", str(store), "--json", "--param", f"AsOfDate={day}", *params]
        done = run_command(root, store.parent, "scripts.run_local", *arguments)
        assert done.code == 0, done.err
        outcome = done.json
        assert outcome["status"] == "Succeeded"
        run = store / "objects" / "artifacts" / "runs" / outcome["execution_id"]
        (file,) = run.glob("evaluate/evaluation/evaluation.json")
        with Path(outcome["predictions"]).open(encoding="utf-8", newline="") as rows:
            predictions = list(csv.DictReader(rows))
        runs.append(RealRun(day, json.loads(file.read_text(encoding="utf-8")), predictions))
        if outcome["decision"] == c.REGISTERED:
            version = str(outcome["model_package"]["version"])
            approve = ("approve", "--version", version, "--store", str(store))
            assert run_command(root, store, "scripts.review_model", *approve).code == 0
    return runs


def backtested(data: Path, cache: Path, days: list[date], chosen: dict[str, str]) -> tuple[Prepared, Outcome]:
    """The same runs by the backtest."""
    overrides = {p.name: type(p.default)(chosen[p.name]) for p in parameters.parameters_of(NBA).all if p.name in chosen}
    settings = BacktestSettings(data, days[0], days[-1], (REFERENCE, NIGHTLY), overrides, run_days=tuple(days), jobs=1)
    prepared = prepare(settings, FitCache(cache))
    return prepared, simulate(prepared, settings.policies)


def assert_same_numbers(prepared: Prepared, outcome: Outcome, runs: list[RealRun]) -> None:
    """Metrics, quality, comparison, decision and predictions of each run."""
    judgements, world = prepared.judgements, prepared.world
    for position, run in enumerate(runs):
        candidate = int(prepared.calendar.of_run[0][position])
        champion = int(outcome.champion[1, position])
        numbers = judgements.numbers(candidate)
        real = run.evaluation
        assert numbers["metrics"][c.CANDIDATE] == pytest.approx(real["metrics"][c.CANDIDATE], abs=CLOSE)
        for name in ("loss_above_baseline", "loss_above_baseline_interval"):
            assert numbers["quality"][name] == pytest.approx(real["quality"][name], abs=CLOSE)
        assert bool(prepared.passes[candidate]) == real["quality"]["passed"]
        assert (champion != NO_CHAMPION) == (real["comparison"]["champion_exists"] == "yes")
        if champion != NO_CHAMPION:
            pair = judgements.pair(champion, candidate)
            assert pair is not None
            ours = {"mean": pair.mean, "lower": pair.lower, "upper": pair.upper}
            assert ours == pytest.approx(real["comparison"]["difference"], abs=CLOSE)
        registered = position + 1 < len(runs) and int(outcome.promoted[1, position + 1]) == candidate
        if position + 1 < len(runs):
            assert registered == (real["decision"] == c.REGISTERED), run.day
        assert_same_predictions(prepared, outcome, run, position)
    assert world.run_days.size == len(runs)


def assert_same_predictions(prepared: Prepared, outcome: Outcome, run: RealRun, position: int) -> None:
    """predictions.csv of the run, for the games of its day."""
    service, world = prepared.service, prepared.world
    p = dict(zip(world.ids[service.begin :], service.predictions(outcome, 1).tolist(), strict=True))
    today = [row for row in run.predictions if row[n.DATE] == str(run.day)]
    assert len(today) == int((world.day == world.run_days[position]).sum()) > 0
    for row in today:
        assert float(row[load_spec("nba").prediction]) == np.round(p[row[n.GAME_ID]], 4)


def test_runs_of_the_simulated_league_are_real_runs(root: Path, league: Path, tmp_path: Path) -> None:
    days = [date(2025, 1, 3), date(2025, 1, 10), date(2025, 1, 31)]
    chosen = {name: value for name, value in SMALL.items() if name != "AsOfDate"} | {"MaxChampionAgeDays": "20"}
    runs = real_runs(root, tmp_path / "store", league, days, chosen)
    prepared, outcome = backtested(league, tmp_path / "cache", days, chosen)
    assert_same_numbers(prepared, outcome, runs)
    decisions = [run.evaluation["decision"] for run in runs]
    assert {c.REGISTERED, c.CHAMPION_KEPT} <= set(decisions), "the runs should show both decisions"


def test_runs_of_real_games_are_real_runs(root: Path, real_games: Path, tmp_path: Path) -> None:
    days = [date(2015, 1, 15), date(2015, 3, 2)]
    chosen = {"MaxChampionAgeDays": "20"}
    runs = real_runs(root, tmp_path / "store", real_games, days, chosen)
    prepared, outcome = backtested(real_games, tmp_path / "cache", days, chosen)
    assert_same_numbers(prepared, outcome, runs)


def backtest_command(root: Path, folder: Path, data: Path, *arguments: str) -> Command:
    """A short backtest of the league with few policies, as a user types it."""
    policies = folder / "policies.yaml"
    policies.write_text("- train: [weekly, monthly]\n", encoding="utf-8")
    params = [part for name, value in SMALL.items() if name != "AsOfDate" for part in ("--param", f"{name}={value}")]
    given = ["--data", str(data), "--policies", str(policies), "--store", str(folder / "store"), "--jobs", "1", *params]
    return run_command(root, folder, "scripts.backtest", *given, *arguments)


def test_the_command_prints_json_or_a_table_and_writes_the_report(root: Path, league: Path, tmp_path: Path) -> None:
    span = ("--from", "2025-02-01", "--to", "2025-02-28")
    done = backtest_command(root, tmp_path, league, *span, "--json", "--report", str(tmp_path / "page.html"))
    assert done.code == 0, done.err
    assert [policy["name"] for policy in done.json["policies"]] == ["never", "monthly", "weekly"]
    assert done.json["policies"][2]["counts"]["runs"] == 28
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    fits = {path: path.stat().st_mtime_ns for path in (tmp_path / "store" / "fits").rglob("*.ubj")}
    again = backtest_command(root, tmp_path, league, *span)
    assert again.code == 0, again.err
    assert all(word in again.out for word in ("never", "weekly", "monthly", "bound", "report"))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store" / "fits").rglob("*.ubj")} == fits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from", "2025-02-01"), "give the span of your data"),
        (("--from", "2025-02-01", "--to", "2025-01-01"), "is before --from"),
        (("--from", "2025-02-01", "--to", "2025-02-10", "--inject", "flood@2025-02-02"), "KIND one of bad-feed"),
        (("--from", "2025-02-01", "--to", "2025-02-10", "--param", "DataPrefix=x"), "a backtest knows FirstSeason"),
        (("--from", "2025-02-01", "--to", "2025-02-10", "--param", "MaxDepth=deep"), "is of type Integer"),
        (("--from", "2025-02-01", "--to", "2025-02-10", "--param", "MaxBadRowShare=nan"), "is of type Float"),
        (("--from", "1999-02-01", "--to", "2025-02-10"), "start later"),
    ],
)
def test_bad_usage_says_what_to_do(league: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(main, ["--data", str(league), "--store", str(tmp_path), "--quiet", *arguments])
    assert done.exit_code == 2
    assert message in done.stderr
