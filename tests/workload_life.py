"""The whole life of a workload, by the commands that a user gives: the same tests for each of pipeline/workloads.

    class TestLife(WorkloadLife):
        name, later = "churn", "2025-06-01"

is all of tests/pipeline/workloads/<name>/test_life.py, beside an empty __init__.py. The workload needs a sample.py;
where the faults that are planted by default do not fit it, `plant_leak` and `plant_fault` are overridden.
"""

from __future__ import annotations

import csv
import html
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from served_model import JSON, started

from pipeline.backtest.candidates import ALL_PERIODS
from pipeline.backtest.fit_cache import FitCache
from pipeline.backtest.policies import REFERENCE, Policy, default_policy
from pipeline.backtest.run import BacktestSettings, prepare, run_backtest, simulate
from pipeline.backtest.world import prediction_lag
from pipeline.contract import names as c
from pipeline.contract.code_version import write_image_context
from pipeline.contract.parameters import parameters_of
from pipeline.contract.spec import Column, Spec
from pipeline.contract.workload import Workload

SYNTHESISE = """
import json, sys, app
for out, options in json.loads(sys.argv[1]).items():
    app.build(app.read_context(options), out).synth()
"""
IN_THE_IMAGE = """
from pipeline.jobs import evaluate, predict, prepare, train
from pipeline.serving import server
from pipeline.contract.workload import current_workload
assert all(getattr(current_workload(), part) for part in ("data", "features", "baseline", "serving"))
"""
NAMES = ("PipelineName", "ModelPackageGroupName", "DashboardName", "AlarmName", "FunctionName", "Name", "RoleName")
OF_THE_REFERENCE = re.compile(r"\b(games?|teams?|elo|seasons?|nba|None|nan)\b")


@dataclass(frozen=True)
class Life:
    """A workload, the code that runs it, and a store of its own."""

    root: Path  # of the code
    name: str
    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @cached_property
    def spec(self) -> Spec:
        return self.workload.spec

    @cached_property
    def workload(self) -> Workload:
        return Workload(importlib.import_module(f"pipeline.workloads.{self.name}.spec").SPEC)

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python arguments`."""
        environment = {name: value for name, value in os.environ.items() if name != "WORKLOAD"}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**environment, "PYTHONPATH": str(self.root)},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def run_local(self, as_of: str, *arguments: str, **parameters: str) -> subprocess.CompletedProcess[str]:
        """On the simulated sample, into the life's store where `arguments` name no other."""
        chosen = [part for item in {"AsOfDate": as_of, **parameters}.items() for part in ("--param", "=".join(item))]
        place = () if "--store" in arguments else ("--store", str(self.store))
        return self.call("-m", "scripts.run_local", "--workload", self.name, "--quiet", *chosen, *place, *arguments)

    def run(self, as_of: str, store: Path | None = None, *, code: int = 0, **parameters: str) -> dict[str, Any]:
        """The outcome of a run that ends with the exit code."""
        done = self.run_local(as_of, "--json", "--store", str(store or self.store), **parameters)
        assert done.returncode == code, done.stdout + done.stderr
        outcome: dict[str, Any] = json.loads(done.stdout)
        return outcome

    def sample(self, store: Path, as_of: str, change: Callable[[pd.DataFrame], None] | None = None) -> Path:
        """The sample of a morning, changed, where a run of that store looks for it; text without gaps, by file."""
        folder = store / "simulated" / as_of
        shutil.rmtree(folder, ignore_errors=True)
        self.workload.sample.write(folder, date.fromisoformat(as_of))
        if change:
            rows = read(folder)
            change(rows)
            for name, part in rows.groupby(level=0):
                part.to_csv(folder / str(name), index=False)
        return folder

    def predictions(self, store: Path | None = None) -> list[dict[str, str]]:
        """What Predict wrote last."""
        file = (store or self.store) / "objects/artifacts/predictions/predictions.csv"
        return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))

    def ask(self, bodies: Iterable[Any]) -> list[tuple[int, Any]]:
        """Status and answer of each body, from the real server with the champion's model."""
        (model,) = (self.store / "objects/artifacts/champion").rglob("model.tar.gz")
        arguments = ["--host", "127.0.0.1", "--model", str(model)]
        with started(self.root, self.folder / "server.log", *arguments, WORKLOAD=self.name) as server:
            asked = [server.request("POST", "/invocations", json.dumps(body), Content_Type=JSON) for body in bodies]
        return [(answer.status, answer.json) for answer in asked]

    def synthesise(self, **options: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        """The resources of the stack under each name's options."""
        wanted = {str(self.folder / out): ["env=dev", *chosen] for out, chosen in options.items()}
        done = subprocess.run(
            [sys.executable, "-c", SYNTHESISE, json.dumps(wanted)],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found = {}
        for out in options:
            (template,) = (self.folder / out).glob("*.template.json")
            found[out] = json.loads(template.read_text(encoding="utf-8"))["Resources"]
        return found


def read(folder: Path) -> pd.DataFrame:
    """The rows of a folder's CSV files as text; the first level of the index is the file."""
    return pd.concat(
        {path.name: pd.read_csv(path, dtype=str, keep_default_na=False) for path in sorted(folder.glob("*.csv"))}
    )


def names_in(resources: dict[str, Any]) -> set[str]:
    """The names that a stack gives; two stacks of an account share none."""
    named = (resource.get("Properties", {}).get(key) for resource in resources.values() for key in NAMES)
    return {name for name in named if isinstance(name, str)}


def words_of(page: str) -> str:
    """What people read of an HTML page."""
    return html.unescape(re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL))


class WorkloadLife:
    """Subclasses name the workload, and two mornings some weeks apart."""

    name: str
    first = c.SAMPLE_AS_OF
    later: str

    @classmethod
    def planted_in(cls, spec: Spec) -> Column:
        """The feature whose values are changed: the first number that always has a value."""
        numbers = (column for column in spec.of_role("feature") if column.type in ("number", "integer"))
        return next(column for column in numbers if not column.missing)

    @classmethod
    def plant_leak(cls, spec: Spec, rows: pd.DataFrame) -> None:
        """One feature is the target on the feature's scale."""
        column, target = cls.planted_in(spec), pd.to_numeric(rows[spec.name_of("target")])
        assert column.low is not None and column.high is not None
        share = (target - target.min()) / (target.max() - target.min())
        rows[column.name] = (column.low + share * (column.high - column.low)).round(4).fillna(column.low)

    @classmethod
    def plant_fault(cls, spec: Spec, rows: pd.DataFrame) -> None:
        """Since the first morning one feature is stuck and targets are not what they were; the last are missing."""
        column, name = cls.planted_in(spec), spec.name_of("target")
        live = rows[spec.name_of("time")] >= cls.first
        rows.loc[live, column.name] = f"{column.high}"
        target = pd.to_numeric(rows.loc[live, name])
        changed = 1 - target if spec.task == "binary" else target / 2
        rows.loc[live, name] = changed.astype("str").replace("nan", "")
        day, delay = pd.to_datetime(rows[spec.name_of("time")]), spec.label_delay_days
        age = (pd.Timestamp(cls.later) - day).dt.days - delay
        rows.loc[age.between(3, 10), name] = ""
        rows[column.name] = ["much", *rows[column.name].iloc[1:]]

    @classmethod
    def asked(cls, life: Life, predicted: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
        """The features of the predicted rows of the first morning, as a client has them."""
        spec = life.spec
        key = spec.name_of("id") if spec.of_role("id") else spec.name_of("time")
        rows = {row[key]: row for row in read(life.store / "simulated" / cls.first).to_dict("records")}
        return [
            {column.name: rows[row[key]][column.name] or None for column in spec.of_role("feature")}
            for row in predicted
        ]

    @pytest.fixture(scope="class")
    @classmethod
    def place(cls, root: Path) -> Path:
        """The folder of the code."""
        return root

    @pytest.fixture(scope="class")
    @classmethod
    def life(cls, place: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
        return Life(place, cls.name, tmp_path_factory.mktemp(cls.name))

    @pytest.fixture(scope="class")
    @classmethod
    def registered(cls, life: Life) -> dict[str, Any]:
        """The first run."""
        return life.run(cls.first)

    @pytest.fixture(scope="class")
    @classmethod
    def failed(cls, life: Life, registered: dict[str, Any]) -> dict[str, Any]:
        """The same candidate under a limit that it cannot keep."""
        store = shutil.copytree(life.store, life.folder / "failed")
        return life.run(cls.first, store, code=1, ForceTraining=c.YES, MinSkill="0.99", MaxSkill="1")

    @pytest.fixture(scope="class")
    @classmethod
    def approved(cls, life: Life, registered: dict[str, Any], failed: dict[str, Any]) -> str:
        """What the terminal shows of a second run on the same morning, after version 1 is approved."""
        approve = ("approve", "--version", "1", "--reason", "ok", "--store", str(life.store))
        assert life.call("-m", "scripts.review_model", *approve).returncode == 0
        done = life.run_local(cls.first)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @pytest.fixture(scope="class")
    @classmethod
    def of_champion(cls, life: Life, approved: str) -> list[dict[str, str]]:
        """The champion's predictions on the first morning."""
        return life.predictions()

    @pytest.fixture(scope="class")
    @classmethod
    def faulty(cls, life: Life, of_champion: list[dict[str, str]]) -> dict[str, Any]:
        """The champion meets the planted fault weeks later, in a run that trains nothing."""
        store = shutil.copytree(life.store, life.folder / "faulty")
        life.sample(store, cls.later, lambda rows: cls.plant_fault(life.spec, rows))
        return life.run(cls.later, store, TriggerReason="schedule", MinDaysBetweenTrainings="999")

    @pytest.fixture(scope="class")
    @classmethod
    def compared(cls, life: Life, faulty: dict[str, Any]) -> dict[str, Any]:
        """A run some weeks later."""
        return life.run(cls.later)

    @pytest.fixture(scope="class")
    @classmethod
    def stacks(cls, life: Life) -> dict[str, dict[str, Any]]:
        """The resources of two deployments."""
        chosen = f"workload={cls.name}"
        return life.synthesise(plain=(chosen,), served=(chosen, "serving=serverless"))

    def test_the_first_run_registers_a_model_that_beats_its_baseline(
        self, life: Life, registered: dict[str, Any]
    ) -> None:
        assert (registered["decision"], registered["model_package"]["version"]) == (c.REGISTERED, 1)
        loss = next(iter(registered["metric_words"]))
        candidate, baseline = (registered["metrics"][who][loss] for who in (c.CANDIDATE, c.BASELINE))
        limits = parameters_of(life.spec).defaults
        assert max(0.0, float(limits["MinSkill"])) < 1 - candidate / baseline < float(limits["MaxSkill"])

    def test_what_is_predicted_are_the_rows_whose_label_is_not_known_yet(
        self, life: Life, failed: dict[str, Any]
    ) -> None:
        newest = date.fromisoformat(self.first) - timedelta(life.spec.label_delay_days + 1)
        assert failed["data"]["last_labelled_date"] == str(newest)
        predicted = life.predictions(life.folder / "failed")
        assert predicted
        assert {row[c.MODEL_USED] for row in predicted} == {c.FALLBACK}
        assert all(row[life.spec.name_of("time")][:10] > str(newest) for row in predicted)

    def test_without_anything_new_nothing_is_trained_and_the_champion_predicts(
        self, life: Life, approved: str, of_champion: list[dict[str, str]]
    ) -> None:
        assert f"simulated {life.spec.rows}: none of them is real" in approved
        assert "\nno-new-data: " in approved
        assert "Train " not in approved
        assert {(row[c.MODEL_USED], row[c.CHAMPION_VERSION]) for row in of_champion} == {(c.CHAMPION, "1")}

    def test_weeks_later_the_candidate_meets_the_champion(self, compared: dict[str, Any]) -> None:
        assert compared["comparison"]["champion_exists"] == c.YES
        assert compared["comparison"]["champion_version"] == "1"
        assert compared["decision"] in (c.REGISTERED, c.CHAMPION_KEPT)
        assert compared["metrics"][c.CHAMPION]

    def test_a_candidate_below_a_limit_fails_the_run_which_names_metric_value_and_limit(
        self, life: Life, failed: dict[str, Any]
    ) -> None:
        assert (failed["decision"], failed["failure"]["step"]) == (c.FAILED, "QualityGateFailed")
        assert re.search(
            rf"skill \S+ is below the limit 0\.99 \(MinSkill\): too little is gained over {life.spec.baseline}",
            failed["reason"],
        )

    def test_a_feature_that_sees_the_target_is_suspected_leakage(self, life: Life) -> None:
        store = life.folder / "leak"
        life.sample(store, self.first, lambda rows: self.plant_leak(life.spec, rows))
        failed = life.run(self.first, store, code=1)
        assert failed["failure"]["step"] == "QualityGateFailed"
        assert re.search(r"skill \S+ is above the limit \S+ \(MaxSkill\): suspected leakage", failed["reason"])

    def test_the_monitor_is_quiet_without_a_fault(self, compared: dict[str, Any]) -> None:
        assert compared["monitor"]["alarms"] == []
        assert "no alarm; champion 1: " in compared["monitor"]["summary"]

    def test_the_monitor_is_loud_with_a_fault(self, life: Life, faulty: dict[str, Any]) -> None:
        assert faulty["decision"] == c.NO_NEW_DATA
        written = life.folder / "faulty/objects/artifacts/monitor/monitor.json"
        alarms = json.loads(written.read_text(encoding="utf-8"))["alarms"]
        assert {alarm["part"] for alarm in alarms} >= {c.LIVE, c.DRIFT, c.DATA}, alarms
        assert faulty["monitor"]["alarms"] == [alarm["what"] for alarm in alarms]

    def test_a_bad_value_is_named_by_file_line_column_and_rule(self, life: Life, faulty: dict[str, Any]) -> None:
        (bad,) = faulty["data"]["quarantine_examples"]
        assert (bad["line"], bad["column"], bad["value"]) == ("2", self.planted_in(life.spec).name, "much")
        assert bad["file"] == min(path.name for path in (life.folder / "faulty/simulated" / self.later).glob("*.csv"))
        assert re.match("is not a (whole )?number", bad["rule"])

    def test_the_server_answers_as_the_batch_predicts(self, life: Life, of_champion: list[dict[str, str]]) -> None:
        spec = life.spec
        ((status, answer),) = life.ask([{spec.rows: self.asked(life, of_champion)}])
        assert status == 200, answer
        numbers = [name for name in of_champion[0] if name == spec.prediction or name.startswith("quantile_")]
        for row, found in zip(of_champion, answer["predictions"], strict=True):
            for name in numbers:
                assert found[name] == pytest.approx(float(row[name]), rel=1e-5, abs=6e-5)

    def test_a_backtest_chooses_a_policy(self, life: Life, tmp_path: Path) -> None:
        """On the year before, and scores it on the days since: three runs are enough for both."""
        last = date.fromisoformat(self.first)
        days = (date(last.year - 1, 12, 1), date(last.year, 1, 1), last)
        files = life.workload.sample.write(tmp_path / "rows", last + timedelta(life.spec.label_delay_days + 1))
        policies = (REFERENCE, default_policy(life.spec), Policy(train="nightly"))
        settings = BacktestSettings(files, days[0], last, policies, run_days=days, jobs=1, workload=life.workload)
        choice = run_backtest(settings, FitCache(tmp_path / "fits")).choice
        assert choice is not None
        assert choice.last_period == last.year - 1
        assert min(choice.n_earlier, choice.n_later) > 0
        assert {choice.best.name, choice.cheapest.name} <= {policy.name for policy in policies}
        assert choice.default is not None
        assert choice.default.name == policies[1].name

    def test_the_runs_of_a_backtest_are_these_runs(
        self, life: Life, registered: dict[str, Any], compared: dict[str, Any], tmp_path: Path
    ) -> None:
        """From files with later labels, which no run knows before their time."""
        spec, days = life.spec, (date.fromisoformat(self.first), date.fromisoformat(self.later))
        files = life.workload.sample.write(tmp_path / "rows", days[1] + timedelta(spec.label_delay_days + 1))
        settings = BacktestSettings(files, *days, (REFERENCE, Policy()), run_days=days, jobs=1, workload=life.workload)
        prepared = prepare(settings, FitCache(tmp_path / "fits"))
        candidates, judgements = prepared.calendar.of_run[ALL_PERIODS].tolist(), prepared.judgements
        for candidate, run in zip(candidates, (registered, compared), strict=True):
            ours = judgements.numbers(candidate)["metrics"][c.CANDIDATE]
            assert ours == pytest.approx(run["metrics"][c.CANDIDATE], rel=1e-6)
        pair = judgements.pair(*candidates)
        assert pair is not None
        assert asdict(pair) == pytest.approx(compared["comparison"]["difference"], rel=1e-6, abs=1e-9)
        outcome, service = simulate(prepared, settings.policies), prepared.service
        served = dict(zip(prepared.world.ids[service.begin :], service.predictions(outcome, 1), strict=True))
        seen_first = str(days[1] - timedelta(prediction_lag(spec)))
        new = [row for row in life.predictions() if row[spec.name_of("time")].startswith(seen_first)]
        assert new
        for row in new:
            ours = served[row[spec.name_of("id")]]
            assert ours == pytest.approx(float(row[spec.prediction]), rel=1e-5, abs=6e-5)

    def test_the_stack_is_synthesised_with_an_endpoint_and_without(self, stacks: dict[str, dict[str, Any]]) -> None:
        kinds = {out: {resource["Type"] for resource in resources.values()} for out, resources in stacks.items()}
        assert "AWS::SageMaker::Pipeline" in kinds["plain"]
        assert "Custom::Endpoint" in kinds["served"] - kinds["plain"]
        assert not {name for name in names_in(stacks["served"]) if OF_THE_REFERENCE.search(name)}

    def test_the_image_holds_this_workload_alone_and_needs_no_other(self, life: Life, tmp_path: Path) -> None:
        write_image_context(self.name, tmp_path / "pipeline", life.root / "pipeline")
        assert [path.parent.name for path in tmp_path.glob("pipeline/workloads/*/spec.py")] == [self.name]
        environment = {name: value for name, value in os.environ.items() if name != "WORKLOAD"}
        subprocess.run([sys.executable, "-c", IN_THE_IMAGE], cwd=tmp_path, env=environment, check=True)

    def test_every_page_speaks_of_this_workload_alone(
        self, life: Life, registered: dict[str, Any], compared: dict[str, Any], failed: dict[str, Any], approved: str
    ) -> None:
        pages = [*(run["report"] for run in (registered, failed, compared)), compared["monitor"]["report"]]
        for text in (approved, *(words_of(Path(page).read_text(encoding="utf-8")) for page in pages)):
            assert life.spec.rows in text
            assert not OF_THE_REFERENCE.findall(text)
