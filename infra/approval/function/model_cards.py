"""Model cards: the function writes one with each version that has none, once its evaluation can be read.

The step Register cannot: a card holds the text of numbers that are known when the run has ended. UpdateModelPackage
takes it, without the approval status, which the function's role may not give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from infra.lambda_shared.registry import ModelRegistry
from pipeline.contract.model_card import is_written, package_card

Package = Mapping[str, Any]


def write_cards(
    packages: list[dict[str, Any]],
    registry: ModelRegistry,
    evaluation_of: Callable[[Package], Mapping[str, Any] | None],
    contact: str,
) -> dict[int, str]:
    """Complete the packages; returns the reason for each version whose card could not be written.

    A card that is missing hinders no approval: what SageMaker refuses is reported, and never raised.
    """
    refused = {}
    for package in (p for p in packages if not is_written(p)):
        evaluation = evaluation_of(package)
        if evaluation is None or "use" not in evaluation:
            continue  # expired with its run, or of a version of before there were cards
        try:
            registry.write_card(package, package_card(package, evaluation, contact))
        except (ClientError, ValueError, KeyError, TypeError, AttributeError) as error:
            refused[int(package["ModelPackageVersion"])] = f"{type(error).__name__}: {error}"
    return refused
