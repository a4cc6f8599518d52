"""A bucket and an endpoint that takes its time, in memory: for thousands of sequences of what may happen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from approval_worlds import FUNCTION_ARN, MemoryWorld
from botocore.exceptions import ClientError

from infra.endpoint.function import handler
from infra.endpoint.function.desired_endpoint import SERVERLESS, EndpointSettings
from infra.endpoint.function.endpoint_calls import Endpoints
from infra.lambda_shared.bucket import Bucket

SETTINGS = EndpointSettings(
    name="retraining-test",
    bucket="artifacts",
    alerts_topic="arn:aws:sns:eu-west-1:123456789012:alerts",
    role="arn:aws:iam::123456789012:role/endpoint",
    kind=SERVERLESS,
    memory_mb=2048,
    max_concurrency=5,
    instance_type="ml.m5.large",
    instance_count=2,
    stale_after_days=7,
    kms_key="arn:aws:kms:eu-west-1:123456789012:key/1",
    rollback_alarms=["errors", "slow"],
    subnets=[],
    security_groups=[],
    tags={"pipeline": "retraining-test"},
)
STABLE = ("InService", "Failed")


def champion_json(version: int | None) -> bytes:
    """What promotion writes."""
    if version is None:
        return b'{"version": null}'
    lineage = {"image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/retraining:1", "fingerprint": f"games{version}"}
    return json.dumps({"version": version, "artifact": f"{version}/model.tar.gz", "lineage": lineage}).encode()


class EndpointWorld(MemoryWorld):
    """SageMaker's rules about endpoints, as its reference has them; a step ends when `settle` is called."""

    def __init__(self, broken: frozenset[int] = frozenset()) -> None:
        super().__init__()
        self.broken = broken  # versions whose containers do not start
        self.models: dict[str, dict[str, Any]] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.endpoint: dict[str, Any] | None = None
        self.target = ""
        self.updates: list[dict[str, Any]] = []
        self.services = handler.EndpointServices(  # type: ignore[assignment]
            endpoints=Endpoints(self, SETTINGS.name, SETTINGS.own),
            bucket=Bucket(self, SETTINGS.bucket),
            sns=self,
            clock=self.now,
            pause=lambda _: None,
        )
        self.promote(None)

    def promote(self, version: int | None) -> None:
        """champion/ as the approval function leaves it."""
        for key in [key for key in self.objects if key.startswith("champion/")]:
            del self.objects[key]
        if version is not None:
            self.store(f"champion/{version}/model.tar.gz", f"weights {version}".encode())
        self.store("champion/champion.json", champion_json(version))

    @property
    def champion(self) -> int | None:
        """The version in use."""
        version: int | None = json.loads(self.objects["champion/champion.json"][0])["version"]
        return version

    def invoke(self, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """The handler, as Lambda does it."""
        context = SimpleNamespace(aws_request_id=f"request{next(self.requests)}", invoked_function_arn=FUNCTION_ARN)
        return handler.handler(event or {"detail-type": "Scheduled Event"}, context)

    def settle(self) -> None:
        """What was begun ends."""
        if self.endpoint is None or self.endpoint["EndpointStatus"] in STABLE:
            return
        if self.endpoint["EndpointStatus"] == "Deleting":
            self.endpoint = None
            return
        starts = self._version(self.target) not in self.broken
        was_creating = self.endpoint["EndpointStatus"] == "Creating"
        self.endpoint["EndpointStatus"] = "Failed" if was_creating and not starts else "InService"
        self.endpoint["FailureReason"] = "" if starts else "The container did not answer the ping."
        if starts:
            self.endpoint["EndpointConfigName"] = self.target
        self.target = self.endpoint["EndpointConfigName"]
        self.endpoint["ProductionVariants"] = self._described(self.target)

    def quiet(self) -> None:
        """Events arrive until nothing changes any more."""
        for _ in range(12):
            self.invoke()
            self.settle()

    def _version(self, config: str) -> int:
        """By the artifact that the configuration's model names, which must be there."""
        (variant,) = self.configs[config]["ProductionVariants"]
        container = self.models[variant["ModelName"]]["PrimaryContainer"]
        key = container["ModelDataUrl"].removeprefix("s3://artifacts/")
        version = int(container["Environment"]["MODEL_VERSION"])
        assert self.objects[key][0] == f"weights {version}".encode()
        return version

    def _described(self, config: str) -> list[dict[str, Any]]:
        (variant,) = self.configs[config]["ProductionVariants"]
        serverless = variant.get("ServerlessConfig")
        return [{"VariantName": "AllTraffic", **({"CurrentServerlessConfig": serverless} if serverless else {})}]

    # --- what the handler calls -----------------------------------------------------------------------------------

    def _pages(self, operation: str, **given: Any) -> Iterator[dict[str, Any]]:
        kinds = {"list_models": ("Model", self.models), "list_endpoint_configs": ("EndpointConfig", self.configs)}
        if operation not in kinds:
            yield from super()._pages(operation, **given)
            return
        self.interrupt()
        kind, names = kinds[operation]
        yield {f"{kind}s": [{f"{kind}Name": name} for name in names if given["NameContains"] in name]}

    def create_model(self, **request: Any) -> None:
        self.interrupt()
        self._add(self.models, "model", request["ModelName"], request)

    def create_endpoint_config(self, **request: Any) -> None:
        self.interrupt()
        if request["ProductionVariants"][0]["ModelName"] not in self.models:
            raise refused("Could not find model")
        self._add(self.configs, "endpoint configuration", request["EndpointConfigName"], request)

    def _add(self, known: dict[str, Any], what: str, name: str, request: dict[str, Any]) -> None:
        if name in known:
            raise refused(f'Cannot create already existing {what} "{name}".')
        known[name] = request

    def create_endpoint(self, **request: Any) -> None:
        self.interrupt()
        if self.endpoint:
            raise refused("Cannot create already existing endpoint")
        self._begin(request["EndpointConfigName"], "Creating")

    def update_endpoint(self, **request: Any) -> None:
        self.interrupt()
        if not self.endpoint:
            raise refused("Could not find endpoint")
        if self.endpoint["EndpointStatus"] != "InService":
            raise refused("Cannot update in-progress endpoint")
        if request["EndpointConfigName"] not in self.configs:
            raise refused("Could not find endpoint configuration")
        was = "CurrentServerlessConfig" in self.endpoint["ProductionVariants"][0]
        assert was == ("ServerlessConfig" in self.configs[request["EndpointConfigName"]]["ProductionVariants"][0])
        self.updates.append(request)
        self._begin(request["EndpointConfigName"], "Updating")

    def _begin(self, config: str, status: str) -> None:
        if config not in self.configs:
            raise refused("Could not find endpoint configuration")
        self._version(config)
        now = self.endpoint or {"EndpointConfigName": config, "ProductionVariants": []}
        self.endpoint = {**now, "EndpointStatus": status}
        self.target = config

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        self.interrupt()
        if not self.endpoint:
            raise refused('Could not find endpoint "x".')
        return dict(self.endpoint)

    def delete_endpoint(self, **_: Any) -> None:
        self.interrupt()
        if not self.endpoint:
            raise refused("Could not find endpoint")
        if self.endpoint["EndpointStatus"] not in STABLE:
            raise refused("Cannot update in-progress endpoint")
        self.endpoint["EndpointStatus"] = "Deleting"

    def delete_endpoint_config(self, *, EndpointConfigName: str) -> None:  # noqa: N803
        self.interrupt()
        assert not self._in_use(EndpointConfigName), "a configuration in use must not be deleted"
        if self.configs.pop(EndpointConfigName, None) is None:
            raise refused("Could not find endpoint configuration")

    def delete_model(self, *, ModelName: str) -> None:  # noqa: N803
        self.interrupt()
        assert not self._in_use(ModelName), "a model in use must not be deleted"
        if self.models.pop(ModelName, None) is None:
            raise refused("Could not find model")

    def _in_use(self, name: str) -> bool:
        endpoint = self.endpoint
        live = endpoint is not None and endpoint["EndpointStatus"] not in ("Deleting", "Failed")
        return live and name in (endpoint["EndpointConfigName"], self.target)  # type: ignore[index]


def refused(message: str) -> ClientError:
    """As SageMaker refuses."""
    return ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "call")
