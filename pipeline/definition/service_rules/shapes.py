"""The forms of a definition's parts, as shapes of botocore's kind.

shapes.json holds the requests and responses of steps, made from botocore's model of the service:
`python -m scripts.writers.service_shapes` writes it; a test makes it again and compares. definition_shapes.json holds
the definition itself, as its public schema and the developer guide have it. There, a shape names the `rule` that it
states; one that is `open` may have other members, and an `expression` may take a value's place; of a `union`, Type says
which shape it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

SHAPES_FILE: Final = Path(__file__).with_name("shapes.json")
# Type of a step: the request that its arguments are, and the response that its properties are.
OPERATIONS: Final = {
    "Processing": "CreateProcessingJob",
    "Training": "CreateTrainingJob",
    "RegisterModel": "CreateModelPackage",
    "Transform": "CreateTransformJob",
    "Model": "CreateModel",
    "Tuning": "CreateHyperParameterTuningJob",
}
_NO_REQUEST: Final = {"Condition": "ConditionArguments", "Fail": "FailArguments"}


@cache
def shapes() -> Mapping[str, Any]:
    """Shapes by name, each `{"type": ..., "members"|"member"|"key", "value": ..., "min", "max", "pattern", "enum"}`."""
    found: dict[str, Any] = json.loads(SHAPES_FILE.read_text(encoding="utf-8"))
    of_definition = json.loads(SHAPES_FILE.with_name("definition_shapes.json").read_text(encoding="utf-8"))
    return {**found, "shapes": {**found["shapes"], **of_definition}}


def arguments_shape(step_type: str) -> str | None:
    """The name of the shape of a step's arguments, None for types that are not in the table."""
    return _NO_REQUEST.get(step_type) or _shape_of(step_type, "request")


def response_shape(step_type: str) -> str | None:
    """The name of the shape of a step's properties, None for types that are not in the table."""
    return _shape_of(step_type, "response")


def _shape_of(step_type: str, side: str) -> str | None:
    operation = OPERATIONS.get(step_type)
    return str(shapes()["operations"][operation][side]) if operation else None


def shape(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = shapes()["shapes"][name]
    return found
