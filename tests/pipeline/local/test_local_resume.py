"""Going on with a run that failed, was stopped or was killed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from local_definitions import (
    Json,
    Workbench,
    compare,
    condition,
    definition,
    get,
    join,
    output_uri,
    parameter,
    processing,
    register,
    run_prefix,
)

from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.run_record import RunError, load_run, save_run


def pipeline(bench: Workbench) -> Json:
    first = processing(
        "First",
        [f"count:{bench.counter('First')}", join("", "write:processing/out/model.tar.gz=", get("Parameters.Word"))],
        outputs={"out": run_prefix("first")},
    )
    model = join("/", output_uri("First", "out"), "model.tar.gz")
    fragile = processing(
        "Fragile",
        [
            f"count:{bench.counter('Fragile')}",
            f"failunless:{bench.folder}/repaired",
            "cat:processing/in=processing/out/x",
        ],
        inputs={"in": output_uri("First", "out")},
        outputs={"out": "s3://out/fragile"},
        depends_on=["Register"],
    )
    gate = condition("If", [compare("Equals", get("Parameters.Word"), "hello")], [register("Register", model)])
    return definition(first, gate, fragile, parameters=[parameter("Word", "String", "default")])


def test_resume_goes_on_with_the_failed_step_and_the_runs_own_parameters(bench: Workbench) -> None:
    failed = bench.run(pipeline(bench), {"Word": "hello"})
    assert (failed.status, failed.failure.step if failed.failure else None) == ("Failed", "Fragile")
    (bench.folder / "repaired").touch()
    resumed = bench.run(pipeline(bench), resume=failed.execution_id, use_cache=False)
    assert (resumed.status, resumed.execution_id, resumed.resumed) == ("Succeeded", failed.execution_id, 1)
    assert resumed.failure is None
    assert resumed.parameters == {"Word": "hello"}
    assert bench.text("s3://out/fragile/x") == "model.tar.gz=hello"
    assert (bench.ran("First"), bench.ran("Fragile")) == (1, 2)
    assert [step.name for step in resumed.steps if step.reused] == ["First", "If", "Register"]
    assert len(LocalRegistry(bench.store).packages("models")) == 1


def test_a_step_whose_outputs_are_gone_runs_again_with_those_after_it(bench: Workbench) -> None:
    failed = bench.run(pipeline(bench), {"Word": "hello"})
    (bench.folder / "repaired").touch()
    bench.store.object_path(failed.step("First").outputs[0]).unlink()
    resumed = bench.run(pipeline(bench), resume=failed.execution_id, use_cache=False)
    assert resumed.status == "Succeeded"
    assert bench.ran("First") == 2
    assert [step.name for step in resumed.steps if step.reused] == ["If"]  # it needs no output
    assert len(LocalRegistry(bench.store).packages("models")) == 1  # the same run and step: the same version


def test_what_cannot_be_resumed_is_refused(bench: Workbench) -> None:
    failed = bench.run(pipeline(bench), {"Word": "hello"})
    changed = pipeline(bench)
    changed["Steps"][0]["Arguments"]["Environment"] = {"NEW": "1"}
    with pytest.raises(RunError, match="the definition has changed"):
        bench.run(changed, resume=failed.execution_id)
    save_run(bench.store, replace(failed, constants={"CodeVersion": "older"}))
    with pytest.raises(RunError, match="the code has changed"):
        bench.run(pipeline(bench), resume=failed.execution_id)
    save_run(bench.store, failed)
    (bench.folder / "repaired").touch()
    bench.run(pipeline(bench), resume=failed.execution_id)
    with pytest.raises(RunError, match="has succeeded"):
        bench.run(pipeline(bench), resume=failed.execution_id)
    assert list((bench.store.root / "executing").iterdir()) == []


def test_a_run_killed_after_it_registered_does_not_register_twice(bench: Workbench) -> None:
    failed = bench.run(pipeline(bench), {"Word": "hello"})
    # The record of a run that died between the registration and the note of it.
    register_step = failed.step("Register")
    unnoted = failed.with_step(type(register_step)("Register", "RegisterModel", "Executing"))
    save_run(bench.store, unnoted)
    (bench.folder / "repaired").touch()
    resumed = bench.run(pipeline(bench), resume=failed.execution_id)
    assert resumed.status == "Succeeded"
    assert not resumed.step("Register").reused
    assert resumed.step("Register").properties["ModelPackageVersion"] == 1
    assert len(LocalRegistry(bench.store).packages("models")) == 1
    assert load_run(bench.store, failed.execution_id) == resumed
