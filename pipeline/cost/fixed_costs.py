"""The fixed monthly cost of the stack, with or without runs: counted in the synthesised template.

Every type of resource is either priced here or free for a stated reason; any other is refused, so that the estimate
cannot omit a new resource. Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.cost.prices import PriceError, Prices

HOURS_A_MONTH: Final = 730
# An invocation of the function that keeps champion/ reads a few objects and lists a group.
FUNCTION_SECONDS: Final = 3.0
SERVERLESS: Final = "serverless"
# A request of some rows to the model of some MB: milliseconds of work; the rest is for what starts cold.
REQUEST_SECONDS: Final = 0.1
FREE: Final = {
    "AWS::IAM::Role": "IAM is free",
    "AWS::IAM::Policy": "IAM is free",
    "AWS::IAM::ManagedPolicy": "IAM is free",
    "AWS::S3::BucketPolicy": "policies are free",
    "AWS::SNS::TopicPolicy": "policies are free",
    "AWS::SQS::QueuePolicy": "policies are free",
    "AWS::SNS::Topic": "emails are counted, topics are not",
    "AWS::SNS::Subscription": "emails are counted, subscriptions are not",
    "AWS::SQS::Queue": "holds only what could not be delivered",
    "AWS::SageMaker::Pipeline": "its jobs are counted",
    "AWS::SageMaker::ModelPackageGroup": "the registry is free",
    "AWS::StepFunctions::StateMachine": "transitions are counted with a run",
    "AWS::Scheduler::Schedule": "starts are counted with a run",
    "AWS::Scheduler::ScheduleGroup": "starts are counted with a run",
    "AWS::Events::Rule": "events of AWS's own services are free",
    "AWS::Lambda::Permission": "policies are free",
    "AWS::Lambda::EventInvokeConfig": "a setting of a function",
    "AWS::Logs::LogGroup": "lines are counted with a run",
    "AWS::Logs::MetricFilter": "its metrics are counted",
    "AWS::S3::Bucket": "what it holds is counted",
    "AWS::Budgets::Budget": "a budget that only notifies is free",
    "AWS::Chatbot::SlackChannelConfiguration": "notifications in chats are free",
    "AWS::Chatbot::MicrosoftTeamsChannelConfiguration": "notifications in chats are free",
    "AWS::CDK::Metadata": "not a resource",
}
_FUNCTION: Final = "AWS::Lambda::Function"
_HOURLY: Final = ("rate(1 hour)", "cron(0 * * * ? *)")


@dataclass(frozen=True)
class CostItem:
    """An item of the monthly cost."""

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
    items = [item for kind, priced in _PRICED.items() if kind in by_type for item in priced(by_type[kind], prices)]
    unknown = {kind for kind in by_type if not kind.startswith("Custom::")} - {*_PRICED, *FREE, _FUNCTION}
    if unknown:
        raise PriceError(f"no price for {', '.join(sorted(unknown))}: add it to pipeline/cost/fixed_costs.py")
    if _FUNCTION in by_type:
        items.append(_function_item(by_type[_FUNCTION], by_type.get("AWS::Events::Rule", []), prices))
    return items


def usage_items(
    prices: Prices, *, custom_metrics: int, metric_hours: float, stored_gib: float, image_gib: float, emails: float
) -> list[CostItem]:
    """What is charged by use and not by resource, for one month.

    `metric_hours`: in how many hours of the month each custom metric gets a value; `stored_gib`: all buckets, once old
    runs expire as fast as new ones come.
    """
    share = min(1.0, metric_hours / HOURS_A_MONTH)
    items = [
        (
            "custom_metric_month",
            custom_metrics * share,
            f"{custom_metrics} custom metrics",
            "only hours with data count",
        ),
        ("s3_gb_month", stored_gib, f"{stored_gib:.1f} GiB in buckets", "data, and files of runs until they expire"),
        ("image_gb_month", image_gib, f"{image_gib:.1f} GiB of image in ECR", "the steps' image, compressed"),
        ("emails_100k", emails / 1e5, f"{emails:.0f} emails", "failures, alarms, versions that wait"),
    ]
    return [CostItem(name, units * prices[key].usd, note, prices[key].verified) for key, units, name, note in items]


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


def _alarm_items(found: Sequence[Mapping[str, Any]], prices: Prices) -> list[CostItem]:
    price, count = prices["alarm_metric_month"], sum(map(alarm_metrics, found))
    note = f"{len(found)} alarms, charged for each metric that they read"
    return [CostItem(f"{count} alarm metrics", count * price.usd, note, price.verified)]


def _each(key: str, one: str, many: str, note: str) -> Callable[[Sequence[Mapping[str, Any]], Prices], list[CostItem]]:
    def items(found: Sequence[Mapping[str, Any]], prices: Prices) -> list[CostItem]:
        name = f"{len(found)} {one if len(found) == 1 else many}"
        return [CostItem(name, len(found) * prices[key].usd, note, prices[key].verified)]

    return items


def _function_item(found: Sequence[Mapping[str, Any]], rules: Sequence[Mapping[str, Any]], prices: Prices) -> CostItem:
    hourly = sum(rule.get("ScheduleExpression") in _HOURLY for rule in rules)
    calls = hourly * HOURS_A_MONTH
    gib = max(int(function.get("MemorySize", 128)) for function in found) / 1024
    duration, requests = prices["function_arm_gb_second"], prices["function_requests_million"]
    dollars = calls * (FUNCTION_SECONDS * gib * duration.usd + requests.usd / 1e6)
    name = f"{len(found)} function{'s' * (len(found) != 1)}"
    return CostItem(
        name, dollars, f"{calls} calls of {FUNCTION_SECONDS:.0f} s", duration.verified and requests.verified
    )


_PRICED: Final[Mapping[str, Callable[[Sequence[Mapping[str, Any]], Prices], list[CostItem]]]] = {
    "AWS::CloudWatch::Dashboard": _each(
        "dashboard_month", "dashboard", "dashboards", "free where it is among the account's first three"
    ),
    "AWS::KMS::Key": _each("key_month", "key", "keys", "each of the first two yearly rotations adds as much again"),
    "AWS::CloudWatch::Alarm": _alarm_items,
}
