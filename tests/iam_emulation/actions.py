"""What IAM is asked for a call: the actions, on which resources, with which condition keys.

By the Service Authorization Reference and the API reference of each operation; what is more is said beside it. A call
that is not listed is an error: no role makes it, or its permissions are not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from iam_emulation.calls import Call
from iam_emulation.policies import Request

ACCOUNT = "123456789012"  # moto's


class Encrypted(Protocol):
    """What is asked about the account: which key encrypts a bucket, a topic or a queue; None where there is none."""

    def key_of(self, arn: str) -> str | None: ...


Rule = Callable[[Call, Encrypted], Iterator[Request]]


def asked(call: Call, account: Encrypted) -> list[Request]:
    """The requests, all of which must be allowed; raises LookupError for a call that is not known."""
    rule = RULES.get((call.service, call.operation))
    if rule is None:
        raise LookupError(f"what IAM is asked for {call.service}:{call.operation} is not known: add it to {__name__}")
    return list(rule(call, account))


# --- resources --------------------------------------------------------------------------------------------------------
def _arn(call: Call, service: str, resource: str) -> str:
    return f"arn:aws:{service}:{call.region}:{ACCOUNT}:{resource}"


def _named(action: str, template: str, parameter: str) -> Rule:
    """An action on the resource that a parameter names; an ARN is itself."""

    def rule(call: Call, _: Encrypted) -> Iterator[Request]:
        name = str(call[parameter])
        service = action.partition(":")[0]
        yield Request(action, name if name.startswith("arn:") else _arn(call, service, template.format(name)))

    return rule


def _everywhere(action: str) -> Rule:
    def rule(*_: Any) -> Iterator[Request]:
        yield Request(action, "*")

    return rule


def _through(service: str, call: Call, key: str | None, *verbs: str) -> Iterator[Request]:
    """What the service does with the key in the caller's name."""
    for verb in verbs if key else ():
        yield Request(f"kms:{verb}", str(key), {"kms:viaservice": f"{service}.{call.region}.amazonaws.com"})


# --- S3: docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html ------------------------------
def _bucket(action: str) -> Rule:
    def rule(call: Call, _: Encrypted) -> Iterator[Request]:
        prefix = {"s3:prefix": call.get("Prefix") or ""} if action.startswith("s3:ListBucket") else {}
        yield Request(action, f"arn:aws:s3:::{call['Bucket']}", prefix)

    return rule


def _read(call: Call, account: Encrypted, source: Mapping[str, str] | None = None) -> Iterator[Request]:
    bucket, key = (source or call)["Bucket"], (source or call)["Key"]
    yield Request("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
    yield from _through("s3", call, account.key_of(f"arn:aws:s3:::{bucket}"), "Decrypt")


def _written(call: Call, account: Encrypted) -> Iterator[Request]:
    """With If-Match the object is read as well: userguide/conditional-writes.html; a part of an upload: mpuoverview."""
    bucket = f"arn:aws:s3:::{call['Bucket']}"
    yield Request("s3:PutObject", f"{bucket}/{call['Key']}")
    if call.get("IfMatch"):
        yield Request("s3:GetObject", f"{bucket}/{call['Key']}")
    in_parts = ("Decrypt",) if call.operation != "PutObject" else ()
    yield from _through("s3", call, account.key_of(bucket), "GenerateDataKey", *in_parts)


def _copied(call: Call, account: Encrypted) -> Iterator[Request]:
    """Tags are copied, too, unless the call says otherwise."""
    source = call["CopySource"]
    if not isinstance(source, Mapping):
        source = dict(zip(("Bucket", "Key"), source.strip("/").split("/", 1), strict=True))
    yield from _read(call, account, source)
    target = f"arn:aws:s3:::{call['Bucket']}"
    yield Request("s3:PutObject", f"{target}/{call['Key']}")
    yield from _through("s3", call, account.key_of(target), "GenerateDataKey")
    if call.get("TaggingDirective") != "REPLACE":
        yield Request("s3:GetObjectTagging", "arn:aws:s3:::{Bucket}/{Key}".format(**source))


def _deleted(call: Call, _: Encrypted) -> Iterator[Request]:
    yield from _delete(call["Bucket"], call["Key"], call.get("VersionId"))


def _all_deleted(call: Call, _: Encrypted) -> Iterator[Request]:
    for one in call["Delete"]["Objects"]:
        yield from _delete(call["Bucket"], one["Key"], one.get("VersionId"))


def _delete(bucket: str, key: str, version: str | None) -> Iterator[Request]:
    yield Request("s3:DeleteObjectVersion" if version else "s3:DeleteObject", f"arn:aws:s3:::{bucket}/{key}")


# --- messages ---------------------------------------------------------------------------------------------------------
def _published(call: Call, account: Encrypted) -> Iterator[Request]:
    """docs.aws.amazon.com/sns/latest/dg/sns-key-management.html: a publisher uses the topic's key."""
    yield Request("sns:Publish", call["TopicArn"])
    yield from _through("sns", call, account.key_of(call["TopicArn"]), "GenerateDataKey", "Decrypt")


def _queue(verb: str, *with_key: str) -> Rule:
    """docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html."""

    def rule(call: Call, account: Encrypted) -> Iterator[Request]:
        queue = _arn(call, "sqs", call.get("QueueName") or call["QueueUrl"].rsplit("/", 1)[1])
        yield Request(f"sqs:{verb}", queue)
        yield from _through("sqs", call, account.key_of(queue), *with_key)

    return rule


# --- SageMaker --------------------------------------------------------------------------------------------------------
def _sagemaker(verb: str, template: str, parameter: str) -> Rule:
    return _named(f"sagemaker:{verb}", template, parameter)


def _created(verb: str, kind: str, parameter: str, role: str = "") -> Rule:
    """A resource is made: its tags need AddTags, the role that it is given PassRole."""

    def rule(call: Call, _: Encrypted) -> Iterator[Request]:
        made = _arn(call, "sagemaker", f"{kind}/{call[parameter]}")
        yield Request(f"sagemaker:{verb}", made)
        if call.get("Tags"):
            yield Request("sagemaker:AddTags", made)
        if role:
            yield Request("iam:PassRole", call[role], {"iam:passedtoservice": "sagemaker.amazonaws.com"})

    return rule


def _registered(call: Call, _: Encrypted) -> Iterator[Request]:
    group = call["ModelPackageGroupName"]
    for made in (f"model-package-group/{group}", f"model-package/{group}/1"):
        yield Request("sagemaker:CreateModelPackage", _arn(call, "sagemaker", made), _status(call))


def _decided(call: Call, _: Encrypted) -> Iterator[Request]:
    yield Request("sagemaker:UpdateModelPackage", call["ModelPackageArn"], _status(call))


def _status(call: Call) -> dict[str, str]:
    status = call.get("ModelApprovalStatus")
    return {"sagemaker:modelapprovalstatus": status} if status else {}


def _served(verb: str) -> Rule:
    """An endpoint is made or changed with a configuration: the actions ask for both."""

    def rule(call: Call, _: Encrypted) -> Iterator[Request]:
        for kind, name in (("endpoint", "EndpointName"), ("endpoint-config", "EndpointConfigName")):
            yield Request(f"sagemaker:{verb}", _arn(call, "sagemaker", f"{kind}/{call[name]}"))
        if call.get("Tags"):
            yield Request("sagemaker:AddTags", _arn(call, "sagemaker", f"endpoint/{call['EndpointName']}"))

    return rule


def _alarms(call: Call, _: Encrypted) -> Iterator[Request]:
    for name in call.get("AlarmNames") or ["*"]:
        yield Request("cloudwatch:DescribeAlarms", _arn(call, "cloudwatch", f"alarm:{name}"))


def _dashboard(call: Call, _: Encrypted) -> Iterator[Request]:
    yield Request("cloudwatch:GetDashboard", f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{call['DashboardName']}")


def _logged(verb: str) -> Rule:
    def rule(call: Call, _: Encrypted) -> Iterator[Request]:
        stream = f"log-group:{call['logGroupName']}:log-stream:{call['logStreamName']}"
        yield Request(f"logs:{verb}", _arn(call, "logs", stream))

    return rule


def _schedule(call: Call, _: Encrypted) -> Iterator[Request]:
    name = f"schedule/{call.get('GroupName', 'default')}/{call['Name']}"
    yield Request("scheduler:GetSchedule", _arn(call, "scheduler", name))


_EXECUTION = "PipelineExecutionArn"
RULES: dict[tuple[str, str], Rule] = {
    **{("s3", operation): _read for operation in ("GetObject", "HeadObject")},
    **{
        ("s3", operation): _written
        for operation in ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")
    },
    ("s3", "CopyObject"): _copied,
    ("s3", "DeleteObject"): _deleted,
    ("s3", "DeleteObjects"): _all_deleted,
    **{("s3", operation): _bucket("s3:ListBucket") for operation in ("ListObjectsV2", "ListObjects", "HeadBucket")},
    ("s3", "ListObjectVersions"): _bucket("s3:ListBucketVersions"),
    ("s3", "GetBucketLocation"): _bucket("s3:GetBucketLocation"),
    ("s3", "GetBucketPolicy"): _bucket("s3:GetBucketPolicy"),
    ("s3", "PutBucketPolicy"): _bucket("s3:PutBucketPolicy"),
    ("sns", "Publish"): _published,
    ("sqs", "SendMessage"): _queue("SendMessage", "GenerateDataKey", "Decrypt"),
    ("sqs", "ReceiveMessage"): _queue("ReceiveMessage", "Decrypt"),
    **{("sqs", verb): _queue(verb) for verb in ("GetQueueUrl", "GetQueueAttributes", "PurgeQueue")},
    ("lambda", "Invoke"): _named("lambda:InvokeFunction", "function:{}", "FunctionName"),
    ("stepfunctions", "StartExecution"): _named("states:StartExecution", "stateMachine:{}", "stateMachineArn"),
    ("stepfunctions", "ListExecutions"): _named("states:ListExecutions", "stateMachine:{}", "stateMachineArn"),
    **{
        ("stepfunctions", verb): _named(f"states:{verb}", "execution:{}", "executionArn")
        for verb in ("DescribeExecution", "GetExecutionHistory")
    },
    ("cloudformation", "DescribeStacks"): _named("cloudformation:DescribeStacks", "stack/{}/*", "StackName"),
    ("cloudwatch", "DescribeAlarms"): _alarms,
    **{("logs", verb): _logged(verb) for verb in ("CreateLogStream", "GetLogEvents", "PutLogEvents")},
    **{
        ("logs", verb): _named(f"logs:{verb}", "log-group:{}:*", "logGroupName")
        for verb in ("DescribeLogStreams", "FilterLogEvents")
    },
    ("logs", "DescribeLogGroups"): _everywhere("logs:DescribeLogGroups"),
    ("cloudwatch", "GetDashboard"): _dashboard,
    ("cloudwatch", "GetMetricData"): _everywhere("cloudwatch:GetMetricData"),
    ("scheduler", "GetSchedule"): _schedule,
    **{
        ("sagemaker", verb): _sagemaker(verb, "pipeline/{}", "PipelineName")
        for verb in (
            *("DescribePipeline", "ListPipelineVersions", "ListPipelineExecutions", "StartPipelineExecution"),
            "UpdatePipeline",
        )
    },
    **{
        ("sagemaker", verb): _sagemaker(verb, "{}", _EXECUTION)
        for verb in (
            *("DescribePipelineExecution", "ListPipelineExecutionSteps", "ListPipelineParametersForExecution"),
            *("StopPipelineExecution", "RetryPipelineExecution"),
        )
    },
    ("sagemaker", "ListTags"): _sagemaker("ListTags", "{}", "ResourceArn"),
    **{
        ("sagemaker", verb): _everywhere(f"sagemaker:{verb}")
        for verb in ("ListPipelines", "ListModels", "ListEndpointConfigs")
    },
    **{
        ("sagemaker", f"Create{kind}Job"): _created(
            f"Create{kind}Job", f"{kind.lower()}-job", f"{kind}JobName", "RoleArn"
        )
        for kind in ("Processing", "Training")
    },
    **{
        ("sagemaker", f"{verb}{kind}Job"): _sagemaker(f"{verb}{kind}Job", f"{kind.lower()}-job/{{}}", f"{kind}JobName")
        for verb in ("Describe", "Stop")
        for kind in ("Processing", "Training")
    },
    ("sagemaker", "CreateModelPackage"): _registered,
    ("sagemaker", "UpdateModelPackage"): _decided,
    ("sagemaker", "ListModelPackages"): _sagemaker("ListModelPackages", "model-package/{}/*", "ModelPackageGroupName"),
    **{
        ("sagemaker", verb): _sagemaker(verb, "model-package/{}", "ModelPackageName")
        for verb in ("DescribeModelPackage", "DeleteModelPackage")
    },
    **{
        ("sagemaker", verb): _sagemaker(verb, "model-package-group/{}", "ModelPackageGroupName")
        for verb in ("CreateModelPackageGroup", "DescribeModelPackageGroup")
    },
    ("sagemaker", "CreateModel"): _created("CreateModel", "model", "ModelName", "ExecutionRoleArn"),
    ("sagemaker", "DeleteModel"): _sagemaker("DeleteModel", "model/{}", "ModelName"),
    ("sagemaker", "CreateEndpointConfig"): _created("CreateEndpointConfig", "endpoint-config", "EndpointConfigName"),
    ("sagemaker", "DeleteEndpointConfig"): _sagemaker(
        "DeleteEndpointConfig", "endpoint-config/{}", "EndpointConfigName"
    ),
    **{("sagemaker", verb): _served(verb) for verb in ("CreateEndpoint", "UpdateEndpoint")},
    **{
        ("sagemaker", verb): _sagemaker(verb, "endpoint/{}", "EndpointName")
        for verb in ("DescribeEndpoint", "DeleteEndpoint")
    },
}
