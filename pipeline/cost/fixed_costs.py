"""The fixed monthly cost of the stack, with or without runs: counted in the synthesised template.

Every type of resource is either priced here or free for a stated reason; any other is refused, so that the estimate
cannot omit a new resource. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipeline.contract.reasons import counted
from pipeline.cost.prices import PriceError, Prices

HOURS_A_MONTH: Final = 730
# An invocation of the function that keeps champion/ reads a few objects and lists a group.
FUNCTION_SECONDS: Final = 3.0
SERVERLESS: Final = "serverless"
# A request of some rows to the model of some MB: milliseconds of work; the rest is for what starts cold.
REQUEST_SECONDS: Final = 0.1
_FREE: Final = {
    "IAM": ("AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"),
    "policies": ("AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy", "AWS::Lambda::Permission"),
    "emails are counted": ("AWS::SNS::Topic", "AWS::SNS::Subscription"),
    "holds only what could not be delivered": ("AWS::SQS::Queue",),
    "its jobs are counted": ("AWS::SageMaker::Pipeline",),
    "the registry": ("AWS::SageMaker::ModelPackageGroup",),
    "counted with a run": (
        *("AWS::StepFunctions::StateMachine", "AWS::Scheduler::Schedule", "AWS::Scheduler::ScheduleGroup"),
        "AWS::Logs::LogGroup",
    ),
    "events of AWS's own services": ("AWS::Events::Rule",),
    "a setting of a function": ("AWS::Lambda::EventInvokeConfig",),
    "its metrics are counted": ("AWS::Logs::MetricFilter",),
    "what it holds is counted": ("AWS::S3::Bucket",),
    "a budget that only notifies": ("AWS::Budgets::Budget",),
    "notifications in chats": (
        *("AWS::Chatbot::SlackChannelConfiguration", "AWS::Chatbot::MicrosoftTeamsChannelConfiguration"),
    ),
    "not a resource": ("AWS::CDK::Metadata",),
}
_ALARM: Final = "AWS::CloudWatch::Alarm"
_FUNCTION: Final = "AWS::Lambda::Function"
_HOURLY: Final = ("rate(1 hour)", "cron(0 * * * ? *)")
# Type of resource: the price of one, what it is called, and what people should know of it.
_PRICED: Final = {
    "AWS::CloudWatch::Dashboard": ("dashboard_month", "dashboard", "free where it is among the account's first three"),
    "AWS::KMS::Key": ("key_month", "key", "each of the first two yearly rotations adds as much again"),
    _ALARM: ("alarm_metric_month", "alarm metric", "{n} alarms, charged for each metric that they read"),
}


@dataclass(frozen=True)
class CostItem:
    name: str
    dollars: float
    note: str
    verified: bool


def resource_items(template: Mapping[str, Any], prices: Prices) -> list[CostItem]:
    """Keys, alarms, dashboards and functions of a synthesised template.

    Raises PriceError for a type of resource that is neither priced nor known to be free.
    """
    by_type: dict[str, list[Mapping[str, Any]]] = {}
    for resource in template["Resources"].values():
        by_type.setdefault(resource["Type"], []).append(resource.get("Properties", {}))
    free = {kind for kinds in _FREE.values() for kind in kinds}
    if unknown := {kind for kind in by_type if not kind.startswith("Custom::")} - {*_PRICED, *free, _FUNCTION}:
        raise PriceError(f"no price for {', '.join(sorted(unknown))}: add it to pipeline/cost/fixed_costs.py")
    items = []
    for kind, (key, word, note) in _PRICED.items():
        if found := by_type.get(kind):
            count = sum(map(alarm_metrics, found)) if kind == _ALARM else len(found)
            items.append(_item(prices, key, count, counted(count, word), note.format(n=len(found))))
    if functions := by_type.get(_FUNCTION):
        rules = [rule.get("ScheduleExpression") for rule in by_type.get("AWS::Events::Rule", ())]
        items.append(_function_item(functions, HOURS_A_MONTH * sum(rule in _HOURLY for rule in rules), prices))
    return items


def usage_items(
    prices: Prices, *, custom_metrics: int, metric_hours: float, stored_gib: float, image_gib: float, emails: float
) -> list[CostItem]:
    """What is charged by use and not by resource, for one month.

    `metric_hours`: in how many hours of the month each custom metric gets a value; `stored_gib`: all buckets, once old
    runs expire as fast as new ones come.
    """
    metrics = custom_metrics * min(1.0, metric_hours / HOURS_A_MONTH)
    stored, image = f"{stored_gib:.1f} GiB in buckets", f"{image_gib:.1f} GiB of image in ECR"
    return [
        _item(prices, "custom_metric_month", metrics, f"{custom_metrics} custom metrics", "only hours with data count"),
        _item(prices, "s3_gb_month", stored_gib, stored, "data, and files of runs until they expire"),
        _item(prices, "image_gb_month", image_gib, image, "the steps' image, compressed"),
        _item(prices, "emails_100k", emails / 1e5, f"{emails:.0f} emails", "failures, alarms, versions that wait"),
    ]


def _item(prices: Prices, key: str, units: float, name: str, note: str) -> CostItem:
    return CostItem(name, units * prices[key].usd, note, prices[key].verified)


@dataclass(frozen=True)
class EndpointSize:
    """The endpoint of the estimate: `serverless`, an instance type, or none (an empty `kind`)."""

    kind: str
    memory_gib: float = 2.0  # of a serverless one
    count: int = 1  # of instances


def endpoint_item(prices: Prices, endpoint: EndpointSize, requests: float) -> CostItem:
    """An endpoint for one month: a serverless one by its requests, instances by the hour.

    Raises PriceError for a type that has no price for hosting.
    """
    if endpoint.kind == SERVERLESS:
        price = prices["serverless_gb_second"]
        dollars = requests * REQUEST_SECONDS * endpoint.memory_gib * price.usd
        note = f"{requests:,.0f} requests of {REQUEST_SECONDS:g} s and {endpoint.memory_gib:g} GiB"
    else:
        price = prices.instance(endpoint.kind).price("hosting")
        dollars, note = endpoint.count * HOURS_A_MONTH * price.usd, f"{HOURS_A_MONTH} hours, with or without requests"
    instances = f"{endpoint.count} times " if endpoint.count > 1 and endpoint.kind != SERVERLESS else ""
    return CostItem(f"endpoint, {instances}{endpoint.kind}", dollars, note, price.verified)


def alarm_metrics(alarm: Mapping[str, Any]) -> int:
    """How many metrics an alarm is charged for: those that it reads, not the expressions over them."""
    return sum("MetricStat" in metric for metric in alarm.get("Metrics", ())) or 1


def _function_item(functions: list[Mapping[str, Any]], calls: int, prices: Prices) -> CostItem:
    gib = max(int(function.get("MemorySize", 128)) for function in functions) / 1024
    duration, requests = prices["function_arm_gb_second"], prices["function_requests_million"]
    dollars = calls * (FUNCTION_SECONDS * gib * duration.usd + requests.usd / 1e6)
    note, verified = f"{calls} calls of {FUNCTION_SECONDS:.0f} s", duration.verified and requests.verified
    return CostItem(counted(len(functions), "function"), dollars, note, verified)
