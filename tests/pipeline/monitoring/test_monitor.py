"""The monitor: as a pure function, as the Predict step's output, and as the page that people read."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leagues import random_league

from pipeline.contract import names as c
from pipeline.contract.container import json_text
from pipeline.contract.workload import Workload, load_workload
from pipeline.monitoring.monitor import PreparedTables, monitor
from pipeline.monitoring.monitor_report import render_monitor
from pipeline.training.artifact import Artifact, ModelCard, write_artifact
from pipeline.training.champion import Champion
from pipeline.training.model import Hyperparameters, fit
from pipeline.training.training_sets import feature_matrix
from pipeline.training.walk_forward import walk_forward
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.data import results as result_table
from pipeline.workloads.nba.features import build_features, feature_signature, feature_table
from pipeline.workloads.nba.team_state.feature_names import FEATURES, LAYOUT

LIVE_SEASON = 2009
GAMES = 400


@dataclass(frozen=True)
class Case:
    """What Prepare hands over in one run, and the champion of before the season."""

    tables: PreparedTables
    champion: Champion
    prepared: dict[str, Any]


def case_of(games: pd.DataFrame) -> Case:
    features = build_features(games)
    past = feature_table(features[features[nba.SEASON] < LIVE_SEASON])
    booster = fit(feature_matrix(past), past[c.TARGET].to_numpy().astype(float), Hyperparameters(), LAYOUT)
    as_of = games[games[nba.HOME_POINTS].notna()][nba.DATE].max().date() + pd.Timedelta(days=1)
    card = ModelCard(
        as_of_date=str(games[games[nba.SEASON] == LIVE_SEASON][nba.DATE].min().date()),
        trained_before=str(games[games[nba.SEASON] == LIVE_SEASON][nba.DATE].min().date()),
        n_rows=past.num_rows,
        trained_from="2001-08-01",
        fingerprint="f",
        code_version="c",
        feature_signature=feature_signature(),
        layout=LAYOUT,
        hyperparameters=asdict(Hyperparameters()),
        walk_forward_rows=300,
        target_mean=0.6,
        xgboost_version="3",
    )
    record = walk_forward(past, Hyperparameters(), 300)
    played = features[features[c.TARGET].notna()]
    return Case(
        tables=PreparedTables(
            labelled=feature_table(played),
            upcoming=feature_table(features[features[c.TARGET].isna()]),
            results=result_table(games),
        ),
        champion=Champion("7", Artifact(booster, card, record)),
        prepared={"as_of_date": str(as_of), "simulated": False, "data": {"late_labels": []}},
    )


@pytest.fixture(scope="module")
def league() -> pd.DataFrame:
    return random_league(3, teams=12, seasons=8, games=GAMES, unplayed=50)


@pytest.fixture(scope="module")
def case(league: pd.DataFrame) -> Case:
    return case_of(league)


def watched(case: Case, **changes: Any) -> dict[str, Any]:
    given = {"tables": case.tables, "champion": case.champion, "why_silent": "", "prepared": case.prepared, **changes}
    return monitor(load_workload("nba"), given["tables"], given["champion"], given["why_silent"], given["prepared"])


def test_an_ordinary_night_has_numbers_and_no_alarm(case: Case) -> None:
    report = watched(case)
    assert report["alarms"] == []
    assert report[c.LIVE]["n_rows"] == GAMES - 50
    assert set(report[c.LIVE]["evidence"]) == {"loss", "leakage", "rate", "group"}
    assert report[c.LIVE]["scores"]["log_loss"]["as_claimed"]
    assert len(report[c.DRIFT]["rows"]) == len(FEATURES)
    assert report["parts"]["scores"]["evidence"] < 1
    assert report[c.DATA]["changed_rows"] == 0
    assert report["summary"].startswith("no alarm; champion 7: log loss 0.")


def test_home_and_away_swapped_this_season_is_an_alarm(league: pd.DataFrame) -> None:
    """With an edge of eight points, so that one short season is enough to see it."""
    games = random_league(3, teams=12, seasons=8, games=GAMES, home_edge=8.0)
    sides = [
        (nba.HOME_TEAM, nba.AWAY_TEAM),
        (nba.HOME_POINTS, nba.AWAY_POINTS),
        (nba.HOME_FRANCHISE, nba.AWAY_FRANCHISE),
    ]
    late = games[nba.SEASON] == LIVE_SEASON
    swapped = games.copy()
    for one, other in sides:
        swapped.loc[late, one], swapped.loc[late, other] = games.loc[late, other], games.loc[late, one]
    report = watched(case_of(swapped))
    assert any("a home win comes at another rate" in alarm["what"] for alarm in report["alarms"])
    assert report["summary"].startswith(report["alarms"][0]["what"])


def test_without_a_champion_only_the_data_is_looked_at(case: Case) -> None:
    report = watched(case, champion=None, why_silent="no version is approved yet")
    assert (report[c.LIVE]["enough"], report[c.DRIFT]["enough"], report["parts"]) == (False, False, {})
    assert report["summary"] == "no alarm; no version is approved yet"
    assert report[c.DATA]["days_since_newest"] == 1


@pytest.mark.parametrize("n", [0, 20])
def test_few_games_publish_nothing_and_raise_nothing(case: Case, n: int) -> None:
    first = int(np.flatnonzero(case.tables.labelled[nba.SEASON].to_numpy() == LIVE_SEASON)[0])
    report = watched(case, tables=replace(case.tables, labelled=case.tables.labelled.slice(0, first + n)))
    assert report["alarms"] == []
    assert f"{n} games since its cut-off are too few to judge version 7" in report[c.LIVE]["skip_reason"]
    assert "evidence" not in report[c.LIVE]


def test_a_rewritten_history_and_late_scores_are_data_alarms(case: Case) -> None:
    results = case.tables.results
    other = pa.array(1 - results[c.TARGET].to_numpy())
    flipped = results.set_column(results.column_names.index(c.TARGET), c.TARGET, other)
    report = watched(case, tables=replace(case.tables, results=flipped))
    assert any("gone or have another label" in alarm["what"] for alarm in report["alarms"])
    day = pd.Timestamp(case.prepared["as_of_date"]) - pd.Timedelta(days=3)
    late = {**case.prepared, "data": {"late_labels": [str(day.date())] * 9}}
    assert [alarm["part"] for alarm in watched(case, prepared=late)["alarms"]] == [c.DATA]


@pytest.mark.parametrize("delay", [0, 30])
def test_a_run_as_of_an_earlier_day_does_not_take_labels_that_are_not_known_yet_for_lost(
    case: Case, delay: int
) -> None:
    """The champion of the store was trained later than the run's as-of day."""
    record = case.champion.artifact.walk_forward
    day = record[c.TIME].to_numpy()[100]
    played, results = (
        table.filter(pa.array(table[c.TIME].to_numpy() < day - np.timedelta64(delay, "D")))
        for table in (case.tables.labelled, case.tables.results)
    )
    known = replace(case.tables, labelled=played, results=results)
    as_of = str(day.astype("datetime64[D]"))
    workload = Workload(replace(load_workload("nba").spec, label_delay_days=delay))
    report = monitor(workload, known, case.champion, "", {**case.prepared, "as_of_date": as_of})
    assert report[c.DATA]["changed_rows"] == 0


# --- as Predict writes it ---------------------------------------------------------------------------------------------
def predict(case: Case, base: Path, root: Path, *, prepared: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the step as the container does, on the run's files."""
    inputs = base / "processing" / "input"
    for channel in (c.UPCOMING_CHANNEL, c.FEATURES_CHANNEL, c.REPORT_CHANNEL, c.CHAMPION_CHANNEL):
        (inputs / channel).mkdir(parents=True)
    facts = {"as_of_date": case.prepared["as_of_date"], "feature_signature": feature_signature()}
    upcoming = case.tables.upcoming.replace_schema_metadata(facts | LAYOUT.as_metadata())
    pq.write_table(upcoming, inputs / c.UPCOMING_CHANNEL / c.UPCOMING_FILE)
    pq.write_table(case.tables.labelled, inputs / c.FEATURES_CHANNEL / c.FEATURES_FILE)
    pq.write_table(case.tables.results, inputs / c.FEATURES_CHANNEL / c.RESULTS_FILE)
    if prepared:
        (inputs / c.REPORT_CHANNEL / c.PREPARED_FILE).write_text(json.dumps(case.prepared))
    write_artifact(base / "model", case.champion.artifact)
    with tarfile.open(inputs / c.CHAMPION_CHANNEL / c.MODEL_ARCHIVE, "w:gz") as tar:
        for file in (base / "model").iterdir():
            tar.add(file, file.name)
    (inputs / c.CHAMPION_CHANNEL / c.CHAMPION_FILE).write_text('{"version": 7}')
    return subprocess.run(
        [sys.executable, "-m", "pipeline.jobs.predict"],
        cwd=root,
        env={**os.environ, c.BASE_DIR_VARIABLE: str(base)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_predict_writes_predictions_and_the_monitor(case: Case, tmp_path: Path, root: Path) -> None:
    done = predict(case, tmp_path, root)
    assert done.returncode == 0, done.stderr
    outputs = tmp_path / "processing" / "output"
    report = json.loads((outputs / c.MONITOR_CHANNEL / c.MONITOR_FILE).read_text())
    assert report == json.loads(json_text(watched(case)))
    page = (outputs / c.MONITOR_CHANNEL / c.MONITOR_REPORT_FILE).read_text()
    assert page == render_monitor(report)
    assert len((outputs / c.PREDICTIONS_CHANNEL / c.PREDICTIONS_FILE).read_text().splitlines()) == 51
    assert f"monitor: {report['summary']}" in done.stderr


def test_a_monitor_that_fails_takes_no_prediction_with_it(case: Case, tmp_path: Path, root: Path) -> None:
    done = predict(case, tmp_path, root, prepared=False)
    assert done.returncode == 0, done.stderr
    outputs = tmp_path / "processing" / "output"
    assert (outputs / c.PREDICTIONS_CHANNEL / c.PREDICTIONS_FILE).exists()
    report = json.loads((outputs / c.MONITOR_CHANNEL / c.MONITOR_FILE).read_text())
    assert "prepared.json" in report["failure"]
    page = (outputs / c.MONITOR_CHANNEL / c.MONITOR_REPORT_FILE).read_text()  # in place of the one of the run before
    assert f"<p>{case.prepared['as_of_date']}: the monitor could not be computed (FileNotFoundError: " in page


def test_an_earlier_morning_is_not_predicted_by_a_champion_that_came_later(
    case: Case, tmp_path: Path, root: Path
) -> None:
    card = replace(case.champion.artifact.card, as_of_date="2099-01-01")
    later = replace(case.champion, artifact=replace(case.champion.artifact, card=card))
    done = predict(replace(case, champion=later), tmp_path, root)
    assert done.returncode == 0, done.stderr
    outputs = tmp_path / "processing" / "output"
    with (outputs / c.PREDICTIONS_CHANNEL / c.PREDICTIONS_FILE).open() as file:
        assert {row[c.MODEL_USED] for row in csv.DictReader(file)} == {"fallback"}
    report = json.loads((outputs / c.MONITOR_CHANNEL / c.MONITOR_FILE).read_text())
    assert "trained on 2099-01-01, after the morning of" in report[c.LIVE]["skip_reason"]


# --- as people read it ------------------------------------------------------------------------------------------------
def page_of(case: Case, which: str) -> str:
    if which == "alarm":
        report = watched(case)
        report[c.DRIFT]["rows"][0] |= {"drifted": True, "p_value": 1e-9, "feature": "<b>feature</b>"}
        report[c.DRIFT]["drifted"] = ["<b>feature</b>"]
        report["alarms"] = [
            {"part": c.DRIFT, "what": "features do not look like those of earlier seasons: <b>feature</b>"},
            {"part": c.DATA, "what": "14 games should have got a label in the last 30 days and have none"},
        ]
        return render_monitor({**report, "simulated": True})
    if which == "silent":
        return render_monitor(watched(case, champion=None, why_silent="no version is approved yet"))
    return render_monitor(watched(case))


def test_the_page_says_first_whether_there_is_an_alarm(case: Case) -> None:
    assert "<span>No alarm</span>" in page_of(case, "quiet")
    alarm = page_of(case, "alarm")
    assert "2 alarms" in alarm
    assert alarm.index("14 games should have got a label") < alarm.index("Live log loss")
    assert "Simulated games." in alarm
    assert "too early to judge" in page_of(case, "silent")
    assert "No version is approved yet." in page_of(case, "silent")


def test_every_feature_and_every_kind_of_evidence_is_on_the_page(case: Case) -> None:
    page = page_of(case, "quiet")
    assert all(f">{name}</th>" in page for name in FEATURES)
    assert all(f"<strong>{name} " in page for name in ("Loss", "Suspected leakage", "Rate", "One group", "Scores"))


def test_text_from_data_is_escaped(case: Case) -> None:
    page = page_of(case, "alarm")
    assert "<b>feature</b>" not in page
    assert "&lt;b&gt;feature&lt;/b&gt;" in page


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("which", ["quiet", "alarm", "silent"])
def test_browser_shows_it_whole_without_a_request_or_an_error(
    browser: Any, case: Case, tmp_path: Path, which: str, width: int
) -> None:
    file = tmp_path / "monitor.html"
    file.write_text(page_of(case, which), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 800})
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: errors.append(message.text))
    page.goto(file.as_uri())
    overflow, text_heights = page.evaluate(
        """() => [document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth,
                  [...document.querySelectorAll("svg.figure")].map(
                      x => 12 * x.clientWidth / x.viewBox.baseVal.width)]"""
    )
    page.close()
    assert requests == [file.as_uri()]
    assert errors == []
    assert overflow <= 0
    assert len(text_heights) == (0 if which == "silent" else 1)
    assert all(height > 9 for height in text_heights)  # pixels: what a phone shows can be read
