"""Finds values that SageMaker takes as text only and a definition gives as something else, before a start does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.local.expressions import function_of
from pipeline.local.parameters import PlanError

_TEXT_MAPS = ("Environment", "HyperParameters")
_CONTAINERS = ("AppSpecification", "AlgorithmSpecification")
_TEXT_LISTS = ("ContainerEntrypoint", "ContainerArguments")


def check_texts(step: str, arguments: Mapping[str, Any], parameter_types: Mapping[str, str]) -> None:
    """Raises PlanError for an environment variable, hyperparameter or container argument that is not text.

    A parameter of another type is no text either: the service refuses to assign it until it stands in a Join (the SDK's
    `to_string()`).
    """
    for where, value in _texts(arguments):
        if function_of(value) == "Get":
            name = value["Get"].removeprefix("Parameters.")
            if parameter_types.get(name, "String") != "String":
                raise PlanError(
                    f"step {step}: {where} is the parameter {name} of type {parameter_types[name]}, but SageMaker "
                    "takes text there: put it in a Std:Join (the SDK's to_string())"
                )
        elif function_of(value) is None and not isinstance(value, str):
            raise PlanError(f"step {step}: {where} is {value!r}, but SageMaker takes text there")


def _texts(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for part in _TEXT_MAPS:
        for name, value in (arguments.get(part) or {}).items():
            yield f"{part} {name}", value
    for container in _CONTAINERS:
        for part in _TEXT_LISTS:
            for n, value in enumerate((arguments.get(container) or {}).get(part) or []):
                yield f"{part} {n + 1}", value
