"""A workload is one folder: a regression that shares nothing with the reference one, and no edit anywhere else."""

from __future__ import annotations

import csv
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

SOURCES = ("app.py", "cdk.json", "infra", "pipeline", "scripts")


@pytest.fixture(scope="module")
def clone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository with the folder `river`, as a user would add it, and its compiled definition."""
    folder = tmp_path_factory.mktemp("clone")
    for name in SOURCES:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    shutil.copytree(root / "tests" / "river", folder / "pipeline" / "workloads" / "river")
    assert call(folder, "-m", "pipeline.definition").returncode == 0
    return folder


def call(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "WORKLOAD"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )


def run(clone: Path, *arguments: str) -> dict[str, Any]:
    done = call(clone, "-m", "scripts.run_local", "--workload", "river", "--quiet", "--json", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


@pytest.fixture(scope="module")
def first(clone: Path) -> dict[str, Any]:
    return run(clone)


STORE = Path(".retrain") / "river" / "sample"


def test_the_first_run_registers_a_model_that_beats_its_baseline(clone: Path, first: dict[str, Any]) -> None:
    assert first["decision"] == "registered"
    assert first["metrics"]["candidate"]["squared_error"] < 0.5 * first["metrics"]["baseline"]["squared_error"]
    assert first["metrics"]["candidate"]["coverage_error"] < 0.1
    page = Path(clone / first["report"]).read_text(encoding="utf-8")
    assert "River flow" in page
    assert "Squared error (lower is better)" in page


def test_a_label_that_is_not_known_yet_is_neither_trained_nor_judged_on(clone: Path, first: dict[str, Any]) -> None:
    """Readings are labelled two days later: of the morning of 1 March, those of 26 February are the newest known."""
    assert first["data"]["last_labelled_date"] == "2025-02-26"
    with (clone / STORE / "objects/artifacts/predictions/predictions.csv").open(encoding="utf-8") as file:
        assert {row["day"] for row in csv.DictReader(file)} == {"2025-02-27", "2025-02-28"}


def test_later_the_candidate_meets_the_champion_and_the_monitor_judges_it(clone: Path, first: dict[str, Any]) -> None:
    approve = ("approve", "--version", "1", "--reason", "ok", "--store", str(STORE))
    assert call(clone, "-m", "scripts.review_model", *approve).returncode == 0
    later = run(clone, "--param", "AsOfDate=2025-06-01")
    assert later["comparison"]["champion_exists"] == "yes"
    assert later["monitor"]["alarms"] == []
    monitor = json.loads((clone / STORE / "objects/artifacts/monitor/monitor.json").read_text(encoding="utf-8"))
    assert monitor["live"]["n_rows"] == 3 * monitor["live"]["n_claims"], "one claim a day"
    with (clone / STORE / "objects/artifacts/predictions/predictions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["model"] for row in rows} == {"champion"}
    assert all(float(row["quantile_10"]) < float(row["quantile_90"]) for row in rows)
    again = run(clone, "--param", "AsOfDate=2025-06-01")
    assert again["decision"] == "no-new-data"


def test_bad_rows_are_named_by_column_value_and_rule(clone: Path, tmp_path: Path) -> None:
    assert call(clone, "-m", "scripts.make_sample", str(tmp_path / "data"), "--workload", "river").returncode == 0
    file = tmp_path / "data" / "readings.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    cells = lines[1].split(",")
    lines[1] = ",".join([*cells[:2], "east", *cells[3:]])
    cells = lines[2].split(",")
    lines[2] = ",".join([*cells[:3], "-4", *cells[4:]])
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = run(
        clone, "--data", str(tmp_path / "data"), "--store", str(tmp_path / "s"), "--param", "AsOfDate=2025-03-01"
    )
    quarantine = next((tmp_path / "s").rglob("quarantine.csv")).read_text(encoding="utf-8")
    assert '"readings.csv",2,"gauge","east","is none of north, south, west"' in quarantine
    assert '"readings.csv",3,"rain","-4","is not a number from 0 to 500"' in quarantine
    assert done["data"]["n_bad_rows"] == 2


def test_an_unknown_workload_is_answered_with_the_one_that_was_meant(clone: Path) -> None:
    done = call(clone, "-m", "scripts.run_local", "--workload", "rivr")
    assert done.returncode == 2
    assert 'there is no workload "rivr"; did you mean "river"?' in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            '"regression"',
            '"regresion"',
            'river/spec.py: SPEC.task "regresion" is none of binary, regression; did you mean',
        ),
        (
            '"MaxDepth": 3',
            '"MaxDepth": 4',
            "river/definition.json is stale: MaxDepth is 3, and 4 in spec.py: run python",
        ),
    ],
)
def test_a_broken_workload_is_refused_by_the_run_the_synthesis_and_the_check(
    clone: Path, old: str, new: str, says: str
) -> None:
    spec = clone / "pipeline" / "workloads" / "river" / "spec.py"
    sound = spec.read_text(encoding="utf-8")
    spec.write_text(sound.replace(old, new), encoding="utf-8")
    try:
        for command in (
            ("-m", "scripts.run_local", "--workload", "river"),
            ("app.py", "-c", "env=dev", "-c", "workload=river", "-o", "out-broken"),
            ("-c", "import os; os.environ['WORKLOAD'] = 'river'; from scripts.check_definition import main; main([])"),
        ):
            done = call(clone, *command)
            assert done.returncode == 2, done.stdout
            assert f"pipeline/workloads/{says}" in done.stderr
            assert "Traceback" not in done.stderr
    finally:
        spec.write_text(sound, encoding="utf-8")


def names_of(clone: Path, workload: str) -> set[str]:
    out = clone / f"out-{workload}"
    done = call(clone, "app.py", "-c", "env=dev", "-c", f"workload={workload}", "-o", str(out))
    assert done.returncode == 0, done.stderr
    (template,) = out.glob("*.template.json")
    resources = json.loads(template.read_text(encoding="utf-8"))["Resources"].values()
    keys = ("PipelineName", "ModelPackageGroupName", "DashboardName", "AlarmName", "FunctionName", "Name", "RoleName")
    named = (resource.get("Properties", {}).get(key) for resource in resources for key in keys)
    found = {name for name in named if isinstance(name, str)}
    return {template.name, *found}


def test_two_workloads_deploy_side_by_side_and_one_has_no_spark(clone: Path) -> None:
    nba, river = names_of(clone, "nba"), names_of(clone, "river")
    assert not nba & river
    template = next((clone / "out-river").glob("*.template.json")).read_text(encoding="utf-8")
    assert "Spark" not in template
    assert "Aggregate" not in template


def test_an_endpoint_is_synthesised_and_answers_as_the_batch_predicts(clone: Path, first: dict[str, Any]) -> None:
    chosen = ("-c", "env=dev", "-c", "workload=river", "-c", "serving=serverless")
    done = call(clone, "app.py", *chosen, "-o", "out-serving")
    assert done.returncode == 0, done.stderr
    (model,) = (clone / STORE / "objects/artifacts/champion").rglob("model.tar.gz")
    with (clone / STORE / "objects/artifacts/predictions/predictions.csv").open(encoding="utf-8") as file:
        predicted = list(csv.DictReader(file))
    data = next((clone / STORE / "simulated" / "2025-06-01").glob("*.csv"))
    with data.open(encoding="utf-8") as file:
        read = {row["reading_id"]: row for row in csv.DictReader(file)}
    asked = [{name: read[row["reading_id"]][name] for name in ("gauge", "rain", "warmth")} for row in predicted]
    bodies = ({"readings": asked}, {"readings": [{"gauge": "east", "rain": 1}]}, {"readings": [{"rain": 1}]})
    (_, good), *bad = asked_of_server(clone, model, bodies)
    answers = good["predictions"]
    for row, answer in zip(predicted, answers, strict=True):
        for name in ("flow_forecast", "quantile_10", "quantile_90"):
            assert answer[name] == pytest.approx(float(row[name]), rel=1e-5)
    assert [status for status, _ in bad] == [400, 400]
    assert 'gauge "east" is none of north, south, west' in bad[0][1]["error"]
    assert "a reading needs gauge, rain; reading_id, day, warmth may be left out" in bad[1][1]["error"]


def asked_of_server(clone: Path, model: Path, bodies: Iterable[Any]) -> list[tuple[int, Any]]:
    """Status and answer of each body, from the real server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "pipeline.serving.server", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(
        [*command, "--model", str(model)], cwd=clone, env={**os.environ, "WORKLOAD": "river"}, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.2)
        return [post(port, json.dumps(body).encode()) for body in bodies]
    finally:
        server.terminate()
        server.wait(timeout=30)


def post(port: int, body: bytes) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/invocations", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())
