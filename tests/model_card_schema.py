"""What SageMaker takes as the card of a model package: the SageMaker SDK's shapes, as strict as the service's schema.

docs.aws.amazon.com/sagemaker/latest/dg/model-registry-details.html, "Model package model card schema": no other fields
than those of the shapes, model_overview has two, patterns are of the whole name, and some texts have limits that the
shapes leave out.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

import regex
from botocore.loaders import Loader
from jsonschema import Draft202012Validator

OF_A_PACKAGE = ("model_creator", "model_artifact")  # of model_overview
TEXT_LIMITS = {"custom_details": 1024, "metadata": 1024}  # of the values


def refusals(card: dict[str, str]) -> list[str]:
    """Why a ModelCard of CreateModelPackage or UpdateModelPackage is refused; empty where it is taken."""
    found = [*_refused("ModelCardContent", card["ModelCardContent"])]
    if "ModelCardStatus" in card and card["ModelCardStatus"] not in _shapes()["ModelCardStatus"]["enum"]:
        found.append(f"status {card['ModelCardStatus']}")
    try:
        content = json.loads(card["ModelCardContent"])
    except ValueError as error:
        return [*found, f"not JSON: {error}"]
    return found + [f"{error.json_path}: {error.message}" for error in _validator().iter_errors(content)]


def _refused(shape: str, text: str) -> Iterator[str]:
    rule = _shapes()[shape]
    if not rule["min"] <= len(text) <= rule["max"]:
        yield f"{len(text)} characters"
    if not regex.fullmatch(rule["pattern"], text):
        yield "more than one line"


@functools.cache
def _shapes() -> dict[str, Any]:
    return dict(Loader().load_service_model("sagemaker", "service-2")["shapes"])


@functools.cache
def _validator() -> Draft202012Validator:
    from sagemaker.core.shapes.model_card_shapes import ModelCardContent

    schema = ModelCardContent.model_json_schema()
    overview = schema["$defs"]["ModelOverview"]
    overview["properties"] = {name: overview["properties"][name] for name in OF_A_PACKAGE}
    for part in (schema, *schema["$defs"].values()):
        if "properties" in part:
            part["additionalProperties"] = False
            for name, rule in part["properties"].items():
                _tighten(name, rule)
    return Draft202012Validator(schema)


def _tighten(name: str, rule: dict[str, Any]) -> None:
    if "pattern" in rule:
        rule["pattern"] = f"^{rule['pattern']}$"
    for kind in rule.get("anyOf", ()):
        if name in TEXT_LIMITS and kind.get("type") == "object":
            kind["additionalProperties"]["maxLength"] = TEXT_LIMITS[name]
