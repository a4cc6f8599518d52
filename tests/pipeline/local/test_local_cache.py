"""What makes a step's result reusable, and what does not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from local_definitions import Json, Workbench, definition, output_uri, processing, run_prefix, training

from pipeline.local.local_deployment import step_code


def pipeline(bench: Workbench) -> Json:
    first = processing(
        "First",
        [f"count:{bench.counter('First')}", "cat:processing/in=processing/out/deep/x.txt", "write:output/message=done"],
        inputs={"in": "s3://data/in"},
        outputs={"out": run_prefix("first")},
        environment={"MODE": "a"},
    )
    second = training(
        "Second",
        [f"count:{bench.counter('Second')}", "cat:input/data/in=model/m.txt"],
        channels={"in": output_uri("First", "out")},
    )
    return definition(first, second)


def arguments(pipeline: Json, step: int = 0) -> Any:
    return pipeline["Steps"][step]["Arguments"]


@pytest.fixture
def warm(bench: Workbench) -> Workbench:
    bench.put("s3://data/in/a.txt", "1")
    assert bench.run(pipeline(bench)).status == "Succeeded"
    assert (bench.ran("First"), bench.ran("Second")) == (1, 1)
    return bench


def test_a_second_run_restores_everything_under_its_own_names(warm: Workbench) -> None:
    result = warm.run(pipeline(warm))
    assert (warm.ran("First"), warm.ran("Second")) == (1, 1)
    assert all(step.cached and step.attempts == 0 for step in result.steps)
    assert warm.text(f"s3://artifacts/{result.execution_id}/first/deep/x.txt") == "a.txt=1"
    model = result.step("Second").properties["ModelArtifacts"]["S3ModelArtifacts"]
    assert result.execution_id in model
    assert warm.store.object_path(model).is_file()
    assert result.step("First").properties["ExitMessage"] == "done"


def test_content_not_location_decides(warm: Workbench) -> None:
    moved = pipeline(warm)
    warm.put("s3://elsewhere/copy/a.txt", "1")
    arguments(moved)["ProcessingInputs"][0]["S3Input"]["S3Uri"] = "s3://elsewhere/copy"
    assert all(step.cached for step in warm.run(moved).steps)


def test_the_same_result_of_a_changed_step_serves_the_next(warm: Workbench) -> None:
    changed = pipeline(warm)
    arguments(changed)["Environment"]["MODE"] = "b"
    result = warm.run(changed)
    assert [step.cached for step in result.steps] == [False, True]


@pytest.mark.parametrize(
    "case", ["content", "name", "added", "argument", "environment", "hyperparameter", "code", "day", "machines"]
)
def test_what_a_step_can_see_makes_it_run_again(warm: Workbench, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = copy.deepcopy(pipeline(warm))
    options: dict[str, Any] = {}
    if case == "content":
        warm.put("s3://data/in/a.txt", "2")
    elif case == "name":
        source = warm.store.object_path("s3://data/in/a.txt")
        source.rename(source.with_name("b.txt"))
    elif case == "added":
        warm.put("s3://data/in/b.txt", "")
    elif case == "argument":
        arguments(changed)["AppSpecification"]["ContainerArguments"].append("say:hello")
    elif case == "environment":
        arguments(changed)["Environment"]["MORE"] = "x"
    elif case == "hyperparameter":
        arguments(changed, 1)["HyperParameters"]["depth"] = "3"
    elif case == "machines":
        arguments(changed)["ProcessingResources"] = {
            "ClusterConfig": {"InstanceType": "ml.t3.medium", "InstanceCount": 2, "VolumeSizeInGB": 1}
        }
    elif case == "code":
        options["code"] = "other"
    elif case == "day":
        _another_day(monkeypatch)
    result = warm.run(changed, **options)
    assert result.status == "Succeeded"
    assert not result.steps[1 if case == "hyperparameter" else 0].cached


def _another_day(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.local.run import runner

    class Tomorrow(runner.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return runner.datetime.fromtimestamp(4e9, tz)

    monkeypatch.setattr(runner, "datetime", Tomorrow)


def test_what_a_step_cannot_see_does_not_matter(warm: Workbench) -> None:
    changed = copy.deepcopy(pipeline(warm))
    arguments(changed)["StoppingCondition"]["MaxRuntimeInSeconds"] = 5
    arguments(changed)["RoleArn"] = "arn:aws:iam::111122223333:role/another"
    arguments(changed, 1)["OutputDataConfig"]["S3OutputPath"] = "s3://artifacts/other"
    assert all(step.cached for step in warm.run(changed).steps)


def test_without_the_cache_everything_runs_and_is_stored_for_later(warm: Workbench) -> None:
    result = warm.run(pipeline(warm), use_cache=False)
    assert not any(step.cached for step in result.steps)
    assert (warm.ran("First"), warm.ran("Second")) == (2, 2)
    assert all(step.cached for step in warm.run(pipeline(warm)).steps)


def test_a_failed_step_is_not_stored(bench: Workbench) -> None:
    step = processing("A", [f"count:{bench.counter('A')}", f"failunless:{bench.folder}/now"])
    assert bench.run(definition(step)).status == "Failed"
    (bench.folder / "now").touch()
    result = bench.run(definition(step))
    assert result.status == "Succeeded"
    assert bench.ran("A") == 2


@pytest.mark.parametrize("damage", ["content", "missing file", "entry", "no entry"])
def test_damaged_entries_are_ignored_and_replaced(warm: Workbench, damage: str) -> None:
    for entry in (warm.store.root / "cache").glob("*/entry.json"):
        if damage == "content":
            file = entry.parent / "files" / "0"
            file.write_bytes(file.read_bytes()[:-1] + b"?")
        elif damage == "missing file":
            (entry.parent / "files" / "0").unlink()
        elif damage == "entry":
            entry.write_text(entry.read_text()[:40])
        else:
            entry.unlink()
    assert [step.cached for step in warm.run(pipeline(warm)).steps] == [False, False]
    assert [step.cached for step in warm.run(pipeline(warm)).steps] == [True, True]


def test_entries_of_past_days_are_removed(warm: Workbench) -> None:
    import os

    entries = [path.parent for path in (warm.store.root / "cache").glob("*/entry.json")]
    os.utime(entries[0], (0, 0))
    warm.run(definition(processing("Other", [])))
    assert not entries[0].exists()
    assert entries[1].exists()


def test_another_version_of_a_package_is_other_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    (tmp_path / "xgboost-3.0.0.dist-info").mkdir()
    before = step_code()
    (tmp_path / "xgboost-3.0.0.dist-info").rename(tmp_path / "xgboost-3.1.0.dist-info")
    assert step_code() != before
