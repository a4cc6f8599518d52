"""Which package is the candidate that was to be registered, and whether one is still missing."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.contract.retrain_policy import is_unregistered, registration

MARKER = {"decision": "registered", "fingerprint": "f"}


def package(version: int, fingerprint: str) -> dict[str, Any]:
    return {
        "ModelPackageVersion": version,
        "ModelPackageArn": f"arn:{version}",
        "CustomerMetadataProperties": {"fingerprint": fingerprint},
    }


@pytest.mark.parametrize(
    ("last_evaluated", "registered", "missing"),
    [
        (None, None, False),
        ({}, None, False),
        ({"fingerprint": "f"}, None, False),
        (MARKER | {"decision": "failed"}, None, False),
        (MARKER, None, True),
        (MARKER, {}, True),
        (MARKER, {"fingerprint": "g"}, True),
        (MARKER, {"fingerprint": "f"}, False),
    ],
)
def test_missing_is_what_was_to_be_registered_and_is_not_known_to_be(
    last_evaluated: dict[str, Any] | None, registered: dict[str, Any] | None, missing: bool
) -> None:
    assert is_unregistered(last_evaluated, registered) is missing


def test_the_first_package_with_the_fingerprint_is_the_candidate() -> None:
    strange = {"ModelPackageVersion": 9, "ModelPackageArn": "arn:9"}
    packages = [strange, package(3, "other"), package(2, "f"), package(1, "f")]
    assert registration(MARKER, packages) == {"fingerprint": "f", "version": 2, "model_package_arn": "arn:2"}
    assert registration(MARKER, packages[:2]) is None
