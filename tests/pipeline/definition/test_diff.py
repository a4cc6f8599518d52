"""Differences of definitions, in words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pipeline.definition.diff import compare

JOB: dict[str, Any] = {
    "Name": "Fit",
    "Type": "Training",
    "Arguments": {
        "AlgorithmSpecification": {"ContainerArguments": ["--depth", {"Get": "Parameters.Depth"}, "--fast"]},
        "InputDataConfig": [{"ChannelName": "games", "S3Uri": {"Std:Join": {"On": "/", "Values": ["s3://b", "x"]}}}],
        "ResourceConfig": {"VolumeSizeInGB": 10},
    },
    "RetryPolicies": [{"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": 3}],
}
DEFINITION: dict[str, Any] = {
    "Version": "2020-12-01",
    "Parameters": [{"Name": "Depth", "Type": "Integer", "DefaultValue": 3}],
    "Steps": [
        JOB,
        {
            "Name": "Good",
            "Type": "Condition",
            "Arguments": {
                "Conditions": [
                    {
                        "Type": "Not",
                        "Condition": {
                            "Type": "In",
                            "QueryValue": {"Get": "Parameters.Depth"},
                            "Values": [1, 2],
                        },
                    }
                ],
                "IfSteps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}],
                "ElseSteps": [],
            },
        },
    ],
}


@pytest.fixture
def other() -> dict[str, Any]:
    return copy.deepcopy(DEFINITION)


def lines(after: dict[str, Any]) -> list[str]:
    return [str(difference) for difference in compare(DEFINITION, after)]


def test_same_definitions_do_not_differ(other: dict[str, Any]) -> None:
    assert compare(DEFINITION, other) == ()


def test_field_of_a_job(other: dict[str, Any]) -> None:
    other["Steps"][0]["Arguments"]["ResourceConfig"]["VolumeSizeInGB"] = 20
    assert lines(other) == ["~ step Fit: ResourceConfig.VolumeSizeInGB: 10 -> 20"]


def test_arguments_are_compared_by_option(other: dict[str, Any]) -> None:
    arguments = other["Steps"][0]["Arguments"]["AlgorithmSpecification"]["ContainerArguments"]
    arguments[:0] = ["--new", "1"]
    arguments[3] = "4"
    assert lines(other) == [
        "~ step Fit: AlgorithmSpecification.ContainerArguments --depth: <Depth> -> 4",
        "+ step Fit: AlgorithmSpecification.ContainerArguments --new: 1",
    ]


def test_named_lists_are_compared_by_name(other: dict[str, Any]) -> None:
    channel = {"ChannelName": "odds", "S3Uri": "s3://b/odds"}
    other["Steps"][0]["Arguments"]["InputDataConfig"].insert(0, channel)
    other["Steps"][0]["Arguments"]["InputDataConfig"][1]["S3Uri"]["Std:Join"]["Values"][1] = "y"
    assert lines(other) == [
        "~ step Fit: InputDataConfig[games].S3Uri: s3://b/x -> s3://b/y",
        "+ step Fit: InputDataConfig[odds].ChannelName: odds",
        "+ step Fit: InputDataConfig[odds].S3Uri: s3://b/odds",
    ]


def test_parameters_and_steps_come_and_go(other: dict[str, Any]) -> None:
    other["Parameters"] = [{"Name": "Rounds", "Type": "Integer", "DefaultValue": 9}]
    other["Steps"][1]["Arguments"]["ElseSteps"] = other["Steps"][1]["Arguments"]["IfSteps"]
    other["Steps"][1]["Arguments"]["IfSteps"] = [{"Name": "Other", "Type": "Fail", "Arguments": {}}]
    assert lines(other) == [
        "- parameter Depth: Type Integer, DefaultValue 3",
        "+ parameter Rounds: Type Integer, DefaultValue 9",
        "~ step Stop: runs: when Good says yes -> when Good says no",
        "+ step Other: Fail, runs when Good says yes",
    ]


def test_condition_in_words(other: dict[str, Any]) -> None:
    other["Steps"][1]["Arguments"]["Conditions"][0] = {
        "Type": "GreaterThan",
        "LeftValue": {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Fit.PropertyFiles.Facts"}, "Path": "a.b"}},
        "RightValue": 0.5,
    }
    assert lines(other) == [
        "~ step Good: Conditions[1]: not (<Depth> is one of 1, 2) -> a.b of Fit's Facts > 0.5",
    ]


def test_retry_policy_and_order(other: dict[str, Any]) -> None:
    other["Steps"][0]["RetryPolicies"][0]["MaxAttempts"] = 5
    other["Steps"].reverse()
    assert lines(other) == [
        "~ step Fit: RetryPolicies[1].MaxAttempts: 3 -> 5",
        "~ definition: order of steps: Fit, Good, Stop -> Good, Stop, Fit",
    ]


def test_a_difference_that_words_hide_is_still_a_difference(other: dict[str, Any]) -> None:
    other["Steps"][0]["Arguments"]["ResourceConfig"]["VolumeSizeInGB"] = "10"
    assert len(compare(DEFINITION, other)) == 1
