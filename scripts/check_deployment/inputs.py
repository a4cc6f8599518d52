"""What a run needs to be there before it starts: quotas, data, seed objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pipeline.contract import names as c
from pipeline.definition.service_rules.values import resolve
from scripts.check_deployment.deployed_environment import CheckResult, DeployedEnvironment, failed, ok, warning
from scripts.check_deployment.registry import endpoint_settings

_QUOTA: Final = {"Processing": "processing job usage", "Training": "training job usage"}
_SERVICE: Final = "sagemaker"
_READ: Final = (".csv", ".csv.gz", ".parquet")


def quotas(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """May the account run the instances? A line for each kind that a run (and the endpoint) needs."""
    # Those that the account never changed are listed as AWS's defaults.
    calls = ("list_aws_default_service_quotas", "list_service_quotas")
    listed = [q for call in calls for q in environment.listed("service-quotas", call, "Quotas", ServiceCode=_SERVICE)]
    found = {quota["QuotaName"]: quota for quota in listed}
    for name, number in sorted(_needed(environment).items()):
        yield _quota(environment.deployed.region, name, number, found.get(name))


def _quota(region: str, name: str, number: int, quota: Mapping[str, Any] | None) -> CheckResult:
    if quota is None:
        look = f"aws service-quotas list-service-quotas --service-code {_SERVICE} --region {region}"
        return warning(f'Service Quotas lists no "{name}", of which a run needs {number}', look)
    reason = f"{name}: {quota['Value']:g}, a run needs {number}"
    if quota["Value"] >= number:
        return ok(reason)
    request = (
        f"aws service-quotas request-service-quota-increase --service-code {_SERVICE} "
        f"--quota-code {quota['QuotaCode']} --desired-value {number} --region {region}"
    )
    return failed(reason, request)


def _needed(environment: DeployedEnvironment) -> dict[str, int]:
    """Names of quotas, and what a run with the deployed defaults needs of each at a time."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(list)
    for step in environment.steps("Processing", "Training"):
        if not _runs(environment, step["Name"]):
            continue
        arguments = step["Arguments"]
        cluster = arguments.get("ResourceConfig") or arguments["ProcessingResources"]["ClusterConfig"]
        values = (resolve(cluster.get(key, 1), environment.defaults) for key in ("InstanceType", "InstanceCount"))
        kind, count = (value.value for value in values)
        if kind and count:
            counts[(str(kind), step["Type"])].append(int(count))
    described = environment.deployed.client.describe_pipeline(PipelineName=environment.name)
    parallel = int(described.get("ParallelismConfiguration", {}).get("MaxParallelExecutionSteps") or 50)
    needed = {
        f"{kind} for {_QUOTA[job]}": sum(sorted(numbers, reverse=True)[: parallel if job == "Processing" else 1])
        for (kind, job), numbers in counts.items()
    }
    settings = endpoint_settings(environment)
    if settings and settings.kind == "instance":
        # An update is blue/green: the new instances run beside the old ones.
        needed[f"{settings.instance_type} for endpoint usage"] = 2 * settings.instance_count
    return needed


def _runs(environment: DeployedEnvironment, step: str) -> bool:
    """Whether a run with the deployed defaults can come to the step: of the two aggregations at most one."""
    on_one, on_spark = environment.aggregates
    return {"Aggregate": on_one, "AggregateOnSpark": on_spark}.get(step, True)


def data(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """The workload's files and, where the deployment wants them, those of its extra steps."""
    yield _below(environment, "data", str(environment.defaults["DataPrefix"]))
    for extra in environment.spec.inputs:
        prefix = str(environment.defaults.get(extra.parameter, c.NO_FOLDER))
        if prefix != c.NO_FOLDER:
            yield _below(environment, extra.channel, prefix)


def _below(environment: DeployedEnvironment, name: str, prefix: str) -> CheckResult:
    bucket = environment.outputs["DataBucket"]
    place, found = f"s3://{bucket}/{prefix}/", environment.objects(f"{prefix}/", bucket)
    read = [item for item in found if item["Key"].lower().endswith(_READ) and item["Size"]]
    copy = f"aws s3 cp {prefix}/ {place} --recursive --region {environment.deployed.region}"
    if not found:
        return failed(f"nothing is below {place}, so step Prepare cannot start", copy, check=name)
    if not read:
        return failed(f"no CSV or Parquet file with content is below {place}", copy, check=name)
    newest, size = max(item["LastModified"] for item in read), sum(item["Size"] for item in read) / 1e6
    when = f"{newest:%Y-%m-%d} ({(datetime.now(UTC) - newest).days} days ago)"
    return ok(f"{len(read)} files ({size:,.1f} MB) below {place}, the newest put there {when}", check=name)


def seeds(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """The objects that the first run reads before any run has written them."""
    wanted, where = environment.spec.all_seed_objects, f"s3://{environment.review.bucket}/"
    if missing := ", ".join(key for key in wanted if not environment.exists(key)):
        reason = f"{missing} is missing from {where}: SageMaker fails a job whose input prefix holds nothing"
        yield failed(reason, environment.invoke("Approval"))
    else:
        yield ok(f"{len(wanted)} are there")
