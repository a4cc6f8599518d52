"""The endpoint, where there is one: does it serve the champion?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from infra.endpoint.function.desired_endpoint import DesiredEndpoint, EndpointSettings
from pipeline.contract import names as c
from scripts.deployment.check_result import FAILED, OK, WARNING, CheckResult
from scripts.deployment.deployed_environment import DeployedEnvironment

_CHANGING: Final = ("Creating", "Updating", "SystemUpdating", "RollingBack")


def endpoint_settings(environment: DeployedEnvironment) -> EndpointSettings | None:
    """What the deployment set for the endpoint; None where it has none."""
    function = environment.function("Serving")
    if function is None:
        return None
    found = environment.client("lambda").get_function_configuration(FunctionName=function)
    return EndpointSettings.of(found["Environment"]["Variables"])


def endpoint(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Its status, and the version that it serves against champion.json."""
    settings = endpoint_settings(environment)
    if settings is None:
        yield CheckResult("endpoint", OK, "none is desired (serving=off)")
        return
    found = environment.json_object(f"{c.CHAMPION_CHANNEL}/{c.CHAMPION_FILE}")
    desired = DesiredEndpoint.of(settings, found[0] if found else None)
    follow = environment.invoke("Serving")
    client = environment.deployed.client
    try:
        described = client.describe_endpoint(EndpointName=settings.name)
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in ("ValidationException", "ValidationError", "ResourceNotFound"):
            raise
        if desired is None:
            yield CheckResult("endpoint", OK, f"{settings.name} is made when a version is approved")
        else:
            yield CheckResult(
                "endpoint", FAILED, f"{settings.name} is missing, version {desired.version} is approved", follow
            )
        return
    status, config = described["EndpointStatus"], described["EndpointConfigName"]
    if status in _CHANGING:
        yield CheckResult(
            "endpoint", WARNING, f"{settings.name} is {status}", "python -m scripts.check_deployment, in ten minutes"
        )
    elif status != "InService":
        reason = f"{settings.name} is {status}: {described.get('FailureReason', 'no reason is given')}"
        yield CheckResult(
            "endpoint", FAILED, reason, 'docs/runbook.md, "endpoint ... could not be updated to version N"'
        )
    elif desired is None or config != desired.name:
        version = desired.version if desired else "none"
        yield CheckResult(
            "endpoint", FAILED, f"{settings.name} serves {config}, the champion is version {version}", follow
        )
    else:
        yield CheckResult("endpoint", OK, f"{settings.name} serves version {desired.version}")
