"""Get, Std:Join, Std:JsonGet and every condition type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_definitions import compare, get, join, json_get

from pipeline.local.plan.expressions import ExpressionError, Value, all_hold, at_path, evaluate, holds, references


@dataclass
class DictScope:
    """A scope of literal values."""

    parameters: Mapping[str, Value] = field(default_factory=dict)
    steps: Mapping[str, Any] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)

    def execution(self, name: str) -> str | None:
        return {"PipelineExecutionId": "abc"}.get(name)

    def properties(self, step: str) -> Mapping[str, Any]:
        return self.steps[step]

    def property_file(self, step: str, name: str) -> str:
        return f"s3://bucket/{step}/{name}.json"

    def read_json(self, uri: str) -> object:
        if uri not in self.documents:
            raise FileNotFoundError(uri)
        return json.loads(self.documents[uri])


def document(text: str) -> DictScope:
    return DictScope(documents={"s3://bucket/Evaluate/Report.json": text})


def test_get_reads_parameters_execution_and_step_properties() -> None:
    scope = DictScope(
        parameters={"Rows": 3},
        steps={
            "Prepare": {
                "ProcessingOutputConfig": {"Outputs": [{"OutputName": "games", "S3Output": {"S3Uri": "s3://b/g"}}]}
            },
            "Train-1": {"ModelArtifacts": {"S3ModelArtifacts": "s3://b/m.tar.gz"}, "List": [{"x": 1}, {"x": 2}]},
        },
    )
    request = {
        "a": get("Parameters.Rows"),
        "b": [get("Execution.PipelineExecutionId")],
        "c": get("Steps.Prepare.ProcessingOutputConfig.Outputs['games'].S3Output.S3Uri"),
        "d": get("Steps.Train-1.ModelArtifacts.S3ModelArtifacts"),
        "e": get("Steps.Train-1.List[1].x"),
    }
    assert evaluate(request, scope) == {"a": 3, "b": ["abc"], "c": "s3://b/g", "d": "s3://b/m.tar.gz", "e": 2}


def test_join_writes_numbers_and_booleans_as_text() -> None:
    scope = DictScope(parameters={"I": 3, "F": 0.25, "B": True})
    expression = join("-", "x", get("Parameters.I"), get("Parameters.F"), get("Parameters.B"), join("", "y", 1))
    assert evaluate(expression, scope) == "x-3-0.25-true-y1"


def test_json_get_reads_property_files_and_s3_locations() -> None:
    scope = document('{"a": {"b": [{"c.d": 0.5}]}, "ok": true}')
    assert evaluate(json_get("Evaluate", "Report", "a.b[0]['c.d']"), scope) == 0.5
    from_s3 = {"Std:JsonGet": {"S3Uri": join("/", "s3:/", "bucket", "Evaluate/Report.json"), "Path": "ok"}}
    assert evaluate(from_s3, scope) is True


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (
            '{"a": {"x": 1, "y": 2}}',
            "a.b",
            'Report.json of step Evaluate has no value at "a.b": "b" is missing, there is x, y',
        ),
        ('{"a": [1]}', "a[1]", '"1" is missing, there is a list of 1'),
        ('{"a": 5}', "a.b", "there is the value 5"),
        ('{"a": {"b": 1}}', "a", "not a string, number or boolean"),
        ('{"a": null}', "a", "holds None"),
        ('{"a": ', "a", "is not valid JSON"),
        ('{"a": 1}', "a[", "cannot be read"),
    ],
)
def test_json_get_without_a_value_says_what_is_there(text: str, path: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(json_get("Evaluate", "Report", path), document(text))
    assert message in str(caught.value)


def test_json_get_of_a_file_that_was_not_written_names_the_object() -> None:
    with pytest.raises(ExpressionError, match=r"s3://bucket/Evaluate/Report\.json"):
        evaluate(json_get("Evaluate", "Report", "a"), DictScope())


def test_references_are_found_at_any_depth() -> None:
    value = {"x": [join("", get("Parameters.A"), json_get("S", "F", "p"))], "Get": "two keys", "y": get("Steps.T.Z")}
    assert list(references(value)) == ["Parameters.A", "Steps.S.PropertyFiles.F", "Steps.T.Z"]


KEYS = st.text(st.characters(blacklist_characters="'[].\"", blacklist_categories=("Cs",)), min_size=1, max_size=5)


@given(st.lists(st.one_of(KEYS, st.integers(0, 3)), min_size=1, max_size=5), st.integers())
def test_a_path_reaches_what_stands_at_its_end(parts: list[str | int], value: int) -> None:
    nested: Any = value
    for part in reversed(parts):
        nested = {part: nested} if isinstance(part, str) else [None] * part + [nested]
    path = "".join(f"['{part}']" if isinstance(part, str) else f"[{part}]" for part in parts)
    assert at_path(nested, path, "document") == value


@pytest.mark.parametrize(
    ("kind", "left", "right", "outcome"),
    [
        ("Equals", 1, 1.0, True),
        ("Equals", "a", "b", False),
        ("Equals", True, True, True),
        ("GreaterThan", 2, 1, True),
        ("GreaterThan", 1, 1, False),
        ("GreaterThanOrEqualTo", 1, 1, True),
        ("GreaterThanOrEqualTo", 0.5, 1, False),
        ("LessThan", "a", "b", True),
        ("LessThan", 1, 1, False),
        ("LessThanOrEqualTo", 1, 1, True),
        ("LessThanOrEqualTo", 2, 1, False),
        ("LessThan", float("nan"), 1, False),
    ],
)
def test_comparisons(kind: str, left: Value, right: Value, outcome: bool) -> None:
    assert holds(compare(kind, left, get("Parameters.P")), DictScope(parameters={"P": right})) is outcome


def test_in_not_or_and_the_list_as_and() -> None:
    scope = DictScope(parameters={"P": 2})
    within = {"Type": "In", "QueryValue": get("Parameters.P"), "Values": [1, get("Parameters.P"), "2"]}
    without = {"Type": "In", "QueryValue": get("Parameters.P"), "Values": ["2", 3, True]}
    assert holds(within, scope)
    assert not holds(without, scope)
    assert holds({"Type": "Not", "Condition": without}, scope)
    assert holds({"Type": "Or", "Conditions": [without, within]}, scope)
    assert not holds({"Type": "Or", "Conditions": [without, without]}, scope)
    assert all_hold([within, {"Type": "Not", "Condition": without}], scope)
    assert not all_hold([within, without], scope)
    assert all_hold([], scope)


@pytest.mark.parametrize(("left", "right"), [(1, "1"), (True, 1), ("x", False)])
def test_values_of_different_types_are_not_compared(left: Value, right: Value) -> None:
    with pytest.raises(ExpressionError, match="cannot compare"):
        holds(compare("Equals", left, right), DictScope())
