"""The command: settings in, an estimate out, from the synthesised stack itself."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipeline.cost.estimate import estimate
from pipeline.cost.prices import PriceError, load_prices
from pipeline.cost.run_cost import measured_seconds, run_costs
from pipeline.local.store.run_record import RunResult, StepResult, save_run
from pipeline.local.store.store import Store
from pipeline.workloads.nba.spec import SPEC
from scripts.estimate_cost import find_seconds, last_seconds, main
from scripts.output.cost import run_table
from scripts.writers.reference import with_estimate

MAILED = ("-c", "env=prod", "-c", "alert_emails=oncall@example.com", "-c", "approver_emails=lead@example.com")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture(scope="module")
def prod() -> dict[str, Any]:
    """The estimate of prod, from the committed measurement."""
    found = run(*MAILED, "--seconds-from", "committed", "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_the_aims_for_a_run_are_kept_with_requests_and_start_up(prod: dict[str, Any]) -> None:
    assert prod["run_without_training"]["dollars"] <= 0.02
    assert prod["run_with_training"]["dollars"] <= 0.06
    steps = [job["step"] for job in prod["run_with_training"]["jobs"]]
    assert steps == ["Prepare", "Predict", "Train", "Evaluate"]


def test_a_step_that_ran_here_only_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.estimate_cost.measured_needs", dict)
    assert run("-c", "env=prod").exit_code == 0


def test_every_resource_of_the_stack_is_priced_or_free(prod: dict[str, Any]) -> None:
    """The command refuses a type of resource that it does not know, so it ran through all of them."""
    lines = {line["name"] for line in prod["fixed_costs"]}
    assert {"2 keys", "1 dashboard", "2 functions"} <= lines
    assert prod["fixed_dollars_a_month"] == pytest.approx(sum(line["dollars"] for line in prod["fixed_costs"]))
    season = next(span for span in prod["spans"] if span["name"] == "season")
    assert season["dollars"] == pytest.approx(season["run_dollars"] + season["fixed_dollars"])


def test_settings_change_the_bill(prod: dict[str, Any]) -> None:
    counts = ("instance_types=Train=ml.m5.xlarge", "instance_counts=Train=2")
    settings = ("serving=instance", *counts, "schedule=cron(0 9 ? * MON,THU *)")
    chosen = [part for setting in settings for part in ("-c", setting)]
    other = json.loads(
        run(*MAILED, *chosen, "--seconds-from", "committed", "--startup-seconds", "467", "--json").stdout
    )
    train = next(job for job in other["run_with_training"]["jobs"] if job["step"] == "Train")
    assert (train["instance"], train["count"]) == ("ml.m5.xlarge", 2)
    assert train["billed_seconds"] > 467
    year, other_year = (next(s for s in found["spans"] if s["name"] == "year") for found in (prod, other))
    served = {line["name"]: line["dollars"] for line in other["fixed_costs"]}
    assert served["endpoint, ml.m5.large"] == pytest.approx(83.95)
    assert {"20 alarm metrics", "3 functions"} <= served.keys()  # what watches it and what follows promotions
    assert other_year["runs"] == pytest.approx(year["runs"] * 2 / 7, rel=0.01)


def test_every_machine_of_a_job_is_billed_and_said(definition: dict[str, Any]) -> None:
    lines: dict[int, str] = {}
    for count in (1, 2):
        chosen = copy.deepcopy(definition)
        (parameter,) = [p for p in chosen["Parameters"] if p["Name"] == "TrainInstanceCount"]
        parameter["DefaultValue"] = count
        found = estimate(run_costs(chosen, measured_seconds(), load_prices()), [], 1.0, 30.0, spans=SPEC.spans)
        (lines[count],) = [line for line in run_table(found) if line.startswith("  Train ")]
    dollars = {count: float(line.split()[2]) for count, line in lines.items()}
    assert dollars[2] == pytest.approx(2 * dollars[1], abs=1e-4)
    assert lines[1].endswith(" s work")
    assert lines[2].endswith(lines[1].rpartition("   ")[2] + " each of 2 instances")


def test_the_page_shows_what_it_prints(root: Path) -> None:
    text = (root / "docs" / "cost.md").read_text(encoding="utf-8")
    assert with_estimate(text) == text, "run python -m scripts.writers.reference"
    assert "  instance hours " in text


def test_a_schedule_that_is_off_is_said(prod: dict[str, Any]) -> None:
    found = run("-c", "env=dev", "--seconds-from", "committed")
    assert "The schedule is disabled (enabled=false): no run starts automatically." in found.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-c", "schedule=nightly"), "schedule: 'nightly' cannot be used"),
        (("-c", "enabled"), '-c "enabled" is not KEY=VALUE'),
        (("-c", "instance_types=Train=ml.m9.large"), '"ml.m9.large" is none of TrainingInstanceType; did you mean'),
        (("-c", "instance_types=Train=ml.m8i.large"), "no price for instance ml.m8i.large (did you mean"),
        (("--seconds-from", "local-run", "--store", "nowhere"), "no local run in nowhere ran Prepare"),
        (("--startup-seconds", "-1"), "not in the range"),
    ],
)
def test_what_cannot_be_estimated_is_said_with_code_2(arguments: tuple[str, ...], said: str) -> None:
    found = run(*arguments)
    assert found.exit_code == 2
    assert said in " ".join(found.stderr.split())
    assert not found.stdout


def test_a_machine_without_node_is_told_so() -> None:
    found = CliRunner().invoke(main, [], env={"PATH": "", "JSII_NODE": None})
    assert found.exit_code == 2
    assert "needs Node" in found.stderr


def job(name: str, seconds: float, **changed: Any) -> StepResult:
    step = StepResult(name, "Processing", "Succeeded", 100.0, 100.0 + seconds, job_name=f"job-{name}")
    return replace(step, **changed)


def test_seconds_are_those_of_the_newest_run_that_really_ran_a_step(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for place, steps in enumerate(
        [(job("Prepare", 9), job("Train", 5)), (job("Prepare", 2), job("Train", 0.1, cached=True))]
    ):
        save_run(store, RunResult(f"run{place}", "p", "", {}, {}, started_at=float(place), steps=steps))
    assert last_seconds(tmp_path) == {"Prepare": 2.0, "Train": 5.0}


def test_a_step_that_was_never_measured_is_named(definition: dict[str, Any]) -> None:
    (prepare, *_) = definition["Steps"]
    with pytest.raises(PriceError, match=r"Forecast was never measured: python -m benchmarks\.job_needs --write"):
        find_seconds({**definition, "Steps": [{**prepare, "Name": "Forecast"}]}, "committed", None)


def test_a_local_run_is_taken_before_the_committed_measurement(tmp_path: Path) -> None:
    save_run(Store(tmp_path), RunResult("run", "p", "", {}, {}, started_at=1.0, steps=(job("Prepare", 100),)))
    found = json.loads(run("--store", str(tmp_path), "--startup-seconds", "0", "--json").stdout)
    billed = {j["step"]: j["billed_seconds"] for j in found["run_with_training"]["jobs"]}
    assert billed["Prepare"] == pytest.approx(500)  # a T3 at its baseline
    assert billed["Predict"] == pytest.approx(measured_seconds()["Predict"] / 0.2)
    assert "for Predict, Train, Evaluate the committed measurement" in found["seconds_from"]
