"""What a client sends is read as the call that it meant."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from iam_emulation.calls import read, signed_by
from moto.core.request import normalize_request

LOCAL = "http://localhost:5000"
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("s3", "get_object", {"Bucket": "games-in", "Key": "games/2026/a b+c.csv"}),
    ("s3", "put_object", {"Bucket": "games-in", "Key": "a", "Body": b"x", "IfNoneMatch": "*"}),
    ("s3", "copy_object", {"Bucket": "b", "Key": "k", "CopySource": {"Bucket": "c", "Key": "d e"}}),
    ("s3", "list_objects_v2", {"Bucket": "games-in", "Prefix": "games/"}),
    ("s3", "list_object_versions", {"Bucket": "games-in"}),
    ("s3", "delete_objects", {"Bucket": "games-in", "Delete": {"Objects": [{"Key": "a", "VersionId": "1"}]}}),
    ("s3", "put_bucket_policy", {"Bucket": "games-in", "Policy": "{}"}),
    ("s3", "head_object", {"Bucket": "games-in", "Key": "a"}),
    ("sns", "publish", {"TopicArn": "arn:aws:sns:eu-west-1:123456789012:t", "Message": "m"}),
    ("sqs", "send_message", {"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/q", "MessageBody": "m"}),
    ("sagemaker", "describe_model_package", {"ModelPackageName": "arn:aws:sagemaker:eu-west-1:1:model-package/g/1"}),
    ("stepfunctions", "start_execution", {"stateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:m"}),
    ("lambda", "invoke", {"FunctionName": "f", "Payload": b"{}"}),
    ("cloudformation", "describe_stacks", {"StackName": "s"}),
    ("cloudwatch", "describe_alarms", {"AlarmNames": ["a"]}),
    (
        "logs",
        "put_log_events",
        {"logGroupName": "g", "logStreamName": "s", "logEvents": [{"timestamp": 1, "message": "m"}]},
    ),
    ("kms", "decrypt", {"CiphertextBlob": b"c", "KeyId": "k"}),
]


# S3 alone is addressed in two ways: the bucket as a part of the host's name, or of the path.
ENDPOINTS = [(*case, endpoint) for case in CASES for endpoint in (None, LOCAL) if case[0] == "s3" or endpoint]


@pytest.mark.parametrize(("service", "method", "given", "endpoint"), ENDPOINTS)
def test_a_call_is_what_the_client_sent(service: str, method: str, given: dict[str, Any], endpoint: str | None) -> None:
    client = boto3.client(
        service,
        region_name="eu-west-1",
        endpoint_url=endpoint,
        aws_access_key_id="TrainingJobRole@sagemaker",
        aws_secret_access_key="any",
    )
    sent: list[Any] = []

    def catch(request: Any, **_: Any) -> Any:
        sent.append(normalize_request(request))
        raise InterruptedError

    client.meta.events.register("before-send", catch)
    with pytest.raises(InterruptedError):
        getattr(client, method)(**given)
    (request,) = sent
    assert signed_by(request) == ("TrainingJobRole@sagemaker", "eu-west-1", service)
    call = read(request, "eu-west-1", service)
    assert call.operation == client.meta.method_to_api_mapping[method]
    for name in ("Bucket", "Key", "TopicArn", "QueueUrl", "ModelPackageName", "stateMachineArn", "Prefix", "StackName"):
        assert call.get(name) == given.get(name)
