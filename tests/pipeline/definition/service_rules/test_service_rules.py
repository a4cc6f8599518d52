"""Each rule refuses a definition that breaks it, and the shapes of AWS's samples break none."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st
from service_definitions import (
    ROLE,
    SAMPLES,
    Json,
    condition,
    json_get,
    output,
    parameter,
    processing,
    regression_sample,
)

from pipeline.definition.service_rules import RULES, check_definition
from pipeline.definition.service_rules.instances import has_local_storage, is_arm64
from pipeline.definition.service_rules.requests import _wrong_characters
from pipeline.definition.service_rules.shapes import shapes
from pipeline.definition.service_rules.values import Value

SHAPES = shapes()["shapes"]
Change = Callable[[Json, Mapping[str, Json]], Any]


def steps_of(definition: Json) -> dict[str, Json]:
    """The steps of the sample by name."""
    top = definition["Steps"]
    branches = top[3]["Arguments"]
    return {step["Name"]: step for step in (*top, *branches["IfSteps"], *branches["ElseSteps"])}


def cluster(step: Json) -> Json:
    found: Json = step["Arguments"]["ProcessingResources"]["ClusterConfig"]
    return found


def put(target: Json, **values: Any) -> None:
    target.update(values)


def tags(*keys: str) -> list[Json]:
    return [{"Key": key, "Value": "x"} for key in keys]


def nest(d: Json, s: Mapping[str, Json]) -> None:
    inner = condition("Inner", [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}], [], [])
    s["CheckError"]["Arguments"]["IfSteps"].append(inner)


def retry(**values: Any) -> list[Json]:
    return [{"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": 5, **values}]


# Rule, what breaks it, and what the finding names: the step and a part of field and message.
BROKEN: list[tuple[str, Change, str, str, str]] = [
    ("definition-size", lambda d, s: put(d["Metadata"], x="y" * 1_048_577), "", "definition", "1,048,576"),
    ("version", lambda d, s: put(d, Version="2021-01-01"), "", "Version", "2020-12-01"),
    ("unknown-key", lambda d, s: put(d, Setps=[]), "", "Setps", 'did you mean "Steps"?'),
    ("unknown-key", lambda d, s: put(s["Train"], DependOn=[]), "Train", "DependOn", 'did you mean "DependsOn"?'),
    ("unknown-key", lambda d, s: put(s["Train"]["Arguments"], RoleARN=ROLE), "Train", "RoleARN", '"RoleArn"?'),
    (
        "unknown-key",
        lambda d, s: put(s["CheckError"]["Arguments"]["Conditions"][0], Expression=1),
        "CheckError",
        "Conditions[0].Expression",
        "unknown property",
    ),
    ("null-key", lambda d, s: put(d, PipelineExperimentConfig=None), "", "PipelineExperimentConfig", "leave the key"),
    ("null-key", lambda d, s: put(cluster(s["Process"]), VolumeKmsKeyId=None), "Process", "VolumeKmsKeyId", "null"),
    ("structure", lambda d, s: put(d, Steps=[]), "", "Steps", "at least one step"),
    ("structure", lambda d, s: put(s["TooBad"], Arguments={}), "TooBad", "ErrorMessage", "has an ErrorMessage"),
    ("step-type", lambda d, s: put(s["Train"], Type="Trainig"), "Train", "Type", 'did you mean "Training"?'),
    ("step-name", lambda d, s: put(s["Train"], Name="a step"), "a step", "Name", "1 to 64"),
    ("step-name", lambda d, s: put(s["Train"], Name="T" * 65), "T" * 65, "Name", "1 to 64"),
    ("step-name", lambda d, s: put(s["Register"], Name="Train"), "Train", "Name", "two steps"),
    (
        "parameter-count",
        lambda d, s: d["Parameters"].extend(parameter(f"P{n}", "String", "x") for n in range(200)),
        "",
        "Parameters",
        "205 parameters",
    ),
    ("parameter-name", lambda d, s: d["Parameters"].append(parameter("a b", "String", "x")), "", "a b", "letters"),
    ("parameter-name", lambda d, s: d["Parameters"].append(parameter("Reason", "String", "x")), "", "Reason", "two"),
    ("parameter-value", lambda d, s: put(d["Parameters"][3], DefaultValue="six"), "", "MaxError", "not of type Float"),
    ("parameter-value", lambda d, s: put(d["Parameters"][2], DefaultValue="x" * 1025), "", "Reason", "1,024"),
    ("parameter-value", lambda d, s: put(d["Parameters"][2], Type="Text"), "", "Reason", "String, Integer"),
    ("parameter-choices", lambda d, s: put(d["Parameters"][1], DefaultValue="Maybe"), "", "Approval", "none of the"),
    (
        "parameter-choices",
        lambda d, s: put(d["Parameters"][2], EnumValues=["manual", *map(str, range(16))]),
        "",
        "Reason",
        "the limit is 16",
    ),
    ("nested-condition", nest, "Inner", "Type", "in a branch (IfSteps) of the condition CheckError"),
    (
        "same-step-in-both-branches",
        lambda d, s: put(s["CheckError"]["Arguments"], ElseSteps=[{**copy.deepcopy(s["Register"]), "Name": "Again"}]),
        "CheckError",
        "ElseSteps",
        "Again is also in IfSteps, as Register",
    ),
    ("depends-on-condition", lambda d, s: put(s["Process"], DependsOn=["CheckError"]), "Process", "DependsOn", "names"),
    ("depends-on-fail", lambda d, s: put(s["Process"], DependsOn=["TooBad"]), "Process", "DependsOn", "TooBad"),
    (
        "depends-on-fail",
        lambda d, s: put(s["Train"]["Arguments"]["HyperParameters"], x={"Get": "Steps.TooBad.ErrorMessage"}),
        "Train",
        "HyperParameters.x",
        "no properties",
    ),
    ("depends-on", lambda d, s: put(s["Train"], DependsOn=["Proces"]), "Train", "DependsOn", 'mean "Process"?'),
    ("cycle", lambda d, s: put(s["Process"], DependsOn=["Evaluate"]), "Process", "DependsOn", "Process -> Evaluate"),
    (
        "condition",
        lambda d, s: put(s["CheckError"]["Arguments"]["Conditions"][0], Type="LessThen"),
        "CheckError",
        "Conditions[0]",
        'did you mean "LessThan"?',
    ),
    (
        "condition",
        lambda d, s: put(s["CheckError"]["Arguments"]["Conditions"][0], RightValue=[1]),
        "CheckError",
        "RightValue",
        "cannot be compared",
    ),
    (
        "condition",
        lambda d, s: put(s["CheckError"]["Arguments"], Conditions=[]),
        "CheckError",
        "Conditions",
        "at least",
    ),
    (
        "fail-message",
        lambda d, s: put(s["TooBad"]["Arguments"], ErrorMessage="x" * 3073),
        "TooBad",
        "ErrorMessage",
        "the limit is 3,072",
    ),
    (
        "fail-message",
        lambda d, s: s["TooBad"]["Arguments"]["ErrorMessage"]["Std:Join"]["Values"].append("x" * 3073),
        "TooBad",
        "ErrorMessage",
        "the limit is 3,072",
    ),
    (
        "parameter-exists",
        lambda d, s: put(s["Register"]["Arguments"], ModelApprovalStatus={"Get": "Parameters.ApprovlStatus"}),
        "Register",
        "ModelApprovalStatus",
        'did you mean "ApprovalStatus"?',
    ),
    (
        "step-exists",
        lambda d, s: put(s["Register"]["Arguments"], ModelPackageDescription={"Get": "Steps.Trian.RoleArn"}),
        "Register",
        "ModelPackageDescription",
        'did you mean "Train"?',
    ),
    (
        "step-exists",
        lambda d, s: put(s["CheckError"]["Arguments"]["Conditions"][0], LeftValue=json_get("Evalute", "Report", "a")),
        "CheckError",
        "LeftValue",
        'did you mean "Evaluate"?',
    ),
    (
        "property-exists",
        lambda d, s: put(s["Register"]["Arguments"], ModelPackageDescription={"Get": "Steps.Train.ModelArtefacts"}),
        "Register",
        "ModelPackageDescription",
        'did you mean "ModelArtifacts"?',
    ),
    (
        "property-exists",
        lambda d, s: put(
            s["Train"]["Arguments"]["InputDataConfig"][0]["DataSource"]["S3DataSource"], S3Uri=output("Process", "tain")
        ),
        "Train",
        "S3Uri",
        'did you mean "train"?',
    ),
    (
        "execution-variable",
        lambda d, s: put(s["Register"]["Arguments"], ModelPackageDescription={"Get": "Execution.ExecutionId"}),
        "Register",
        "ModelPackageDescription",
        "PipelineExecutionId",
    ),
    (
        "reference-type",
        lambda d, s: put(s["Train"]["Arguments"]["HyperParameters"], n={"Get": "Parameters.InstanceCount"}),
        "Train",
        "HyperParameters.n",
        "to_string",
    ),
    (
        "reference-type",
        lambda d, s: put(cluster(s["Process"]), InstanceCount={"Get": "Parameters.Reason"}),
        "Process",
        "InstanceCount",
        "Reason of type String",
    ),
    (
        "function",
        lambda d, s: put(
            s["CheckError"]["Arguments"]["Conditions"][0],
            LeftValue=json_get("Evaluate", "Report", {"Get": "Parameters.Reason"}),  # type: ignore[arg-type] # the fault
        ),
        "CheckError",
        "LeftValue",
        "literal text",
    ),
    (
        "function",
        lambda d, s: put(s["TooBad"]["Arguments"], ErrorMessage={"Std:Join": {"Values": ["a"]}}),
        "TooBad",
        "ErrorMessage",
        "Std:Join has On",
    ),
    (
        "property-file",
        lambda d, s: put(s["Evaluate"]["PropertyFiles"][0], OutputName="evaluations"),
        "Evaluate",
        "PropertyFiles[0].OutputName",
        'did you mean "evaluation"?',
    ),
    (
        "property-file",
        lambda d, s: put(s["CheckError"]["Arguments"]["Conditions"][0], LeftValue=json_get("Evaluate", "Reports", "a")),
        "CheckError",
        "LeftValue",
        'did you mean "Report"?',
    ),
    (
        "retry-policy",
        lambda d, s: put(s["Train"], RetryPolicies=retry(MaxAttempts=21)),
        "Train",
        "MaxAttempts",
        "1 to 20",
    ),
    (
        "retry-policy",
        lambda d, s: put(s["Train"], RetryPolicies=retry(ExceptionType=["SageMaker.JOB_CAPACITY_ERROR"])),
        "Train",
        "ExceptionType",
        'did you mean "SageMaker.CAPACITY_ERROR"?',
    ),
    (
        "retry-policy",
        lambda d, s: put(s["Train"], RetryPolicies=retry(ExpireAfterMin=1)),
        "Train",
        "[0]",
        "exactly one",
    ),
    (
        "cache",
        lambda d, s: put(s["Train"], CacheConfig={"Enabled": True, "ExpireAfter": "30d"}),
        "Train",
        "Cache",
        "P30D",
    ),
    ("required", lambda d, s: s["Process"]["Arguments"].pop("RoleArn"), "Process", "RoleArn", "needs RoleArn"),
    (
        "field-type",
        lambda d, s: put(s["Train"]["Arguments"]["HyperParameters"], num_round=50),
        "Train",
        "HyperParameters.num_round",
        "text",
    ),
    (
        "count",
        lambda d, s: put(
            s["Process"]["Arguments"], ProcessingInputs=s["Process"]["Arguments"]["ProcessingInputs"] * 11
        ),
        "Process",
        "ProcessingInputs",
        "11 entries, the limit is 10",
    ),
    (
        "count",
        lambda d, s: put(s["Process"]["Arguments"]["AppSpecification"], ContainerArguments=["x"] * 101),
        "Process",
        "ContainerArguments",
        "the limit is 100",
    ),
    (
        "count",
        lambda d, s: put(s["Train"]["Arguments"], Tags=tags(*map(str, range(51)))),
        "Train",
        "Tags",
        "51 entries",
    ),
    (
        "count",
        lambda d, s: put(s["Process"]["Arguments"], Environment={f"A{n}": "x" for n in range(101)}),
        "Process",
        "Environment",
        "the limit is 100",
    ),
    (
        "count",
        lambda d, s: put(s["Register"]["Arguments"], CustomerMetadataProperties={f"A{n}": "x" for n in range(51)}),
        "Register",
        "CustomerMetadataProperties",
        "the limit is 50",
    ),
    (
        "length",
        lambda d, s: put(s["Process"]["Arguments"]["AppSpecification"], ContainerArguments=["x" * 257]),
        "Process",
        "ContainerArguments",
        "257 characters, the limit is 256",
    ),
    (
        "length",
        lambda d, s: put(
            s["Process"]["Arguments"]["AppSpecification"],
            ContainerArguments=[{"Std:Join": {"On": "", "Values": ["x" * 257, {"Get": "Execution.PipelineName"}]}}],
        ),
        "Process",
        "ContainerArguments",
        "at least 257 characters",
    ),
    ("length", lambda d, s: put(d["Parameters"][2], DefaultValue="r" * 257), "Register", "trigger", "(with Reason)"),
    ("length", lambda d, s: put(d["Parameters"][2], DefaultValue=""), "Register", "trigger", "at least 1"),
    ("characters", lambda d, s: put(d["Parameters"][2], DefaultValue="so, why?"), "Register", "trigger", "',' '?'"),
    (
        "characters",
        lambda d, s: put(
            s["Register"]["Arguments"]["CustomerMetadataProperties"],
            run={"Std:Join": {"On": ", ", "Values": [{"Get": "Execution.PipelineName"}, "x"]}},
        ),
        "Register",
        "CustomerMetadataProperties.run",
        "','",
    ),
    (
        "characters",
        lambda d, s: put(s["Register"]["Arguments"]["CustomerMetadataProperties"], **{"a;b": "x"}),
        "Register",
        "key a;b",
        "';'",
    ),
    ("characters", lambda d, s: put(s["Process"]["Arguments"], Environment={"A-B": "x"}), "Process", "A-B", "form"),
    (
        "characters",
        lambda d, s: put(s["Process"]["Arguments"], RoleArn="a-role-by-its-name"),
        "Process",
        "Role",
        "form",
    ),
    ("range", lambda d, s: put(cluster(s["Process"]), InstanceCount=0), "Process", "InstanceCount", "from 1 to 100"),
    (
        "instance-count",
        lambda d, s: put(s["Train"]["Arguments"]["ResourceConfig"], InstanceCount=0),
        "Train",
        "ResourceConfig.InstanceCount",
        "1 to 100",
    ),
    (
        "choice",
        lambda d, s: put(s["Process"]["Arguments"]["ProcessingInputs"][0]["S3Input"], S3InputMode="FastFile"),
        "Process",
        "S3InputMode",
        '"FastFile" is none of',
    ),
    (
        "instance-type",
        lambda d, s: put(cluster(s["Process"]), InstanceType="ml.m5.huge"),
        "Process",
        "InstanceType",
        "none",
    ),
    (
        "instance-type",
        lambda d, s: put(d["Parameters"][0], DefaultValue="ml.c5d.large"),
        "Train",
        "ResourceConfig.InstanceType",
        "(with TrainingInstanceType)",
    ),
    ("reserved-name", lambda d, s: put(s["Train"]["Arguments"], Tags=tags("aws:x")), "Train", "Tags", "reserved"),
    ("unique-name", lambda d, s: put(s["Train"]["Arguments"], Tags=tags("a", "a")), "Train", "Tags", "2 times"),
    (
        "unique-name",
        lambda d, s: put(s["Process"]["Arguments"], ProcessingInputs=s["Process"]["Arguments"]["ProcessingInputs"] * 2),
        "Process",
        "ProcessingInputs",
        "2 times",
    ),
    (
        "volume-key-local-storage",
        lambda d, s: put(cluster(s["Process"]), InstanceType="ml.g4dn.xlarge", VolumeKmsKeyId="${KmsKeyId}"),
        "Process",
        "VolumeKmsKeyId",
        "ml.g4dn.xlarge has local storage",
    ),
    (
        "arm64-instance",
        lambda d, s: put(cluster(s["Process"]), InstanceType="ml.m6g.large"),
        "Process",
        "Inst",
        "arm64",
    ),
    (
        "processing-path",
        lambda d, s: put(s["Process"]["Arguments"]["ProcessingInputs"][0]["S3Input"], LocalPath="/opt/ml/input"),
        "Process",
        "Input code.S3Input.LocalPath",
        "/opt/ml/processing/",
    ),
    (
        "training-image",
        lambda d, s: put(s["Train"]["Arguments"]["AlgorithmSpecification"], AlgorithmName="own"),
        "Train",
        "AlgorithmSpecification",
        "exactly one",
    ),
    ("model-package-tags", lambda d, s: put(s["Register"]["Arguments"], Tags=tags("a")), "Register", "Tags", "group"),
    (
        "max-wait",
        lambda d, s: put(s["Train"]["Arguments"]["StoppingCondition"], MaxWaitTimeInSeconds=60),
        "Train",
        "MaxWaitTimeInSeconds",
        "less than",
    ),
]


@pytest.mark.parametrize(("rule", "change", "step", "field", "says"), BROKEN)
def test_a_broken_rule_is_named_with_step_field_and_source(
    rule: str, change: Change, step: str, field: str, says: str
) -> None:
    definition = regression_sample()
    change(definition, steps_of(definition))
    found = [item for item in check_definition(definition) if item.rule.name == rule]
    assert found, [str(item) for item in check_definition(definition)]
    matching = [item for item in found if item.step == step and field in item.field and says in item.message]
    assert matching, [str(item) for item in found]
    assert matching[0].source.startswith("https://")


def test_every_rule_has_a_definition_that_breaks_it() -> None:
    assert {rule for rule, *_ in BROKEN} == set(RULES)


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_shapes_of_public_samples_pass(sample: str) -> None:
    assert [str(item) for item in check_definition(SAMPLES[sample]())] == []


def test_what_only_a_run_knows_is_not_held_against_a_definition() -> None:
    """Constants, outputs and numbers of files may turn out too long; nothing says that they will."""
    definition = regression_sample()
    metadata = steps_of(definition)["Register"]["Arguments"]["CustomerMetadataProperties"]
    metadata |= {
        "image": "${ImageUri}",
        "error": {"Std:Join": {"On": "", "Values": [json_get("Evaluate", "Report", "a")]}},
        "place": {"Std:Join": {"On": "/", "Values": [output("Process", "train"), "x" * 250]}},
    }
    assert check_definition(definition) == []


def test_the_values_that_a_start_gives_are_checked_in_place_of_the_defaults() -> None:
    definition = regression_sample()
    (found,) = check_definition(definition, {"TrainingInstanceType": "ml.m5.hugelarge"})
    assert (found.rule.name, found.parameters) == ("instance-type", ("TrainingInstanceType",))


def test_no_malformed_definition_ends_in_a_traceback() -> None:
    """Any part replaced by something of another type: findings, or none, but no error of ours."""

    def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [path, *(place for key, item in inner for place in places(item, (*path, key)))]

    sound = regression_sample()
    for place in places(sound)[1:]:
        for other in (None, 7, "text", {}, [7], {"Get": 7}, {"Std:JsonGet": 7}):
            definition = json.loads(json.dumps(sound))
            holder = definition
            for key in place[:-1]:
                holder = holder[key]
            holder[place[-1]] = other
            check_definition(definition)


@pytest.mark.parametrize(
    ("name", "local", "arm"),
    [
        ("ml.m5.large", False, False),
        ("ml.m5d.large", True, False),
        ("ml.c5n.xlarge", False, False),
        ("ml.r5d.large", True, False),
        ("ml.g4dn.xlarge", True, False),
        ("ml.g5.xlarge", True, False),
        ("ml.g6e.xlarge", True, False),
        ("ml.p3.2xlarge", False, False),
        ("ml.p3dn.24xlarge", True, False),
        ("ml.p4d.24xlarge", True, False),
        ("ml.p5en.48xlarge", True, False),
        ("ml.p6-b200.48xlarge", True, False),
        ("ml.p6e-gb200.36xlarge", True, True),
        ("ml.trn1.2xlarge", True, False),
        ("ml.m6g.large", False, True),
        ("ml.c6gd.large", True, True),
        ("ml.c7i-flex.large", False, False),
        ("ml.t3.medium", False, False),
        ("local", False, False),
    ],
)
def test_an_instance_types_name_says_storage_and_processor(name: str, local: bool, arm: bool) -> None:
    assert (has_local_storage(name), is_arm64(name)) == (local, arm)


# Without code points that this Python does not know yet: the engine of the comparison is of a newer Unicode.
@given(
    text=st.text(st.characters(exclude_categories=["Cn", "Cs"]), max_size=12),
    shape=st.sampled_from(["CustomerMetadataValue", "TagKey", "EntityDescription"]),
)
@example(text="a\tb", shape="CustomerMetadataValue")
@example(text="é ٣ Ⅷ ½\u3000", shape="CustomerMetadataValue")
def test_characters_are_those_that_a_full_engine_of_patterns_takes(text: str, shape: str) -> None:
    """Python's own engine knows no Unicode properties, of which the service's patterns consist."""
    pattern = SHAPES[shape]["pattern"]
    repeated = regex.sub(r"\$\{1,\d+\}$", "", pattern)  # the model writes the repetition of two of them wrongly
    taken = regex.fullmatch(repeated, text) is not None
    assert (_wrong_characters(pattern, Value(known=True, value=text)) == "") is taken


def test_the_table_is_that_of_the_installed_botocore() -> None:
    from pipeline.definition.service_rules.shapes import SHAPES_FILE
    from scripts.writers.service_shapes import table

    stale = "run python -m scripts.writers.service_shapes and commit the result"
    assert SHAPES_FILE.read_text(encoding="utf-8") == table(), stale


def test_a_pass_here_is_a_pass_of_botocores_own_validator() -> None:
    """The requests of the samples, with values for what a run knows, are accepted by the SDK's own check of types."""
    import botocore.session
    from botocore.validate import ParamValidator

    model = botocore.session.get_session().get_service_model("sagemaker")
    request = processing("Process")["Arguments"] | {"ProcessingJobName": "x"}
    report = ParamValidator().validate(request, model.operation_model("CreateProcessingJob").input_shape)
    assert not report.has_errors(), report.generate_report()
