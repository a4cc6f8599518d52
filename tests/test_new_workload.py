"""A workload is one folder: a regression that shares nothing with the reference one, and no edit anywhere else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from workload_life import OF_THE_REFERENCE, Life, WorkloadLife, names_in, words_of

import pipeline.workloads

SOURCES = ("app.py", "cdk.json", "infra", "pipeline", "scripts")


@pytest.fixture(scope="module")
def clone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """This repository with the folder `river`, as a user would add it, and its compiled definition."""
    folder = tmp_path_factory.mktemp("clone")
    for name in SOURCES:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    shutil.copytree(root / "tests" / "river", folder / "pipeline" / "workloads" / "river")
    subprocess.run([sys.executable, "-m", "pipeline.definition"], cwd=folder, capture_output=True, check=True)
    with pytest.MonkeyPatch.context() as patch:
        own = str(folder / "pipeline" / "workloads")
        patch.setattr(pipeline.workloads, "__path__", [*pipeline.workloads.__path__, own])
        yield folder


class TestRiver(WorkloadLife):
    name, later = "river", "2025-06-01"
    test_a_backtest_chooses_a_policy = None  # below, by the command
    # Whole runs whose behaviour does not depend on the data: as in the lives of pipeline/workloads.
    test_a_feature_that_sees_the_target_is_suspected_leakage = None
    test_the_nights_of_a_backtest_are_these_runs = None

    @pytest.fixture(scope="class")
    @classmethod
    def place(cls, clone: Path) -> Path:
        return clone

    def test_a_regression_has_its_own_metrics_and_quantiles(
        self, life: Life, registered: dict[str, Any], compared: dict[str, Any]
    ) -> None:
        assert registered["metrics"]["candidate"]["coverage_error"] < 0.1
        page = Path(registered["report"]).read_text(encoding="utf-8")
        assert "River flow" in page
        assert "Squared error (lower is better)" in page
        assert all(float(row["quantile_10"]) < float(row["quantile_90"]) for row in life.predictions())
        monitor = json.loads((life.store / "objects/artifacts/monitor/monitor.json").read_text(encoding="utf-8"))
        assert monitor["live"]["n_rows"] == 3 * monitor["live"]["n_claims"], "one claim a day"

    def test_a_backtest_chooses_a_policy_and_survives_injected_faults(self, life: Life, tmp_path: Path) -> None:
        policies = tmp_path / "policies.yaml"
        policies.write_text("- train: [nightly, each-period, on-drift]\n- gate: 'off'\n", encoding="utf-8")
        span = ("--from", "2024-12-15", "--to", "2025-01-12", "--inject", "leak@2024-12-20..2024-12-22")
        faults = ("--inject", "bad-feed@2024-12-28..2024-12-29", "--inject", "broken-fit@2025-01-05..2025-01-07")
        out = ("--policies", str(policies), "--report", str(tmp_path / "page.html"), "--store", str(tmp_path / "store"))
        given = ("--workload", "river", *span, *faults, *out, "--jobs", "1", "--quiet", "--json")
        done = life.call("-m", "scripts.backtest", *given)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        policy = {row["name"]: row for row in result["policies"]}
        assert result["choice"]["last_period"] == 2024
        assert result["choice"]["best"]["name"] in policy
        assert result["n_rows"] == 3 * 29
        assert policy["nightly"]["counts"]["false_promotions"] == 0
        assert policy["nightly"]["counts"]["failed_prepare"] == 2
        assert policy["nightly, gate off"]["counts"]["false_promotions"] == 6
        assert policy["nightly"]["loss"] == policy["nightly"]["scores"]["squared_error"]
        assert policy["nightly, gate off"]["loss"] > policy["nightly"]["loss"]
        page = words_of((tmp_path / "page.html").read_text(encoding="utf-8"))
        assert "Year by year" in page
        assert "Squared error" in page
        assert "warmth" in page, "Prepare's words about the export without its last column"
        assert not OF_THE_REFERENCE.findall(page)

    def test_bad_requests_are_answered_by_the_declaration(self, life: Life, approved: str) -> None:
        bad = life.ask([{"readings": [{"gauge": "east", "rain": 1}]}, {"readings": [{"rain": 1}]}])
        assert [status for status, _ in bad] == [400, 400]
        assert 'gauge "east" is none of north, south, west' in bad[0][1]["error"]
        assert "each reading needs gauge, rain; reading_id, day, warmth may be left out" in bad[1][1]["error"]

    def test_an_unknown_workload_is_answered_with_the_one_that_was_meant(self, life: Life) -> None:
        done = life.call("-m", "scripts.run_local", "--workload", "rivr")
        assert done.returncode == 2
        assert 'there is no workload "rivr"; did you mean "river"?' in done.stderr

    def test_two_workloads_deploy_side_by_side_and_one_has_no_spark(
        self, life: Life, stacks: dict[str, dict[str, Any]]
    ) -> None:
        assert not names_in(stacks["served"]) & names_in(life.synthesise(nba=("workload=nba",))["nba"])
        assert "Spark" not in json.dumps(stacks["served"])
        assert "Aggregate" not in json.dumps(stacks["served"])

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
        self, life: Life, clone: Path, old: str, new: str, says: str
    ) -> None:
        spec = clone / "pipeline" / "workloads" / "river" / "spec.py"
        sound = spec.read_text(encoding="utf-8")
        spec.write_text(sound.replace(old, new), encoding="utf-8")
        try:
            for command in (
                ("-m", "scripts.run_local", "--workload", "river"),
                (str(clone / "app.py"), "-c", "env=dev", "-c", "workload=river", "-o", "out-broken"),
                (
                    "-c",
                    "import os; os.environ['WORKLOAD'] = 'river'; from scripts.check_definition import main; main([])",
                ),
            ):
                done = life.call(*command)
                assert done.returncode == 2, done.stdout
                assert f"pipeline/workloads/{says}" in done.stderr
                assert "Traceback" not in done.stderr
        finally:
            spec.write_text(sound, encoding="utf-8")
