"""Killing runs at random moments, and several runs at once, on one store."""

from __future__ import annotations

import json
import random
import subprocess
import time
from pathlib import Path

from local_definitions import (
    Json,
    Workbench,
    definition,
    end_of,
    get,
    join,
    output_uri,
    processing,
    register,
    run_prefix,
    training,
)

from pipeline.local.run.cache import Cache
from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.run_record import load_run

KILLS = 20


def pipeline() -> Json:
    """Two parallel steps, a training job and a registration, each with files to write."""
    return definition(
        processing("Left", ["big:processing/out/l.txt=20000"], outputs={"out": run_prefix("left")}),
        processing("Right", ["big:processing/out/r.txt=20000"], outputs={"out": run_prefix("right")}),
        training(
            "Train",
            ["cat:input/data=model/m.txt"],
            channels={"left": output_uri("Left", "out"), "right": output_uri("Right", "out")},
        ),
        register("Register", get("Steps.Train.ModelArtifacts.S3ModelArtifacts")),
        processing(
            "Note",
            [join("", "write:processing/out/last.json=", get("Steps.Register.ModelPackageArn"))],
            outputs={"out": "s3://artifacts/last"},
        ),
    )


def check_store(bench: Workbench) -> None:
    """Everything that the store shows is whole."""
    root = bench.store.root
    packages = LocalRegistry(bench.store).packages("models")
    assert [package["ModelPackageVersion"] for package in packages] == list(range(1, len(packages) + 1))
    for package in packages:
        model = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
        assert bench.store.object_path(model).is_file()
    for path in (root / "runs").glob("*/run.json"):
        json.loads(path.read_text())
    for path in (root / "objects").rglob("*.txt"):
        assert path.stat().st_size >= 20_000
    for path in (root / "cache").glob("*/entry.json"):
        assert Cache(bench.store).find(path.parent.name) is not None, f"{path} is damaged"


def test_a_run_killed_at_any_moment_leaves_a_store_that_the_next_can_use(bench: Workbench) -> None:
    chance = random.Random(20)  # noqa: S311 (repeatable moments, no secret)
    seconds = {use_cache: _seconds_of_a_run(bench, use_cache) for use_cache in (False, True)}
    unfinished = 0
    for n in range(KILLS):
        use_cache = n % 3 == 2  # then results are restored rather than made
        runner = _started(bench, use_cache)
        time.sleep(chance.uniform(0, 1.1) * seconds[use_cache])
        runner.kill()
        unfinished += "Succeeded" not in runner.communicate()[0]
        check_store(bench)
    assert unfinished > KILLS / 3
    result = bench.run(pipeline())
    assert result.status == "Succeeded", result.failure
    check_store(bench)
    records = [load_run(bench.store, path.parent.name) for path in (bench.store.root / "runs").glob("*/run.json")]
    assert all(run.status in {"Succeeded", "Stopped"} for run in records)
    stopped = [run for run in records if run.status == "Stopped"]
    before = len(LocalRegistry(bench.store).packages("models"))
    fresh = [run for run in stopped if run.step("Register").status != "Succeeded"]
    for run in stopped[:3]:
        resumed = bench.run(pipeline(), resume=run.execution_id)
        assert resumed.status == "Succeeded", resumed.failure
    assert len(LocalRegistry(bench.store).packages("models")) <= before + len(fresh)
    check_store(bench)


def _started(bench: Workbench, use_cache: bool) -> subprocess.Popen[str]:
    runner = bench.spawn(pipeline(), use_cache=use_cache)
    assert runner.stdout is not None
    assert runner.stdout.readline() == "ready\n"
    return runner


def _seconds_of_a_run(bench: Workbench, use_cache: bool) -> float:
    runner = _started(bench, use_cache)
    begin = time.monotonic()
    assert end_of(runner)[1] == "Succeeded"
    return time.monotonic() - begin


def test_four_runs_at_once_on_one_store_all_end_right(bench: Workbench) -> None:
    runners = [bench.spawn(pipeline(), max_parallel=2) for _ in range(4)]
    ends = [end_of(runner) for runner in runners]
    assert [status for _, status in ends] == ["Succeeded"] * 4
    assert len({execution_id for execution_id, _ in ends}) == 4
    packages = LocalRegistry(bench.store).packages("models")
    assert [package["ModelPackageVersion"] for package in packages] == [1, 2, 3, 4]
    makers = {package["MetadataProperties"]["GeneratedBy"].split("/")[-3] for package in packages}
    assert makers == {execution_id for execution_id, _ in ends}
    check_store(bench)
    last = Path(bench.store.object_path("s3://artifacts/last/last.json")).read_text()
    assert last in {package["ModelPackageArn"] for package in packages}
    assert list((bench.store.root / "executing").iterdir()) == []
    assert list((bench.store.root / "tmp").iterdir()) == []
