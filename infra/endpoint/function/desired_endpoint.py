"""The desired endpoint: names and requests from champion.json and the settings. Makes no calls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from pipeline.contract import names as c

SETTINGS_VARIABLE: Final = "ENDPOINT"
SERVERLESS: Final = "serverless"
INSTANCE: Final = "instance"
VARIANT: Final = "AllTraffic"
PREFIX: Final = "serving/"  # copies of artifacts, kept until the endpoint has followed champion/
ATTEMPT: Final = PREFIX + "attempt.json"
_DIGITS: Final = 8
# Blue/green: how long the new instances are monitored, and the old ones kept.
_BAKING_SECONDS: Final = 300
_LONGEST_UPDATE_SECONDS: Final = 3600


def endpoint_log(name: str) -> str:
    """The log group of an endpoint's containers; SageMaker names it."""
    return f"/aws/sagemaker/Endpoints/{name}"


@dataclass(frozen=True)
class EndpointSettings:
    """One endpoint of a deployment; sizes of the kind that is not chosen are not used."""

    name: str  # the pipeline's
    bucket: str
    alerts_topic: str
    role: str
    kind: str
    memory_mb: int
    max_concurrency: int
    instance_type: str
    instance_count: int
    stale_after_days: int
    kms_key: str
    rollback_alarms: Sequence[str]
    subnets: Sequence[str]
    security_groups: Sequence[str]
    tags: Mapping[str, str]

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> EndpointSettings:
        """From the function's environment; raises KeyError or TypeError for one that the deployment did not set."""
        return cls(**json.loads(variables[SETTINGS_VARIABLE]))

    def as_text(self) -> str:
        """What `of` reads."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def own(self) -> str:
        """How the names of all models and configurations of this endpoint begin."""
        return f"{self.name}-v"


@dataclass(frozen=True)
class DesiredEndpoint:
    """The champion on this endpoint; equal states have equal names, so that creating them is idempotent."""

    settings: EndpointSettings
    metadata: Mapping[str, Any]

    @classmethod
    def of(cls, settings: EndpointSettings, champion: Mapping[str, Any] | None) -> DesiredEndpoint | None:
        """None where no version is in use."""
        return cls(settings, champion) if champion and champion.get("version") is not None else None

    @property
    def version(self) -> int:
        return int(self.metadata["version"])

    @property
    def name(self) -> str:
        """Of the model and of the configuration: the version, and a digest of all else."""
        what = [self._container(), self._variant(), self._network(), self.settings.role, self.settings.kms_key]
        what.append(self.metadata["lineage"])
        digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:_DIGITS]
        return f"{self.settings.own}{self.version}-{digest}"

    @property
    def source(self) -> str:
        return f"s3://{self.settings.bucket}/{c.CHAMPION_CHANNEL}/{self.metadata['artifact']}"

    @property
    def artifact(self) -> str:
        """The key of the endpoint's own copy."""
        return f"{PREFIX}{self.name}/{c.MODEL_ARCHIVE}"

    def model(self) -> dict[str, Any]:
        """CreateModel's request."""
        container = {
            **self._container(),
            "ModelDataUrl": f"s3://{self.settings.bucket}/{self.artifact}",
        }
        return {
            "ModelName": self.name,
            "PrimaryContainer": container,
            "ExecutionRoleArn": self.settings.role,
            "Tags": self._tags(),
            **self._network(),
        }

    def config(self) -> dict[str, Any]:
        """CreateEndpointConfig's request."""
        # KmsKeyId encrypts the volume of an instance: a serverless endpoint has none, and local storage takes no key.
        takes_key = self.settings.kind == INSTANCE and self.settings.kms_key
        key = {"KmsKeyId": self.settings.kms_key} if takes_key else {}
        variants = [{"VariantName": VARIANT, "ModelName": self.name, **self._variant()}]
        return {"EndpointConfigName": self.name, "ProductionVariants": variants, "Tags": self._tags(), **key}

    def endpoint(self) -> dict[str, Any]:
        """CreateEndpoint's request."""
        return {"EndpointName": self.settings.name, "EndpointConfigName": self.name, "Tags": self._tags()}

    def update(self) -> dict[str, Any]:
        """UpdateEndpoint's request: blue/green with roll-back on alarms, on instances."""
        request: dict[str, Any] = {"EndpointName": self.settings.name, "EndpointConfigName": self.name}
        if self.settings.kind == SERVERLESS:  # takes no deployment settings, and updates without a gap
            return request
        routing: dict[str, Any] = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": _BAKING_SECONDS}
        if self.settings.instance_count > 1:
            routing |= {"Type": "CANARY", "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1}}
        policy = {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": _BAKING_SECONDS,
            "MaximumExecutionTimeoutInSeconds": _LONGEST_UPDATE_SECONDS,
        }
        alarms = [{"AlarmName": name} for name in self.settings.rollback_alarms]
        request["DeploymentConfig"] = {
            "BlueGreenUpdatePolicy": policy,
            "AutoRollbackConfiguration": {"Alarms": alarms},
        }
        return request

    def _container(self) -> dict[str, Any]:
        """The image that trained the version serves it, so that it computes the same features."""
        environment = {
            c.MODEL_VERSION_VARIABLE: str(self.version),
            c.STALE_AFTER_DAYS_VARIABLE: str(self.settings.stale_after_days),
        }
        return {"Image": str(self.metadata["lineage"]["image"]), "Environment": environment}

    def _variant(self) -> dict[str, Any]:
        if self.settings.kind == SERVERLESS:
            size = {"MemorySizeInMB": self.settings.memory_mb, "MaxConcurrency": self.settings.max_concurrency}
            return {"ServerlessConfig": size}
        return {
            "InstanceType": self.settings.instance_type,
            "InitialInstanceCount": self.settings.instance_count,
            "InitialVariantWeight": 1.0,
        }

    def _network(self) -> dict[str, Any]:
        """Serverless endpoints support neither isolation nor VPCs (SageMaker's developer guide, feature exclusions)."""
        if self.settings.kind == SERVERLESS:
            return {}
        vpc = {"Subnets": list(self.settings.subnets), "SecurityGroupIds": list(self.settings.security_groups)}
        return {"EnableNetworkIsolation": True, **({"VpcConfig": vpc} if self.settings.subnets else {})}

    def _tags(self) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in sorted(self.settings.tags.items())]
