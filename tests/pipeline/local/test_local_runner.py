"""Two whole pipelines of different shapes, and what a step sees."""

from __future__ import annotations

import errno
import io
import itertools
import json
import tarfile
import time

import pytest
from local_definitions import (
    Json,
    Workbench,
    compare,
    condition,
    definition,
    fail,
    get,
    join,
    json_get,
    output_uri,
    parameter,
    processing,
    register,
    run_prefix,
    training,
)

from pipeline.local.launch.job import Job, JobOutcome
from pipeline.local.launch.launch_process import ProcessLauncher
from pipeline.local.run.progress import PlainProgress
from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.run_record import RunResult, load_run

MODEL = get("Steps.Train.ModelArtifacts.S3ModelArtifacts")


def training_pipeline() -> Json:
    """Prepare, then by two conditions nothing, a failure, or Train and Register."""
    prepare = processing(
        "Prepare",
        [
            "cat:processing/raw=processing/games/games.txt",
            'write:processing/report/r.json={"rows": [{"n": 5}], "auc": 0.7}',
        ],
        inputs={"raw": "s3://data/raw"},
        outputs={"games": run_prefix("games"), "report": run_prefix("report")},
        property_files={"Report": ("report", "r.json")},
    )
    train = training(
        "Train",
        ["cat:input/data/games=model/model.txt", "cat:input/config=output/data/config.txt"],
        channels={"games": output_uri("Prepare", "games")},
        hyperparameters={"depth": join("", get("Parameters.Depth"))},
    )
    metadata = {"auc": join("", json_get("Prepare", "Report", "auc")), "model": MODEL}
    gate = condition(
        "GoodEnough",
        [
            compare("GreaterThanOrEqualTo", json_get("Prepare", "Report", "auc"), get("Parameters.MinAuc")),
            compare("Equals", get("Steps.Train.TrainingJobStatus"), "Completed"),
            {"Type": "Not", "Condition": compare("Equals", get("Parameters.Depth"), 99)},
        ],
        [register("Register", MODEL, CustomerMetadataProperties=metadata, ModelApprovalStatus="PendingManualApproval")],
        [fail("TooBad", join(" ", "auc", json_get("Prepare", "Report", "auc"), "is below", get("Parameters.MinAuc")))],
    )
    enough = condition(
        "EnoughRows",
        [compare("GreaterThan", json_get("Prepare", "Report", "rows[0]['n']"), get("Parameters.Rows"))],
        [train],
    )
    parameters = [
        parameter("Depth", "Integer", 4),
        parameter("MinAuc", "Float", 0.6),
        parameter("Rows", "Integer", 1),
    ]
    return definition(prepare, enough, gate, parameters=parameters)


def statuses(result: RunResult) -> dict[str, str]:
    return {step.name: step.status for step in result.steps}


def ended(result: RunResult, status: str) -> list[str]:
    return sorted(step.name for step in result.steps if step.status == status)


def test_training_pipeline_registers_a_model(bench: Workbench) -> None:
    bench.put("s3://data/raw/a.csv", "1")
    result = bench.run(training_pipeline(), {"Depth": 6})
    assert result.status == "Succeeded"
    assert ended(result, "Succeeded") == ["EnoughRows", "GoodEnough", "Prepare", "Register", "Train"]
    assert ended(result, "Skipped") == ["TooBad"]
    package = LocalRegistry(bench.store).get("models", 1)
    assert package == result.step("Register").properties
    assert package["CustomerMetadataProperties"]["auc"] == "0.7"
    artifact = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    job = result.step("Train").job_name
    assert artifact == f"s3://artifacts/training/{job}/output/model.tar.gz"
    assert str(job).startswith(f"pipelines-{result.execution_id}-Train-")
    with tarfile.open(bench.store.object_path(artifact)) as archive:
        assert archive.getnames() == ["model.txt"]
        assert archive.extractfile("model.txt").read() == b"games.txt=a.csv=1"  # type: ignore[union-attr]
    with tarfile.open(bench.store.object_path(artifact.replace("model.tar", "output.tar"))) as archive:
        config = archive.extractfile("config.txt").read()  # type: ignore[union-attr]
    assert b'hyperparameters.json={"depth": "6"}' in config
    assert load_run(bench.store, result.execution_id) == result


def test_fail_step_says_the_values(bench: Workbench) -> None:
    bench.put("s3://data/raw/a.csv", "1")
    result = bench.run(training_pipeline(), {"MinAuc": 0.8})
    assert result.status == "Failed"
    assert (result.failure.step, result.failure.reason) == ("TooBad", "auc 0.7 is below 0.8")
    assert statuses(result)["Register"] == "Skipped"
    assert LocalRegistry(bench.store).packages("models") == ()


def test_untaken_branch_skips_the_condition_that_reads_it_and_the_run_succeeds(bench: Workbench) -> None:
    bench.put("s3://data/raw/a.csv", "1")
    result = bench.run(training_pipeline(), {"Rows": 5})
    assert result.status == "Succeeded"
    assert ended(result, "Succeeded") == ["EnoughRows", "Prepare"]
    assert ended(result, "Skipped") == ["GoodEnough", "Register", "TooBad", "Train"]
    assert result.step("EnoughRows").outcome is False
    assert bench.ran("Train") == 0


def test_conditions_that_are_ready_together_are_evaluated_together(bench: Workbench) -> None:
    """The first one's Fail step ends the run, but not before the second one has said what it finds."""
    look = processing(
        "Look",
        ['write:processing/out/r.json={"n": 1}'],
        outputs={"out": run_prefix("look")},
        property_files={"R": ("out", "r.json")},
    )
    gate = condition("Gate", [compare("GreaterThan", json_get("Look", "R", "n"), 1)], [], [fail("Stop", "too few")])
    better = condition("Better", [compare("Equals", json_get("Look", "R", "n"), 1)], [register("Register", "s3://m/m")])
    result = bench.run(definition(look, gate, better))
    assert (result.status, result.failure and result.failure.step) == ("Failed", "Stop")
    assert (result.step("Gate").outcome, result.step("Better").outcome) == (False, True)
    assert result.step("Register").status == "NotStarted"


def test_model_archives_are_the_same_byte_for_byte(bench: Workbench) -> None:
    bench.put("s3://data/raw/a.csv", "1")
    archives = []
    for _ in range(2):
        result = bench.run(training_pipeline(), use_cache=False)
        artifact = result.step("Train").properties["ModelArtifacts"]["S3ModelArtifacts"]
        archives.append(bench.store.object_path(artifact).read_bytes())
    assert archives[0] == archives[1]


def parallel_pipeline(bench: Workbench) -> Json:
    """Two steps that each wait for the other, one that joins their outputs, one that only waits for it."""
    left, right = str(bench.folder / "left"), str(bench.folder / "right")
    return definition(
        processing(
            "Left",
            [f"write:{left}=x", f"wait:{right}", "write:processing/out/l.txt=left", "write:output/message=from left"],
            outputs={"out": run_prefix("left")},
        ),
        processing(
            "Right",
            [f"write:{right}=x", f"wait:{left}", 'write:processing/out/r.json={"name": "right", "n": 2, "ok": false}'],
            outputs={"out": run_prefix("right")},
            property_files={"R": ("out", "r.json")},
        ),
        processing(
            "Both",
            [
                "cat:processing/left=processing/out/both.txt",
                join(
                    "=",
                    "write:processing/out/name.txt",
                    join("/", json_get("Right", "R", "name"), get("Steps.Left.ExitMessage")),
                ),
                join("", "write:processing/out/n.txt=", json_get("Right", "R", "n"), json_get("Right", "R", "ok")),
            ],
            inputs={"left": output_uri("Left", "out"), "right": output_uri("Right", "out")},
            outputs={"out": join("/", "s3://artifacts", get("Execution.PipelineName"), "both")},
        ),
        processing("After", [f"count:{bench.counter('After')}"], depends_on=["Both"]),
    )


def test_parallel_pipeline_runs_independent_steps_together(bench: Workbench) -> None:
    result = bench.run(parallel_pipeline(bench), max_parallel=2)
    assert result.status == "Succeeded", result.failure
    assert bench.text("s3://artifacts/test/both/both.txt") == "l.txt=left"
    assert bench.text("s3://artifacts/test/both/name.txt") == "right/from left"
    assert bench.text("s3://artifacts/test/both/n.txt") == "2false"
    after, both = result.step("After"), result.step("Both")
    assert both.ended_at is not None and after.started_at is not None
    assert after.started_at >= both.ended_at
    assert result.step("Left").properties["ExitMessage"] == "from left"


def test_max_parallel_bounds_the_jobs_at_once(bench: Workbench) -> None:
    running = bench.folder / "running"
    steps = [processing(f"S{n}", [f"write:{running}={n}", "sleep:0.05"]) for n in range(3)]
    result = bench.run(definition(*steps), max_parallel=1)
    spans = sorted((step.started_at or 0, step.ended_at or 0) for step in result.steps)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_a_step_sees_a_containers_folders_and_environment(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONSTARTUP", "x")
    step = processing(
        "Look",
        [
            "env:processing/out/env.json",
            "write:/opt/ml/processing/out/abs.txt=1",
            "cat:config=processing/out/config.txt",
        ],
        outputs={"out": "s3://out/look"},
        environment={"MODE": "test", "WHERE": "/opt/ml/processing/out", "OTHER": "/opt/mlx /a/opt/ml"},
    )
    result = bench.run(definition(step))
    assert result.status == "Succeeded", result.failure
    seen = json.loads(bench.text("s3://out/look/env.json"))
    base = bench.store.step_folder(result.execution_id, "Look") / "base"
    assert seen["SAGEMAKER_BASE_DIR"] == str(base)
    assert seen["WHERE"] == f"{base}/processing/out"
    assert seen["OTHER"] == "/opt/mlx /a/opt/ml"
    assert seen["MODE"] == "test"
    assert seen["PYTHONPATH"] == str(bench.project)
    assert seen["PROCESSING_JOB_NAME"] == result.step("Look").job_name
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    assert "PYTHONSTARTUP" not in seen
    assert bench.text("s3://out/look/abs.txt") == "1"
    assert '"ProcessingJobName": "pipelines-' in bench.text("s3://out/look/config.txt")
    assert not base.exists()


def test_a_step_cannot_change_what_the_store_holds(bench: Workbench) -> None:
    bench.put("s3://data/in/a.txt", "original")
    bench.run(definition(processing("Vandal", ["write:processing/in/a.txt=changed"], inputs={"in": "s3://data/in"})))
    assert bench.text("s3://data/in/a.txt") == "original"


def test_an_input_without_objects_fails_the_step_and_says_what_to_do(bench: Workbench) -> None:
    result = bench.run(definition(processing("A", [], inputs={"in": "s3://data/none"})))
    assert result.failure.reason.startswith("No S3 objects found under S3 URL s3://data/none ")
    assert str(bench.store.root / "objects/data/none") in result.failure.reason


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        (["write:output/message=row 3 is bad", "say:noise", "exit:1"], "row 3 is bad"),
        (["big:output/message=2000", "exit:1"], "x" * 619 + " ... " + "x" * 400),
        (["say:something broke", "exit:7"], "exit code 7: something broke"),
        (["raise:no such column"], "exit code 1: ValueError: no such column"),
        (["exit:9"], "exit code 9, and no output"),
        (
            ["write:output/message=Traceback (most recent call last):\\n  File x\\nKeyError: 'a'", "exit:1"],
            "KeyError: 'a'",
        ),
    ],
)
def test_the_reason_is_the_steps_own_message(bench: Workbench, commands: list[str], reason: str) -> None:
    result = bench.run(definition(processing("A", commands), processing("B", [], depends_on=["A"])))
    assert result.status == "Failed"
    assert (result.failure.step, result.failure.reason) == ("A", reason)
    assert statuses(result) == {"A": "Failed", "B": "NotStarted"}
    assert result.step("A").reason == reason


def test_training_failure_file_log_lines_and_kept_folder(bench: Workbench) -> None:
    bench.put("s3://data/in/a.txt", "1")
    step = training(
        "T", ["say:one", "say:two", "write:output/failure=it broke", "exit:1"], channels={"in": "s3://data/in"}
    )
    result = bench.run(definition(step))
    assert result.failure.reason == "it broke"
    assert result.failure.log_lines == ("one", "two")
    assert (bench.store.step_folder(result.execution_id, "T") / "base/output/failure").is_file()
    assert "two" in (bench.store.root / str(result.step("T").log_path)).read_text()
    assert not bench.store.object_path("s3://artifacts/training").exists()


def test_a_program_that_does_not_exist_is_named(bench: Workbench) -> None:
    result = bench.run(definition(processing("A", [], entrypoint=["no-such-program"])))
    assert result.failure.reason == "cannot start no-such-program: No such file or directory"


def test_a_launcher_that_breaks_fails_the_step_and_leaves_its_traceback_in_the_log(bench: Workbench) -> None:
    class Broken(ProcessLauncher):
        def launch(self, job: Job) -> JobOutcome:
            raise RuntimeError("broken")

    result = bench.run(definition(processing("A", [])), launcher=Broken(bench.project))
    assert result.failure.reason == "the local runner failed: RuntimeError: broken"
    assert "Traceback" in (bench.store.root / str(result.step("A").log_path)).read_text()


def test_a_condition_without_a_value_fails_the_run(bench: Workbench) -> None:
    look = processing(
        "A", ["write:processing/o/r.json={}"], outputs={"o": "s3://o/a"}, property_files={"R": ("o", "r.json")}
    )
    result = bench.run(definition(look, condition("C", [compare("Equals", json_get("A", "R", "x"), 1)])))
    assert result.failure.step == "C"
    assert 'r.json of step A has no value at "x"' in result.failure.reason


def test_a_failed_step_stops_those_that_run(bench: Workbench) -> None:
    started = bench.folder / "started"
    slow = processing("Slow", [f"write:{started}=x", "sleep:30"])
    quick = processing("Quick", [f"wait:{started}", "write:output/message=no", "exit:1"])
    begin = time.monotonic()
    result = bench.run(definition(slow, quick), max_parallel=2)
    assert time.monotonic() - begin < 10
    assert statuses(result) == {"Slow": "Stopped", "Quick": "Failed"}
    assert result.status == "Failed"
    assert result.failure is not None and result.failure.step == "Quick"
    assert result.step("Slow").reason == "stopped because step Quick failed"


def test_a_step_outside_that_needs_an_untaken_one_is_skipped(bench: Workbench) -> None:
    never = processing("Never", [], outputs={"o": run_prefix("never")})
    branch = condition("If", [compare("Equals", 1, 2)], [never])
    result = bench.run(
        definition(
            branch,
            processing("Needs", [], inputs={"i": output_uri("Never", "o")}),
        )
    )
    assert result.status == "Succeeded"
    assert statuses(result) == {"If": "Succeeded", "Never": "Skipped", "Needs": "Skipped"}


def test_registering_a_model_that_is_not_there_fails(bench: Workbench) -> None:
    result = bench.run(definition(register("R", "s3://artifacts/none/model.tar.gz")))
    assert result.failure.reason == "Could not find model data at s3://artifacts/none/model.tar.gz"


def test_plain_lines_tell_the_run(bench: Workbench) -> None:
    stream = io.StringIO()
    bench.put("s3://data/raw/a.csv", "1")
    result = bench.run(training_pipeline(), {"MinAuc": 0.9}, listener=PlainProgress(stream))
    lines = stream.getvalue().splitlines()
    assert lines[0] == f"run {result.execution_id} of test"
    assert lines[1] == "Prepare: started"
    assert any(line.startswith("TooBad: Failed") for line in lines)
    assert "auc 0.7 is below 0.9" not in stream.getvalue()  # the command says it once, at the end
    assert lines[-1].startswith(f"run {result.execution_id} Failed after ")


def test_a_run_goes_on_where_nobody_reads_its_progress(bench: Workbench) -> None:
    def gone(*_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    result = bench.run(definition(processing("A", ["count:" + bench.counter("A")])), listener=gone)
    assert (result.status, bench.ran("A")) == ("Succeeded", 1)
