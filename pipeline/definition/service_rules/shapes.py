"""The service's own model of the requests and responses of a pipeline's steps: shapes.json, made from botocore's.

`python -m scripts.writers.service_shapes` writes it; a test makes it again and compares.
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


@cache
def shapes() -> Mapping[str, Any]:
    """Shapes by name, each `{"type": ..., "members"|"member"|"key", "value": ..., "min", "max", "pattern", "enum"}`."""
    found: dict[str, Any] = json.loads(SHAPES_FILE.read_text(encoding="utf-8"))
    return found


def request_shape(step_type: str) -> str | None:
    """The name of the shape of a step's arguments, None for types that are not in the table."""
    operation = OPERATIONS.get(step_type)
    return str(shapes()["operations"][operation]["request"]) if operation else None


def response_shape(step_type: str) -> str | None:
    """The name of the shape of a step's properties, None for types that are not in the table."""
    operation = OPERATIONS.get(step_type)
    return str(shapes()["operations"][operation]["response"]) if operation else None


def shape(name: str) -> Mapping[str, Any]:
    """A shape."""
    found: Mapping[str, Any] = shapes()["shapes"][name]
    return found
