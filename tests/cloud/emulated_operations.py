"""Teaches moto what operators look at, as a new account shows it.

- SNS: the subscription of an email address waits until its link is followed (ConfirmSubscription, whose token here is
  the address); the emails to one that is confirmed are in the queue named before its @
- Service Quotas: the instances of SageMaker that a new account may have; a request for more is granted at once
- ECR: the address of a layer, which here is an object of the bucket LAYERS
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.ecr.responses import ECRResponse
from moto.servicequotas.responses import ServiceQuotasResponse
from moto.sns.models import Subscription
from moto.sns.responses import SNSResponse
from moto.sqs.models import sqs_backends

LAYERS = "ecr-layers"
PENDING = "PendingConfirmation"
# docs.aws.amazon.com/general/latest/gr/sagemaker.html: names as Service Quotas lists them; a new account's numbers.
QUOTAS = {
    "ml.t3.medium for processing job usage": 4.0,
    "ml.m5.large for training job usage": 0.0,
    "ml.m5.xlarge for processing job usage": 0.0,
}
_granted: dict[str, float] = {}
_confirmed: set[str] = set()


def teach() -> None:
    """Call once."""
    _list_by_topic = SNSResponse.list_subscriptions_by_topic
    SNSResponse.list_subscriptions_by_topic = lambda self: _as_pending(self, _list_by_topic)
    SNSResponse.confirm_subscription = _confirm
    _publish = Subscription.publish
    Subscription.publish = lambda self, *given, **named: _deliver(self, _publish, *given, **named)
    ServiceQuotasResponse.list_aws_default_service_quotas = lambda self: _quotas(QUOTAS)
    ServiceQuotasResponse.list_service_quotas = lambda self: _quotas(QUOTAS | _granted)
    ServiceQuotasResponse.request_service_quota_increase = _grant
    ECRResponse.get_download_url_for_layer = _layer


def _as_pending(self: SNSResponse, original: Callable[[SNSResponse], ActionResult]) -> ActionResult:
    answer = original(self)
    answer.result["Subscriptions"] = [
        {
            "SubscriptionArn": PENDING if s.protocol == "email" and s.arn not in _confirmed else s.arn,
            "Owner": s.owner,
            "Protocol": s.protocol,
            "Endpoint": s.endpoint,
            "TopicArn": s.topic.arn,
        }
        for s in answer.result["Subscriptions"]
    ]
    return answer


def _deliver(self: Subscription, original: Callable[..., None], message: str, *given: str, **named: Any) -> None:
    queues = sqs_backends[self.account_id][self.arn.split(":")[3]]
    inbox = self.endpoint.partition("@")[0]
    if self.protocol != "email":
        original(self, message, *given, **named)
    elif self.arn in _confirmed and inbox in queues.queues:
        text = self._parse_message_structure(message, "email") if named.get("message_structure") == "json" else message
        queues.send_message(inbox, json.dumps({"Subject": named["subject"], "Message": text}))


def _confirm(self: SNSResponse) -> ActionResult:
    topic, token = self._get_param("TopicArn"), self._get_param("Token")
    (found,) = [s for s in self.backend.subscriptions.values() if (s.topic.arn, s.endpoint) == (topic, token)]
    _confirmed.add(found.arn)
    return ActionResult({"SubscriptionArn": found.arn})


def _quotas(values: dict[str, float]) -> str:
    listed = [
        {"ServiceCode": "sagemaker", "QuotaCode": f"L-{place:08X}", "QuotaName": name, "Value": value}
        for place, (name, value) in enumerate(values.items())
    ]
    return json.dumps({"Quotas": listed})


def _grant(self: ServiceQuotasResponse) -> str:
    wanted = json.loads(self.body)
    _granted[list(QUOTAS)[int(wanted["QuotaCode"].removeprefix("L-"), 16)]] = wanted["DesiredValue"]
    return json.dumps({"RequestedQuota": {"Status": "APPROVED", "DesiredValue": wanted["DesiredValue"]}})


def _layer(self: ECRResponse) -> ActionResult:
    digest = self._get_param("layerDigest")
    return ActionResult({"downloadUrl": f"{os.environ['AWS_ENDPOINT_URL']}/{LAYERS}/{digest}", "layerDigest": digest})
