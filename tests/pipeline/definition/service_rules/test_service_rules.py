"""Each rule refuses a definition that breaks it, and the shapes of AWS's samples break none."""

from __future__ import annotations

import json
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
from pipeline.definition.service_rules.fields import _wrong_characters
from pipeline.definition.service_rules.instances import has_local_storage, is_arm64
from pipeline.definition.service_rules.shapes import shapes
from pipeline.definition.service_rules.values import Value

SHAPES = shapes()["shapes"]
GONE = object()


def steps_of(definition: Json) -> dict[str, Json]:
    """The steps of the sample by name; the definition itself under no name."""
    top = definition["Steps"]
    branches = top[3]["Arguments"]
    return {"": definition, **{step["Name"]: step for step in (*top, *branches["IfSteps"], *branches["ElseSteps"])}}


def put(definition: Json, path: str, value: Any) -> None:
    """Another value at a path that begins with a step; `value` may be made of the old one."""
    step, *parents, last = path.split(".")
    holder: Any = steps_of(definition)[step]
    for part in parents:
        holder = holder[int(part) if isinstance(holder, list) else part]
    key: Any = int(last) if isinstance(holder, list) else last
    made = value(holder[key]) if callable(value) else value
    if made is GONE:
        del holder[key]
    else:
        holder[key] = made


def tags(*keys: str) -> list[Json]:
    return [{"Key": key, "Value": "x"} for key in keys]


def get(path: str) -> Json:
    return {"Get": path}


def joined(on: str, *values: Any) -> Json:
    return {"Std:Join": {"On": on, "Values": list(values)}}


def retry(**values: Any) -> list[Json]:
    return [{"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": 5, **values}]


def default(value: Any) -> Json:
    """The parameter Reason with another default."""
    return parameter("Reason", "String", value)


CLUSTER = "Process.Arguments.ProcessingResources.ClusterConfig"
INPUTS, PROGRAM = "Process.Arguments.ProcessingInputs", "Process.Arguments.AppSpecification.ContainerArguments"
TRAINED, TERM = "Train.Arguments", "CheckError.Arguments.Conditions.0"
PACKAGE, METADATA = "Register.Arguments", "Register.Arguments.CustomerMetadataProperties"
DESCRIPTION = f"{PACKAGE}.ModelPackageDescription"
S3_URI = f"{TRAINED}.InputDataConfig.0.DataSource.S3DataSource.S3Uri"
INNER = condition("Inner", [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}], [], [])
NAME = get("Execution.PipelineName")

# Rule, path, the value there that breaks it, and what the finding says; and where, if it is not the path's last part.
BROKEN: list[tuple[Any, ...]] = [
    ("definition-size", ".Metadata.x", "y" * 1_048_577, "1,048,576", "definition"),
    ("version", ".Version", "2021-01-01", "2020-12-01"),
    ("unknown-key", ".Setps", [], 'did you mean "Steps"?'),
    ("unknown-key", "Train.DependOn", [], 'did you mean "DependsOn"?'),
    ("unknown-key", f"{TRAINED}.RoleARN", ROLE, '"RoleArn"?'),
    ("unknown-key", f"{TERM}.Expression", 1, 'has no property "Expression"', "Conditions[0].Expression"),
    ("null-key", ".PipelineExperimentConfig", None, "leave the key"),
    ("null-key", f"{CLUSTER}.VolumeKmsKeyId", None, "null"),
    ("structure", ".Steps", [], "at least one step"),
    ("structure", "TooBad.Arguments", {}, "needs ErrorMessage", "ErrorMessage"),
    ("structure", "Train.Arguments", GONE, "an object of Arguments"),
    ("step-type", "Train.Type", "Trainig", 'did you mean "Training"?'),
    ("step-name", "Train.Name", "a step", "' ' are not allowed", "a step, Name"),
    ("step-name", "Train.Name", "T" * 65, "the limit is 64", "T, Name"),
    ("step-name", "Register.Name", "Train", '"Train" is given 2 times', "pipeline, Steps"),
    ("parameter-count", ".Parameters", lambda old: old * 41, "205 entries, the limit is 200"),
    ("parameter-name", ".Parameters.2", parameter("a b", "String", "x"), "' ' are not allowed", "[a b].Name"),
    ("parameter-name", ".Parameters.1", default("x"), '"Reason" is given 2 times', "Parameters"),
    ("parameter-value", ".Parameters.3.DefaultValue", "six", "not of type Float", "MaxError"),
    ("parameter-value", ".Parameters.2", default("x" * 1025), "1,024", "Reason"),
    ("parameter-value", ".Parameters.2.Type", "Text", "Boolean, Float, Integer, String", "[Reason].Type"),
    ("parameter-choices", ".Parameters.1.DefaultValue", "Maybe", "none of the allowed values", "Approval"),
    ("parameter-choices", ".Parameters.2.EnumValues", ["manual"] * 17, "the limit is 16", "Reason"),
    ("nested-condition", "CheckError.Arguments.IfSteps.0", INNER, "a branch (IfSteps) of the condition", "Inner, Type"),
    (
        "same-step-in-both-branches",
        "CheckError.Arguments",
        lambda old: {**old, "ElseSteps": [{**old["IfSteps"][0], "Name": "Again"}]},
        "step Again is also in IfSteps, as Register",
        "CheckError, ElseSteps",
    ),
    ("depends-on-condition", "Process.DependsOn", ["CheckError"], "names the condition CheckError"),
    ("depends-on-fail", "Process.DependsOn", ["TooBad"], "TooBad"),
    ("depends-on-fail", f"{TRAINED}.HyperParameters.x", get("Steps.TooBad.ErrorMessage"), "no properties"),
    ("depends-on", "Train.DependsOn", ["Proces"], 'mean "Process"?'),
    ("cycle", "Process.DependsOn", ["Evaluate"], "Process -> Evaluate", "DependsOn"),
    ("condition", f"{TERM}.Type", "LessThen", 'did you mean "LessThan"?', "Conditions[0]"),
    ("condition", f"{TERM}.RightValue", [1], "is no text, number, boolean or expression"),
    ("condition", f"{TERM}.RightValue", GONE, "needs RightValue"),
    ("condition", "CheckError.Arguments.Conditions", [], "at least"),
    ("fail-message", "TooBad.Arguments.ErrorMessage", "x" * 3073, "the limit is 3,072"),
    ("fail-message", "TooBad.Arguments.ErrorMessage", joined(" ", NAME, "x" * 3073), "the limit is 3,072"),
    ("parameter-exists", f"{PACKAGE}.ModelApprovalStatus", get("Parameters.ApprovlStatus"), 'mean "ApprovalStatus"?'),
    ("step-exists", DESCRIPTION, get("Steps.Trian.RoleArn"), 'did you mean "Train"?'),
    ("step-exists", f"{TERM}.LeftValue", json_get("Evalute", "Report", "a"), 'did you mean "Evaluate"?'),
    ("property-exists", DESCRIPTION, get("Steps.Train.ModelArtefacts"), 'did you mean "ModelArtifacts"?'),
    ("property-exists", S3_URI, output("Process", "tain"), 'did you mean "train"?'),
    ("execution-variable", DESCRIPTION, get("Execution.ExecutionId"), "PipelineExecutionId"),
    ("reference-type", f"{TRAINED}.HyperParameters.n", get("Parameters.InstanceCount"), "to_string"),
    ("reference-type", f"{CLUSTER}.InstanceCount", get("Parameters.Reason"), "Reason of type String"),
    ("function", f"{TERM}.LeftValue.Std:JsonGet.Path", get("Parameters.Reason"), "literal text", "LeftValue"),
    ("function", "TooBad.Arguments.ErrorMessage", {"Std:Join": {"Values": ["a"]}}, "Std:Join has On"),
    ("property-file", "Evaluate.PropertyFiles.0.OutputName", "evaluations", 'did you mean "evaluation"?'),
    ("property-file", "Evaluate.PropertyFiles.0.FilePath", "/evaluation.json", "does not have the form"),
    ("property-file", f"{TERM}.LeftValue", json_get("Evaluate", "Reports", "a"), 'did you mean "Report"?'),
    ("retry-policy", "Train.RetryPolicies", retry(MaxAttempts=21), "from 1 to 20", "MaxAttempts"),
    ("retry-policy", "Train.RetryPolicies", retry(ExceptionType=["Step.THROTTLIN"]), 'did you mean "Step.THROTTLING"?'),
    ("retry-policy", "Train.RetryPolicies", retry(ExpireAfterMin=1), "exactly one", "[0]"),
    ("retry-policy", "TooBad.RetryPolicies", retry(), "takes no retry policy"),
    ("cache", "Train.CacheConfig", {"Enabled": True, "ExpireAfter": "30d"}, "does not have the form", "ExpireAfter"),
    ("required", "Process.Arguments.RoleArn", GONE, "needs RoleArn"),
    ("field-type", f"{TRAINED}.HyperParameters.num_round", 50, "text"),
    ("count", INPUTS, lambda old: old * 11, "11 entries, the limit is 10"),
    ("count", PROGRAM, ["x"] * 101, "the limit is 100"),
    ("count", f"{TRAINED}.Tags", tags(*map(str, range(51))), "51 entries"),
    ("count", "Process.Arguments.Environment", {f"A{n}": "x" for n in range(101)}, "the limit is 100"),
    ("count", METADATA, {f"A{n}": "x" for n in range(51)}, "the limit is 50"),
    ("length", PROGRAM, ["x" * 257], "257 characters, the limit is 256"),
    ("length", PROGRAM, [joined("", "x" * 257, NAME)], "at least 257 characters"),
    ("length", ".Parameters.2", default("r" * 257), "(with Reason)", "Register, CustomerMetadataProperties.trigger"),
    ("length", ".Parameters.2", default(""), "at least 1", "Register, CustomerMetadataProperties.trigger"),
    ("characters", ".Parameters.2", default("so, why?"), "',' '?'", "Register, CustomerMetadataProperties.trigger"),
    ("characters", f"{METADATA}.run", joined(", ", NAME, "x"), "','"),
    ("characters", f"{METADATA}.a;b", "x", "';'", "key a;b"),
    ("characters", "Process.Arguments.Environment", {"A-B": "x"}, "form", "A-B"),
    ("characters", "Process.Arguments.RoleArn", "a-role-by-its-name", "form"),
    ("range", f"{CLUSTER}.InstanceCount", 0, "from 1 to 100"),
    ("instance-count", f"{TRAINED}.ResourceConfig.InstanceCount", 0, "1 to 100", "ResourceConfig.InstanceCount"),
    ("choice", f"{INPUTS}.0.S3Input.S3InputMode", "FastFile", '"FastFile" is none of'),
    ("instance-type", f"{CLUSTER}.InstanceType", "ml.m5.huge", "none"),
    ("instance-type", ".Parameters.0.DefaultValue", "ml.c5d.large", "(with TrainingInstanceType)", "Train, Resource"),
    ("reserved-name", f"{TRAINED}.Tags", tags("aws:x"), "reserved"),
    ("unique-name", f"{TRAINED}.Tags", tags("a", "a"), "2 times"),
    ("unique-name", INPUTS, lambda old: old * 2, "2 times"),
    (
        "volume-key-local-storage",
        CLUSTER,
        lambda old: {**old, "InstanceType": "ml.g4dn.xlarge", "VolumeKmsKeyId": "${KmsKeyId}"},
        "ml.g4dn.xlarge has local storage",
        "VolumeKmsKeyId",
    ),
    ("arm64-instance", f"{CLUSTER}.InstanceType", "ml.m6g.large", "arm64"),
    ("processing-path", f"{INPUTS}.0.S3Input.LocalPath", "/opt/ml/input", "/opt/ml/processing/", "Input code.S3Input"),
    ("training-image", f"{TRAINED}.AlgorithmSpecification.AlgorithmName", "own", "exactly one", "AlgorithmSpec"),
    ("model-package-tags", f"{PACKAGE}.Tags", tags("a"), "group"),
    ("max-wait", f"{TRAINED}.StoppingCondition.MaxWaitTimeInSeconds", 60, "less than"),
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: f"{broken[0]} {broken[1]}")
def test_a_broken_rule_is_named_with_step_field_and_source(broken: tuple[Any, ...]) -> None:
    rule, path, value, says, *where = broken
    step, *_, last = path.split(".")
    definition = regression_sample()
    put(definition, path, value)
    found = check_definition(definition)
    named = [str(item) for item in found if item.rule.name == rule and item.source.startswith("https://")]
    (field,) = where or [last]
    begin = "" if where else f"step {step}, " if step else "pipeline, "
    told = [text for text in named if text.startswith(begin) and field in text.split(": ")[0] and says in text]
    assert told, list(map(str, found))


def test_every_rule_has_a_definition_that_breaks_it() -> None:
    assert {broken[0] for broken in BROKEN} == set(RULES)


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
