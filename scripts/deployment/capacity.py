"""Quotas: may the account run the instances that the definition asks for?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pipeline.contract import names as c
from pipeline.definition.service_rules.values import resolve
from scripts.deployment.check_result import FAILED, OK, WARNING, CheckResult
from scripts.deployment.deployed_environment import DeployedEnvironment

_QUOTA: Final = {"Processing": "processing job usage", "Training": "training job usage"}
_SERVICE: Final = "sagemaker"


def quotas(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """A line for each kind of instance that a run (and the endpoint) needs."""
    needed = _needed(environment)
    found = {quota["QuotaName"]: quota for quota in _listed(environment)}
    for name, number in sorted(needed.items()):
        yield _line(environment, name, number, found.get(name))


def _line(environment: DeployedEnvironment, name: str, number: int, quota: Mapping[str, Any] | None) -> CheckResult:
    region = environment.deployed.region
    if quota is None:
        look = f"aws service-quotas list-service-quotas --service-code {_SERVICE} --region {region}"
        return CheckResult("quota", WARNING, f'Service Quotas lists no "{name}", of which a run needs {number}', look)
    if quota["Value"] < number:
        request = (
            f"aws service-quotas request-service-quota-increase --service-code {_SERVICE} "
            f"--quota-code {quota['QuotaCode']} --desired-value {number} --region {region}"
        )
        return CheckResult("quota", FAILED, f"{name}: {quota['Value']:g}, a run needs {number}", request)
    return CheckResult("quota", OK, f"{name}: {quota['Value']:g}, a run needs {number}")


def _needed(environment: DeployedEnvironment) -> dict[str, int]:
    """Names of quotas, and what a run with the deployed defaults needs of each at a time."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(list)
    for step in environment.steps("Processing", "Training"):
        if not _runs(environment, step["Name"]):
            continue
        arguments = step["Arguments"]
        cluster = arguments.get("ResourceConfig") or arguments["ProcessingResources"]["ClusterConfig"]
        kind, count = (
            resolve(cluster.get(key, 1), environment.defaults).value for key in ("InstanceType", "InstanceCount")
        )
        if kind and count:
            counts[(str(kind), step["Type"])].append(int(count))
    parallel = _parallel_steps(environment)
    needed = {
        f"{kind} for {_QUOTA[job]}": sum(sorted(numbers, reverse=True)[: parallel if job == "Processing" else 1])
        for (kind, job), numbers in counts.items()
    }
    return needed | _endpoint(environment)


def _runs(environment: DeployedEnvironment, step: str) -> bool:
    """Whether a run with the deployed defaults can come to the step: of the two aggregations at most one."""
    events = environment.defaults.get("EventsPrefix", c.NO_FOLDER) != c.NO_FOLDER
    several = int(environment.defaults.get("AggregateInstanceCount", 1)) > 1
    return {"Aggregate": events and not several, "AggregateOnSpark": events and several}.get(step, True)


def _parallel_steps(environment: DeployedEnvironment) -> int:
    described = environment.deployed.client.describe_pipeline(PipelineName=environment.name)
    return int(described.get("ParallelismConfiguration", {}).get("MaxParallelExecutionSteps") or 50)


def _endpoint(environment: DeployedEnvironment) -> dict[str, int]:
    from scripts.deployment.serving import endpoint_settings  # noqa: PLC0415 - only where there is an endpoint

    settings = endpoint_settings(environment)
    if settings is None or settings.kind != "instance":
        return {}
    # An update is blue/green: the new instances run beside the old ones.
    return {f"{settings.instance_type} for endpoint usage": 2 * settings.instance_count}


def _listed(environment: DeployedEnvironment) -> Iterator[Mapping[str, Any]]:
    """The account's quotas; those that it never changed are listed as AWS's defaults."""
    client = environment.client("service-quotas")
    for call in ("list_aws_default_service_quotas", "list_service_quotas"):
        for page in client.get_paginator(call).paginate(ServiceCode=_SERVICE):
            yield from page["Quotas"]
