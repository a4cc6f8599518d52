"""The endpoint, its models and its configurations: calls that are safe to repeat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import ClientError

from infra.endpoint.function.desired_endpoint import DesiredEndpoint
from infra.lambda_shared.environment import Boto3Client

_VALIDATION: Final = ("ValidationException", "ValidationError")
_BUSY: Final = ("in-progress", "in progress", "already existing")  # another invocation, or the service, was first
_MISSING: Final = ("could not find", "not found")


@dataclass(frozen=True)
class EndpointStatus:
    """As the service describes it."""

    config: str
    status: str
    serverless: bool
    reason: str


@dataclass(frozen=True)
class Endpoints:
    """One endpoint by name, and what belongs to it."""

    client: Boto3Client
    name: str
    own: str  # prefix of the names of its models and configurations

    def describe(self) -> EndpointStatus | None:
        """The endpoint as it is; None where there is none."""
        try:
            found = self.client.describe_endpoint(EndpointName=self.name)
        except ClientError as error:
            if _says(error, _MISSING):
                return None
            raise
        variants = found.get("ProductionVariants") or []
        serverless = any(variant.get("CurrentServerlessConfig") for variant in variants)
        reason = str(found.get("FailureReason") or "")
        return EndpointStatus(found["EndpointConfigName"], found["EndpointStatus"], serverless, reason)

    def prepare(self, desired: DesiredEndpoint) -> None:
        """Model and configuration, which may be there already."""
        for call, request in (
            (self.client.create_model, desired.model()),
            (self.client.create_endpoint_config, desired.config()),
        ):
            _tolerating(("already existing",), call, **request)

    def create(self, desired: DesiredEndpoint) -> bool:
        """Whether it began; False where another call was first."""
        return _tolerating(_BUSY, self.client.create_endpoint, **desired.endpoint())

    def update(self, desired: DesiredEndpoint) -> bool:
        """The same for an update."""
        return _tolerating(_BUSY, self.client.update_endpoint, **desired.update())

    def delete(self) -> bool:
        """Whether it began; False where it is gone, or busy."""
        return _tolerating((*_BUSY, *_MISSING), self.client.delete_endpoint, EndpointName=self.name)

    def belongings(self) -> tuple[set[str], set[str]]:
        """Names of its configurations and of its models."""
        return self._names("list_endpoint_configs", "EndpointConfig"), self._names("list_models", "Model")

    def remove(self, configs: set[str], models: set[str]) -> None:
        """Remove; what is gone is fine. The configurations first: they name the models."""
        for name in sorted(configs):
            _tolerating(_MISSING, self.client.delete_endpoint_config, EndpointConfigName=name)
        for name in sorted(models):
            _tolerating(_MISSING, self.client.delete_model, ModelName=name)

    def _names(self, operation: str, kind: str) -> set[str]:
        pages = self.client.get_paginator(operation).paginate(NameContains=self.own)
        found = {entry[f"{kind}Name"] for page in pages for entry in page[f"{kind}s"]}
        return {name for name in found if name.startswith(self.own)}


def _tolerating(words: tuple[str, ...], call: Callable[..., object], **request: object) -> bool:
    """Call; False for a refusal that says one of the words."""
    try:
        call(**request)
    except ClientError as error:
        if _says(error, words):
            return False
        raise
    return True


def _says(error: ClientError, words: tuple[str, ...]) -> bool:
    found = error.response["Error"]
    message = str(found.get("Message")).lower()
    return found["Code"] in _VALIDATION and any(word in message for word in words)
