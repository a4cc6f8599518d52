"""What the endpoint should be, as requests; the next step; and which refusals of the service are none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from recording_client import RecordingClient, refusal
from serving_worlds import SETTINGS

from infra.endpoint.function.desired_endpoint import INSTANCE, SETTINGS_VARIABLE, DesiredEndpoint, EndpointSettings
from infra.endpoint.function.endpoint_calls import Endpoints, EndpointStatus
from infra.endpoint.function.reconcile_endpoint import Attempt, next_step
from infra.lambda_shared.bucket import S3Object

CHAMPION: dict[str, Any] = {"version": 3, "artifact": "3/model.tar.gz", "lineage": {"image": "repository:1"}}
MACHINES = replace(SETTINGS, kind=INSTANCE, subnets=["subnet-1"], security_groups=["sg-1"])
WANTED, ON_MACHINES = DesiredEndpoint(SETTINGS, CHAMPION), DesiredEndpoint(MACHINES, CHAMPION)
TAGS = [{"Key": "pipeline", "Value": "retraining-test"}]


@pytest.mark.parametrize("champion", [None, {}, {"version": None}])
def test_without_a_version_nothing_is_wanted(champion: dict[str, Any] | None) -> None:
    assert DesiredEndpoint.of(SETTINGS, champion) is None
    assert DesiredEndpoint.of(SETTINGS, CHAMPION) == WANTED


def test_the_settings_are_what_the_deployment_wrote() -> None:
    assert EndpointSettings.of({SETTINGS_VARIABLE: MACHINES.as_text()}) == MACHINES
    assert MACHINES.as_text().startswith('{"alerts_topic": '), "sorted: the same settings are the same text"


def test_a_serverless_endpoint() -> None:
    name = WANTED.name
    assert (WANTED.version, name[:18], len(name)) == (3, "retraining-test-v3", 27)
    assert WANTED.source == "s3://artifacts/champion/3/model.tar.gz"
    assert WANTED.artifact == f"serving/{name}/model.tar.gz"
    assert WANTED.model() == {
        "ModelName": name,
        "PrimaryContainer": {
            "Image": "repository:1",
            "Environment": {"MODEL_VERSION": "3", "STALE_AFTER_DAYS": "7"},
            "ModelDataUrl": f"s3://artifacts/serving/{name}/model.tar.gz",
        },
        "ExecutionRoleArn": SETTINGS.role,
        "Tags": TAGS,
    }
    size = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    variant = {"VariantName": "AllTraffic", "ModelName": name, "ServerlessConfig": size}
    assert WANTED.config() == {"EndpointConfigName": name, "ProductionVariants": [variant], "Tags": TAGS}
    assert WANTED.endpoint() == {"EndpointName": "retraining-test", "EndpointConfigName": name, "Tags": TAGS}
    assert WANTED.update() == {"EndpointName": "retraining-test", "EndpointConfigName": name}


def test_an_endpoint_with_machines() -> None:
    name = ON_MACHINES.name
    model = ON_MACHINES.model()
    assert model["EnableNetworkIsolation"] is True
    assert model["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert "VpcConfig" not in DesiredEndpoint(replace(MACHINES, subnets=[]), CHAMPION).model()
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
    variants = [{**variant, "InitialInstanceCount": 2, "InitialVariantWeight": 1.0}]
    config = {"EndpointConfigName": name, "ProductionVariants": variants, "Tags": TAGS}
    assert ON_MACHINES.config() == {**config, "KmsKeyId": SETTINGS.kms_key}


@pytest.mark.parametrize(
    ("machines", "routing"),
    [
        (1, {"Type": "ALL_AT_ONCE"}),
        (2, {"Type": "CANARY", "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1}}),
    ],
)
def test_an_update_of_machines_is_watched_and_rolled_back(machines: int, routing: dict[str, Any]) -> None:
    wanted = DesiredEndpoint(replace(MACHINES, instance_count=machines), CHAMPION)
    assert wanted.update()["DeploymentConfig"] == {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {**routing, "WaitIntervalInSeconds": 300},
            "TerminationWaitInSeconds": 300,
            "MaximumExecutionTimeoutInSeconds": 3600,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}, {"AlarmName": "slow"}]},
    }


@pytest.mark.parametrize(
    "changed",
    [
        DesiredEndpoint(replace(SETTINGS, memory_mb=4096), CHAMPION),
        DesiredEndpoint(replace(SETTINGS, stale_after_days=8), CHAMPION),
        DesiredEndpoint(replace(SETTINGS, role="another"), CHAMPION),
        DesiredEndpoint(replace(SETTINGS, kms_key="another"), CHAMPION),
        DesiredEndpoint(SETTINGS, {**CHAMPION, "lineage": {"image": "repository:1", "fingerprint": "other games"}}),
        DesiredEndpoint(replace(MACHINES, subnets=["subnet-2"]), CHAMPION),
    ],
    ids=["size", "environment", "role", "key", "lineage", "network"],
)
def test_another_wish_has_another_name(changed: DesiredEndpoint) -> None:
    assert changed.name not in (WANTED.name, ON_MACHINES.name)


def test_the_same_wish_has_the_same_name() -> None:
    lineage = {"image": "i", "fingerprint": "f"}
    names = {
        DesiredEndpoint(SETTINGS, {**CHAMPION, "lineage": one}).name
        for one in (lineage, dict(reversed(lineage.items())))
    }
    assert len(names) == 1


# --- the next step ----------------------------------------------------------------------------------------------------
OTHER = "retraining-test-v2-00000000"
NO_ATTEMPT = Attempt()
BEGAN, CLAIMED = Attempt(WANTED.name, began=True), Attempt(WANTED.name)


def endpoint(config: str = OTHER, status: str = "InService", *, serverless: bool = True) -> EndpointStatus:
    return EndpointStatus(config, status, serverless, "")


@pytest.mark.parametrize(
    ("wanted", "there", "tried", "step"),
    [
        (None, None, NO_ATTEMPT, "done"),
        (WANTED, None, NO_ATTEMPT, "create"),
        *(
            (WANTED, endpoint(status=status), NO_ATTEMPT, "wait")
            for status in ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
        ),
        (None, endpoint(status="Deleting"), NO_ATTEMPT, "wait"),
        (None, endpoint(), NO_ATTEMPT, "delete"),
        (WANTED, endpoint(WANTED.name), NO_ATTEMPT, "done"),
        (WANTED, endpoint(WANTED.name), BEGAN, "done"),
        (WANTED, endpoint(WANTED.name, "Failed"), CLAIMED, "failed"),
        (WANTED, endpoint(status="Failed"), NO_ATTEMPT, "delete"),
        (WANTED, endpoint(), NO_ATTEMPT, "update"),
        (WANTED, endpoint(), CLAIMED, "update"),
        (WANTED, endpoint(), Attempt(OTHER, began=True), "update"),
        (WANTED, endpoint(), BEGAN, "failed"),
        (WANTED, endpoint(serverless=False), NO_ATTEMPT, "delete"),
        (ON_MACHINES, endpoint(), NO_ATTEMPT, "delete"),
        (ON_MACHINES, endpoint(serverless=False), NO_ATTEMPT, "update"),
    ],
)
def test_the_next_step(wanted: DesiredEndpoint | None, there: EndpointStatus | None, tried: Attempt, step: str) -> None:
    assert next_step(wanted, there, tried) == step


def test_an_attempt_is_what_its_object_says() -> None:
    text = '{"config": "c", "began": true, "reported": true, "claim": "i", "of a later version": 1}'
    assert Attempt.of(S3Object(text, "e")) == Attempt("c", began=True, reported=True, claim="i")
    assert Attempt.of(S3Object("{", "e")) == Attempt.of(S3Object(None, None)) == Attempt(None, False, False, "")


# --- the calls --------------------------------------------------------------------------------------------------------
DESCRIBED = {"EndpointConfigName": "c", "EndpointStatus": "InService"}


def endpoints(**answers: Any) -> tuple[Endpoints, RecordingClient]:
    client = RecordingClient(**answers)
    return Endpoints(client, "e", "e-v"), client


@pytest.mark.parametrize(
    ("described", "found"),
    [
        (DESCRIBED, EndpointStatus("c", "InService", False, "")),
        ({**DESCRIBED, "ProductionVariants": [{"VariantName": "v"}]}, EndpointStatus("c", "InService", False, "")),
        (
            {**DESCRIBED, "ProductionVariants": [{"CurrentServerlessConfig": {"MaxConcurrency": 5}}]},
            EndpointStatus("c", "InService", True, ""),
        ),
        ({**DESCRIBED, "FailureReason": "no ping"}, EndpointStatus("c", "InService", False, "no ping")),
        (refusal("ValidationException", 'Could not find endpoint "e".'), None),
        (refusal("ValidationError", "Endpoint not found"), None),
    ],
)
def test_an_endpoint_as_it_is_described(described: Any, found: EndpointStatus | None) -> None:
    ours, client = endpoints(describe_endpoint=described)
    assert ours.describe() == found
    assert client.requests == [("describe_endpoint", {"EndpointName": "e"})]


REFUSALS = {
    "in progress": refusal("ValidationException", "Cannot update in progress endpoint"),
    "in-progress": refusal("ValidationError", "Cannot update in-progress endpoint"),
    "existing": refusal("ValidationException", "Cannot create already existing endpoint"),
    "missing": refusal("ValidationException", "Could not find endpoint"),
    "not found": refusal("ValidationException", "Model not found"),
    "invalid": refusal("ValidationException", "1 validation error detected"),
    "throttled": refusal("ThrottlingException", "in progress, not found, already existing"),
    "silent": ClientError({"Error": {"Code": "ValidationException"}}, "call"),
}


@pytest.mark.parametrize(
    ("call", "borne"),
    [
        (lambda ours: ours.prepare(WANTED), {"existing"}),
        (lambda ours: ours.create(WANTED), {"in progress", "in-progress", "existing"}),
        (lambda ours: ours.update(WANTED), {"in progress", "in-progress", "existing"}),
        (lambda ours: ours.delete(), {"in progress", "in-progress", "existing", "missing", "not found"}),
        (lambda ours: ours.remove({"c"}, set()), {"missing", "not found"}),
        (lambda ours: ours.remove(set(), {"m"}), {"missing", "not found"}),
        (lambda ours: ours.describe(), {"missing", "not found"}),
    ],
    ids=["prepare", "create", "update", "delete", "remove configs", "remove models", "describe"],
)
def test_which_refusals_are_borne(call: Any, borne: set[str]) -> None:
    found = set()
    for name, error in REFUSALS.items():
        operations = ("create_model", "create_endpoint_config", "create_endpoint", "update_endpoint")
        removals = ("delete_endpoint", "delete_endpoint_config", "delete_model", "describe_endpoint")
        ours, _ = endpoints(**dict.fromkeys((*operations, *removals), error))
        try:
            assert not call(ours), "somebody else was first"
            found.add(name)
        except ClientError:
            pass
    assert found == borne


def test_the_calls_name_this_endpoint_and_what_belongs_to_it() -> None:
    ours, client = endpoints(
        list_endpoint_configs=[{"EndpointConfigs": [{"EndpointConfigName": "e-v2"}, {"EndpointConfigName": "x-e-v2"}]}],
        list_models=[{"Models": [{"ModelName": "e-v1"}]}, {"Models": [{"ModelName": "e-v2"}]}],
    )
    assert ours.belongings() == ({"e-v2"}, {"e-v1", "e-v2"})
    ours.prepare(WANTED)
    assert ours.create(WANTED) is True
    assert ours.update(WANTED) is True
    assert ours.delete() is True
    ours.remove({"b", "a"}, {"d", "c"})
    assert client.requests == [
        ("list_endpoint_configs", {"NameContains": "e-v"}),
        ("list_models", {"NameContains": "e-v"}),
        ("create_model", WANTED.model()),
        ("create_endpoint_config", WANTED.config()),
        ("create_endpoint", WANTED.endpoint()),
        ("update_endpoint", WANTED.update()),
        ("delete_endpoint", {"EndpointName": "e"}),
        *(("delete_endpoint_config", {"EndpointConfigName": name}) for name in ("a", "b")),
        *(("delete_model", {"ModelName": name}) for name in ("c", "d")),
    ]
