"""A registry and a bucket to approve in: moto's, and one in memory for thousands of sequences.

Both hold only what the handler calls; the same properties run on both.
"""

from __future__ import annotations

import copy
import functools
import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.exceptions import ClientError
from model_card_schema import refusals
from moto.s3.models import s3_backends
from moto.sagemaker.models import sagemaker_backends
from moto.sns.models import sns_backends
from sagemaker_emulation import ACCOUNT, REGION

from infra.approval.function import handler
from infra.lambda_shared.bucket import Bucket
from infra.lambda_shared.registry import ModelRegistry
from pipeline.contract import names as c
from pipeline.contract.metrics import metric_words
from pipeline.contract.workload import load_spec

GROUP = "nba-home-win"
BUCKET = "artifacts"
PIPELINE = "retraining-test"
POINTER = "champion/champion.json"
FUNCTION_ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:approval"
ALERTS = f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts"
APPROVERS = f"arn:aws:sns:{REGION}:{ACCOUNT}:approvers"
VARIABLES = {
    "MODEL_PACKAGE_GROUP": GROUP,
    "ARTIFACT_BUCKET": BUCKET,
    "PIPELINE_NAME": PIPELINE,
    "ALERTS_TOPIC_ARN": ALERTS,
    "APPROVERS_TOPIC_ARN": APPROVERS,
}
EVALUATION = {
    **metric_words(load_spec("nba")),
    "use": asdict(load_spec("nba").use),
    "simulated": False,
    "as_of_date": "2025-03-01",
    "fingerprint": "games1",
    "summary": "log loss 0.6212 on 1,300 games",
    "decision": "registered",
    "training_config": {"max_depth": "2", "learning_rate": "0.03"},
    "data": {"first_date": "2013-10-22", "last_labelled_date": "2025-02-28", "n_modelled": 15360},
    "quality": {
        "reason": "every limit holds",
        "limits": [
            {
                "words": "log loss",
                "parameter": "MaxLogLoss",
                "why": "little more than the base rate",
                "value": 0.62,
                "operator": "<=",
                "limit": 0.68,
                "holds": True,
            }
        ],
    },
    "promotion": {"reason": "better than the champion", "limits": []},
    "reason": "better than the champion",
    "metrics": {
        who: {
            "log_loss": 0.62,
            "brier": 0.21,
            "accuracy": 0.65,
            "roc_auc": 0.7,
            "calibration_error": 0.02,
            "n_rows": 1312,
        }
        for who in ("candidate", "champion", "baseline", "constant")
    },
    "comparison": {
        "champion_exists": "yes",
        "champion_version": "1",
        "basis": "the champion's own record and its shipped weights",
        "n_rows": 1300,
        "first_date": "2023-11-02",
        "last_date": "2025-02-28",
        "difference": {"mean": -0.0045, "lower": -0.0071, "upper": -0.0019},
        "metrics": {
            "candidate": {"log_loss": 0.6212, "accuracy": 0.65, "calibration_error": 0.0182, "n_rows": 1300},
            "champion": {"log_loss": 0.6257, "accuracy": 0.64, "calibration_error": 0.0203, "n_rows": 1300},
        },
    },
}


def uri(version: int, name: str) -> str:
    """Where a version's run put a file."""
    return f"s3://{BUCKET}/runs/run{version}/{name}"


def request(version: int, status: str) -> dict[str, Any]:
    """CreateModelPackage's request, as the Register step makes it."""
    return {
        "ModelPackageGroupName": GROUP,
        "ModelPackageDescription": f"log loss 0.6212 on 1,300 games, candidate {version}",
        "ModelApprovalStatus": status,
        "InferenceSpecification": {"Containers": [{"Image": "image", "ModelDataUrl": uri(version, "model.tar.gz")}]},
        "ModelMetrics": {
            "ModelQuality": {
                "Statistics": {"ContentType": "application/json", "S3Uri": uri(version, "evaluation.json")}
            }
        },
        "CustomerMetadataProperties": {
            "primary_metric": "log_loss",
            "loss": "0.6212",
            "calibration_error": "0.0182",
            "champion_version": "1",
            "difference_to_incumbent": "-0.0045",
            "fingerprint": f"games{version}",
            "report": uri(version, "report.html"),
            "trigger": "schedule",
            "git_revision": "abc1234",
        },
    }


def model(version: int) -> bytes:
    """A version's own artifact."""
    return f"weights of version {version}".encode()


def event(arn: str, **detail: Any) -> dict[str, Any]:
    """The event that SageMaker sends when a model package changes."""
    group, version = arn.split("/")[-2:]
    return {
        "version": "0",
        "id": "844e2571-85d4-695f-b930-0153b71dcb42",
        "detail-type": "SageMaker Model Package State Change",
        "source": "aws.sagemaker",
        "account": ACCOUNT,
        "time": "2025-03-01T06:00:00Z",
        "region": REGION,
        "resources": [arn],
        "detail": {
            "ModelPackageGroupName": group,
            "ModelPackageArn": arn,
            "ModelPackageVersion": int(version),
            "ModelPackageStatus": "Completed",
            **detail,
        },
    }


@functools.cache  # to build a client takes longer than a hundred calls of it
def _client(name: str) -> Any:
    # An administrator: the handler's own clients have the keys of its role, from the environment.
    return boto3.client(name, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")


class Killed(BaseException):
    """The function's process ends: no handler of errors runs."""


@dataclass
class World:
    """What both kinds share: people decide, notices arrive."""

    requests: Iterator[int] = field(default_factory=itertools.count)
    approvals: list[int] = field(default_factory=list)  # of versions that are approved, in the order of their approval
    last_notices: dict[int, dict[str, Any]] = field(default_factory=dict)
    writes: list[tuple[int | None, int | None, bytes | None]] = field(default_factory=list)
    interruptions: dict[int, Callable[[], None]] = field(default_factory=dict)  # call number -> what happens before it
    calls: int = 0

    def notice(self, version: int) -> dict[str, Any]:
        """The event about a version's last change."""
        return self.last_notices.get(version) or event(self.arn(version))

    def arn(self, version: int) -> str:
        """Of a version."""
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{GROUP}/{version}"

    @property
    def last_approved(self) -> int | None:
        """The version that should be the champion."""
        return self.approvals[-1] if self.approvals else None

    def changed(self, version: int, status: str | None, time: datetime, *fields: str) -> None:
        """Keep what was done to a version: the order of approvals, and the event that tells of it."""
        if status:
            self.approvals = [v for v in self.approvals if v != version] + ([version] if status == "Approved" else [])
        told = {"ModelApprovalStatus": status} if status else {}
        more = {"UpdatedModelPackageFields": list(fields)} if fields else {}
        written = time.astimezone(UTC).isoformat().replace("+00:00", "Z")
        self.last_notices[version] = event(self.arn(version), **told, **more, LastModifiedTime=written)

    def deliver(self, notice: dict[str, Any], request_id: str | None = None) -> dict[str, Any]:
        """Invoke the handler as Lambda does."""
        context = SimpleNamespace(
            aws_request_id=request_id or f"request{next(self.requests)}", invoked_function_arn=FUNCTION_ARN
        )
        return handler.handler(json.loads(json.dumps(notice)), context)

    def interrupt(self) -> None:
        """Called before each call of the handler."""
        self.calls += 1
        happens = self.interruptions.pop(self.calls, None)
        if happens:
            happens()


def _call(method: Callable[..., Any]) -> Callable[..., Any]:
    """A call that the handler makes: something may happen before it, and it may fail before or after its effect."""

    @functools.wraps(method)
    def called(self: Any, **given: Any) -> Any:
        self.interrupt()
        self.fails("before", method.__name__)
        result = method(self, **given)
        self.fails("after", method.__name__)
        return result

    return called


class MemoryWorld(World):
    """Dictionaries behind the four calls of S3 and the two of SageMaker."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.packages: dict[int, dict[str, Any]] = {}
        self.mails: list[tuple[str, str, str]] = []
        self.clock = datetime(2025, 3, 1, tzinfo=UTC)
        self.etags = itertools.count(1)
        self.fails: Callable[[str, str], None] = lambda when, call: None  # raises, before or after a call's effect
        self.services = handler.ApprovalServices(
            registry=ModelRegistry(self, GROUP),
            bucket=Bucket(self, BUCKET),
            sns=self,
            clock=self.now,
            pause=lambda _: None,
        )

    def now(self) -> float:
        """The function's clock."""
        return self.clock.timestamp()

    def pass_time(self, seconds: float) -> None:
        """Nothing happens for a while."""
        self.clock += timedelta(seconds=seconds)

    def register(self, status: str) -> int:
        """The next version."""
        version = len(self.packages) + 1
        self.clock += timedelta(seconds=1)
        self.changed(version, status, self.clock)
        self.packages[version] = {
            **request(version, status),
            "ModelPackageVersion": version,
            "ModelPackageArn": self.notice(version)["detail"]["ModelPackageArn"],
            "ModelPackageStatus": "Completed",
            "CreationTime": self.clock,
        }
        self.store(f"runs/run{version}/model.tar.gz", model(version))
        return version

    def decide(self, version: int, status: str, *, approval_id: str = "") -> None:
        """A person's decision; our command gives each approval an id."""
        self.clock += timedelta(seconds=1)
        package = self.packages[version] | {"ModelApprovalStatus": status, "LastModifiedTime": self.clock}
        if approval_id:
            known = package["CustomerMetadataProperties"]
            package["CustomerMetadataProperties"] = known | {"approval_id": approval_id}
        self.packages[version] = package
        self.changed(version, status, self.clock, "ModelApprovalStatus", "ApprovalDescription")

    def edit(self, version: int) -> None:
        """Somebody edits metadata."""
        self.clock += timedelta(seconds=1)
        known = self.packages[version]["CustomerMetadataProperties"] | {"note": str(self.clock)}
        self.packages[version] |= {"CustomerMetadataProperties": known, "LastModifiedTime": self.clock}
        self.changed(version, None, self.clock, "CustomerMetadataProperties")

    def described(self) -> list[dict[str, Any]]:
        """All packages."""
        return list(self.packages.values())

    def store(self, key: str, body: bytes) -> None:
        """Put an object."""
        self.objects[key] = (body, str(next(self.etags)))

    def read(self, key: str) -> bytes | None:
        """An object."""
        return self.objects[key][0] if key in self.objects else None

    # --- what the handler calls -----------------------------------------------------------------------------------

    def get_paginator(self, operation: str) -> Any:
        return SimpleNamespace(paginate=lambda **given: self._pages(operation, **given))

    def _pages(self, operation: str, **given: Any) -> Iterator[dict[str, Any]]:
        self.interrupt()
        self.fails("before", operation)
        if operation == "list_objects_v2":
            found = {key: body for key, (body, _) in self.objects.items() if key.startswith(given["Prefix"])}
            yield {"Contents": [{"Key": key, "Size": len(body)} for key, body in found.items()]}
            return
        wanted = given.get("ModelApprovalStatus")
        found = [p for p in self.packages.values() if wanted in (None, p["ModelApprovalStatus"])]
        if given.get("SortOrder") == "Descending":
            found.reverse()
        yield from ({"ModelPackageSummaryList": [{"ModelPackageArn": p["ModelPackageArn"]}]} for p in found)

    @_call
    def describe_model_package(self, *, ModelPackageName: str) -> dict[str, Any]:  # noqa: N803
        version = int(ModelPackageName.rsplit("/", maxsplit=1)[-1])
        if version not in self.packages:
            raise refused("ValidationException")
        return copy.copy(self.packages[version])

    @_call
    def update_model_package(self, *, ModelPackageArn: str, ModelCard: dict[str, str]) -> None:  # noqa: N803
        if why := refusals(ModelCard):
            raise refused(f"ValidationException: {why[0]}")
        package = self.packages[int(ModelPackageArn.rsplit("/", maxsplit=1)[-1])]
        self.clock += timedelta(seconds=1)
        card = {**package.get("ModelCard", {}), **ModelCard}
        package |= {"ModelCard": card, "LastModifiedTime": self.clock}

    @_call
    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        if Key not in self.objects:
            raise refused("NoSuchKey")
        body, etag = self.objects[Key]
        return {"Body": io.BytesIO(body), "ETag": etag, "LastModified": datetime.now(UTC)}

    @_call
    def put_object(self, *, Key: str, Body: bytes, **given: Any) -> None:  # noqa: N803
        if "IfNoneMatch" in given and Key in self.objects:
            raise refused("PreconditionFailed")
        if "IfMatch" in given and Key not in self.objects:
            raise refused("NoSuchKey")
        if "IfMatch" in given and self.objects[Key][1] != given["IfMatch"]:
            raise refused("PreconditionFailed")
        self.store(Key, Body)
        if Key == POINTER:
            self.writes.append(_seen(self, Body))

    @_call
    def copy_object(self, *, CopySource: dict[str, str], Key: str, **_: Any) -> None:  # noqa: N803
        if CopySource["Key"] not in self.objects:
            raise refused("NoSuchKey")
        self.store(Key, self.objects[CopySource["Key"]][0])

    @_call
    def publish(self, *, TopicArn: str, Subject: str, Message: str, MessageStructure: str = "") -> None:  # noqa: N803
        text = json.loads(Message)["email"] if MessageStructure == "json" else Message
        self.mails.append((TopicArn, Subject, text))

    @_call
    def delete_object(self, *, Key: str, **_: Any) -> None:  # noqa: N803
        self.objects.pop(Key, None)


class MotoWorld(World):
    """moto behind boto3; to be made inside mock_aws, which it empties."""

    def __init__(self) -> None:
        super().__init__()
        for backends in (s3_backends, sagemaker_backends, sns_backends):
            backends[ACCOUNT]["aws" if backends is s3_backends else REGION].reset()
        self.s3, self.sagemaker, sns = (_client(name) for name in ("s3", "sagemaker", "sns"))
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
        for name in ("alerts", "approvers"):
            sns.create_topic(Name=name)
        handler.connect.cache_clear()  # the clients of an earlier test have keys of its own
        self.services = handler.connect(GROUP, BUCKET)
        self._putting = ""
        self.registered = 0
        for client in (self.services.registry.client, self.services.bucket.client):
            events = client.meta.events  # type: ignore[attr-defined]
            # The clients outlive the world: an id replaces the hook of the world before.
            for name, hook in (
                ("before-call", self._before_call),
                ("provide-client-params.s3.PutObject", self._before_put),
                ("after-call.s3.PutObject", self._after_put),
            ):
                events.unregister(name, unique_id=name)
                events.register(name, hook, unique_id=name)

    def _before_call(self, **_: Any) -> None:
        self.interrupt()

    def _before_put(self, params: dict[str, Any], **_: Any) -> None:
        self._putting = params["Key"]

    def _after_put(self, http_response: Any, **_: Any) -> None:
        if http_response.status_code == 200 and self._putting == POINTER:
            self.writes.append(_seen(self, self.read(POINTER) or b""))

    def register(self, status: str) -> int:
        """The next version."""
        version = self.registered = self.registered + 1
        self.sagemaker.create_model_package(**request(version, status))
        self.changed(version, status, datetime.now(UTC))
        self.store(f"runs/run{version}/model.tar.gz", model(version))
        return version

    def decide(self, version: int, status: str) -> None:
        """A person's decision."""
        self.sagemaker.update_model_package(ModelPackageArn=self.arn(version), ModelApprovalStatus=status)
        modified = self.sagemaker.describe_model_package(ModelPackageName=self.arn(version))["LastModifiedTime"]
        self.changed(version, status, modified, "ModelApprovalStatus")

    def described(self) -> list[dict[str, Any]]:
        """All packages."""
        listed = self.sagemaker.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
        return [self.sagemaker.describe_model_package(ModelPackageName=p["ModelPackageArn"]) for p in listed]

    @property
    def objects(self) -> list[str]:
        """The keys of the bucket."""
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def store(self, key: str, body: bytes) -> None:
        """Put an object."""
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def read(self, key: str) -> bytes | None:
        """An object."""
        try:
            return bytes(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        except ClientError:
            return None

    @property
    def mails(self) -> list[tuple[str, str, str]]:
        """Topic, subject, text."""
        topics = sns_backends[ACCOUNT][REGION].topics
        return [
            (arn, sent[2], json.loads(sent[1])["email"])
            for arn in (ALERTS, APPROVERS)
            for sent in topics[arn].sent_notifications
        ]


def _seen(world: Any, pointer: bytes) -> tuple[int | None, int | None, bytes | None]:
    """What a reader finds right now: the version named, the approved one if it is that, and the artifact."""
    metadata = json.loads(pointer)
    version = metadata["version"]
    if version is None:
        return None, None, None
    status = next(p["ModelApprovalStatus"] for p in world.described() if p["ModelPackageVersion"] == version)
    return version, version if status == "Approved" else None, world.read(f"champion/{metadata['artifact']}")


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "call")


def champion(world: Any) -> dict[str, Any]:
    """champion.json."""
    return json.loads(world.read(POINTER) or b"{}")


def seeds_present(world: Any) -> bool:
    """Whether the objects that the first run needs are there."""
    return all(key in world.objects for key in c.SEED_OBJECTS)
