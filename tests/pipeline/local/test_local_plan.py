"""What is refused before anything runs, and what the refusal says."""

from __future__ import annotations

from pathlib import Path

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
    parameter,
    processing,
    training,
)

from pipeline.local.plan.expressions import Value
from pipeline.local.plan.parameters import PlanError
from pipeline.local.plan.plan import load_plan
from pipeline.local.store.run_record import RunError

PARAMETERS = [
    parameter("Rows", "Integer", 3),
    parameter("Limit", "Float", 0.5),
    parameter("Force", "Boolean", False),
    parameter("Status", "String", "Pending", ["Pending", "Approved"]),
    parameter("Prefix", "String"),
]


def refusal(pipeline: Json, parameters: dict[str, Value] | None = None, constants: dict[str, str] | None = None) -> str:
    with pytest.raises(PlanError) as caught:
        load_plan(pipeline, constants or {}, parameters or {})
    return str(caught.value)


def test_parameters_take_defaults_overrides_and_text() -> None:
    texts: dict[str, Value] = {"Rows": "7", "Limit": "1e-3", "Force": "TRUE", "Status": "Approved", "Prefix": "games"}
    plan = load_plan(definition(fail("A", "x"), parameters=PARAMETERS), {}, texts)
    assert plan.parameters == {"Rows": 7, "Limit": 0.001, "Force": True, "Status": "Approved", "Prefix": "games"}
    plan = load_plan(definition(fail("A", "x"), parameters=PARAMETERS), {}, {"Prefix": "p", "Limit": 2})
    assert plan.parameters == {"Rows": 3, "Limit": 2.0, "Force": False, "Status": "Pending", "Prefix": "p"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("Row", 1, 'there is no parameter "Row"'),
        ("Rows", "many", "\"Rows\" is of type Integer, which 'many' is not"),
        ("Rows", "9" * 400, '"Rows" is of type Integer'),  # larger than any float
        ("Rows", 1.5, '"Rows" is of type Integer'),
        ("Rows", True, '"Rows" is of type Integer'),
        ("Limit", "nan", '"Limit" is of type Float'),
        ("Limit", False, '"Limit" is of type Float'),
        ("Force", "yes", '"Force" is of type Boolean'),
        ("Force", 1, '"Force" is of type Boolean'),
        ("Prefix", 5, '"Prefix" is of type String'),
        ("Prefix", "", "cannot be empty"),
        ("Status", "Rejected", "is one of Pending, Approved"),
    ],
)
def test_a_wrong_parameter_is_refused_with_the_list_of_what_exists(name: str, value: Value, message: str) -> None:
    text = refusal(definition(fail("A", "x"), parameters=PARAMETERS), {"Prefix": "p", name: value})
    assert message in text
    assert "Rows  Integer  (default 3)" in text
    assert "Status  String of Pending, Approved  (default 'Pending')" in text
    assert "Prefix  String  (needs a value)" in text


def test_a_parameter_without_default_needs_a_value() -> None:
    assert '"Prefix" has no default' in refusal(definition(fail("A", "x"), parameters=PARAMETERS))


def test_constants_are_bound_in_texts_at_any_depth() -> None:
    step = processing("A", ["${One}-${Two}"], inputs={"in": join("/", "s3://${One}", "x")})
    plan = load_plan(definition(step), {"One": "1", "Two": "2"}, {})
    assert plan.steps[0].arguments["AppSpecification"]["ContainerArguments"] == ["1-2"]
    assert plan.steps[0].arguments["ProcessingInputs"][0]["S3Input"]["S3Uri"]["Std:Join"]["Values"][0] == "s3://1"


def test_missing_and_unknown_constants_are_listed() -> None:
    text = refusal(definition(processing("A", ["${One}", "${Two}"])), constants={"Two": "2", "Three": "3"})
    assert "needs a value for ${One}" in text
    assert "has no ${Three}" in text


@pytest.mark.parametrize("kind", ["Lambda", "EMR", "Callback", "QualityCheck", "Model", "AutoML"])
def test_other_step_types_are_refused_by_name(kind: str) -> None:
    nested = condition("If", [compare("Equals", 1, 1)], [{"Name": "Other", "Type": kind, "Arguments": {}}])
    text = refusal(definition(nested))
    assert f"step Other is of type {kind}" in text
    assert "Processing, Training, Condition, Fail, RegisterModel" in text


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([processing("A", [], depends_on=["Prepar"]), processing("Prepare", [])], 'did you mean "Prepare"?'),
        ([processing("A", [get("Steps.B.ExitMessage")])], 'ContainerArguments[0]: there is no step "B"'),
        ([fail("A", get("Parameters.Rowz"))], 'there is no parameter "Rowz"; did you mean "Rows"?'),
        ([processing("A", []), fail("B", json_get("A", "F", "x"))], 'step A has no property file "F"'),
        ([processing("A", []), processing("A", [])], '"A" is given 2 times'),
        ([processing("A", [], depends_on=["B"]), processing("B", [], depends_on=["A"])], "A -> B -> A"),
        ([processing("A/../B", [])], "step A/../B, Name: the characters '.' '/' are not allowed"),
        ([condition("A", [{"Type": "Like"}])], 'there is no type "Like"'),
        ([condition("A", [compare("Equals", get("Steps.B.Outcome"), "x")], [processing("B", [])])], "A -> B -> A"),
        ([condition("A", [compare("Equals", 1, 1)], [condition("B", [compare("Equals", 1, 1)])])], "nested-condition"),
        ([processing("B", []), processing("A", [], depends_on=[{"Step": "B", "Trigger": "Failed"}])], '"Failed"'),
        (
            [processing("A", [], environment={"ROWS": get("Parameters.Rows")})],
            "Environment.ROWS: the parameter Rows of type Integer",
        ),
        ([training("A", [], hyperparameters={"depth": 3})], "HyperParameters.depth: 3 is no string"),
        ([processing("A", ["--n", 3])], "ContainerArguments[1]: 3 is no string"),
    ],
)
def test_a_broken_graph_is_refused(steps: list[Json], message: str) -> None:
    assert message in refusal(definition(*steps, parameters=[parameter("Rows", "Integer", 1)]))


def test_another_schema_version_is_refused() -> None:
    assert "2020-12-01" in refusal({**definition(fail("A", "x")), "Version": "2031-01-01"})


def test_steps_stand_after_those_they_need() -> None:
    steps = [
        processing("Last", [], depends_on=["Inner"]),
        condition("If", [compare("Equals", get("Steps.First.ExitMessage"), "x")], [processing("Inner", [])]),
        processing("First", []),
    ]
    assert [step.name for step in load_plan(definition(*steps), {}, {}).steps] == ["First", "If", "Inner", "Last"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"LocalPath": "/tmp/x"}, "does not begin with /opt/ml/processing/"),  # noqa: S108
        ({"LocalPath": "/opt/ml/processing/../x"}, 'cannot hold ".."'),
        ({"S3DataType": "ManifestFile"}, "S3DataType ManifestFile"),
        ({"S3CompressionType": "Gzip"}, "S3CompressionType Gzip"),
    ],
)
def test_inputs_that_cannot_be_staged_are_refused_before_anything_runs(
    bench: Workbench, change: Json, message: str
) -> None:
    first = processing("First", [f"count:{bench.counter('First')}"])
    second = processing("Second", [], inputs={"in": "s3://data/in"}, depends_on=["First"])
    second["Arguments"]["ProcessingInputs"][0]["S3Input"].update(change)
    with pytest.raises(PlanError, match=message.replace(".", r"\.")):
        bench.run(definition(first, second))
    assert bench.ran("First") == 0
    assert list((bench.store.root / "runs").iterdir()) == []


def test_a_folder_known_only_at_run_time_is_checked_then(bench: Workbench) -> None:
    step = processing("A", [], inputs={"in": "s3://data/in"})
    step["Arguments"]["ProcessingInputs"][0]["S3Input"]["LocalPath"] = get("Parameters.Folder")
    result = bench.run(definition(step, parameters=[parameter("Folder", "String", "/opt/ml/processing/../../../etc")]))
    assert result.failure.reason.startswith('LocalPath "/opt/ml/processing/../../../etc" must be below /opt/ml')


def test_a_job_that_leaves_its_command_to_the_image_is_refused(bench: Workbench) -> None:
    step = training("Train", [])
    del step["Arguments"]["AlgorithmSpecification"]["ContainerEntrypoint"]
    with pytest.raises(PlanError, match="cannot know the default command of an image"):
        bench.run(definition(step))


def test_resuming_an_unknown_run_lists_recent_ones(bench: Workbench) -> None:
    result = bench.run(definition(processing("A", [])))
    with pytest.raises(RunError, match=f"no run nothing in .*; recent runs: {result.execution_id} \\(Succeeded\\)"):
        bench.run(definition(processing("A", [])), resume="nothing")


def test_the_runner_imports_neither_sdk_nor_data_libraries(tmp_path: Path) -> None:
    import subprocess
    import sys

    from local_definitions import REPOSITORY

    code = (
        "import sys, pipeline.local.run.runner, pipeline.local.launch.launch_process, pipeline.local.store.registry\n"
        "heavy = {'sagemaker', 'boto3', 'botocore', 'pandas', 'numpy', 'rich', 'pipeline.jobs'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
