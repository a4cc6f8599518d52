"""moto denies as AWS denies: through boto3, by the policies that roles, people, buckets and keys have in moto."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from iam_emulation.account import MotoAccount, note_when_policies_are_put
from iam_emulation.actions import ACCOUNT
from iam_emulation.enforcement import Gatekeeper, enforced
from moto import mock_aws

REGION = "eu-west-1"


def client(service: str, key: str = "test") -> Any:
    """boto3 with somebody's keys."""
    return boto3.client(service, region_name=REGION, aws_access_key_id=key, aws_secret_access_key="any")


@pytest.fixture
def gatekeeper() -> Iterator[Gatekeeper]:
    with mock_aws(), enforced(Gatekeeper(MotoAccount(), {"test"})) as made:
        yield made


def policy(*statements: tuple[Any, Any]) -> str:
    """A policy that allows actions on resources."""
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": a, "Resource": r} for a, r in statements]}
    )


def role(*statements: tuple[Any, Any], service: str = "sagemaker", account: str = ACCOUNT, **more: str) -> Any:
    """Keys of a new role that a service has taken on."""
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
    }
    client("iam").create_role(
        RoleName="r", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust}), **more
    )
    client("iam").put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=policy(*statements))
    return f"r@{service}"


def bucket(key: str | None = None) -> Any:
    """A bucket with an object."""
    client("s3").create_bucket(Bucket="bkt", CreateBucketConfiguration={"LocationConstraint": REGION})
    if key:
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
        client("s3").put_bucket_encryption(Bucket="bkt", ServerSideEncryptionConfiguration={"Rules": [rule]})
    client("s3").put_object(Bucket="bkt", Key="a/1.csv", Body=b"x")


def denial(call: Any, **given: Any) -> str:
    """The code of the refusal, and its words; empty where the call is answered."""
    try:
        call(**given)
    except ClientError as error:
        found = error.response["Error"]
        return f"{found['Code']}: {found['Message']}"
    return ""


def test_a_role_reads_what_it_may(gatekeeper: Gatekeeper) -> None:
    bucket()
    s3 = client("s3", role(("s3:GetObject", "arn:aws:s3:::bkt/a/*")))
    assert s3.get_object(Bucket="bkt", Key="a/1.csv")["Body"].read() == b"x"
    refused = denial(s3.put_object, Bucket="bkt", Key="a/1.csv", Body=b"y")
    assert refused.startswith(f"AccessDenied: User: arn:aws:sts::{ACCOUNT}:assumed-role/r/session is not authorized")
    assert "s3:PutObject on resource: arn:aws:s3:::bkt/a/1.csv because no identity-based policy" in refused
    assert denial(s3.copy_object, Bucket="bkt", Key="c", CopySource="bkt/a/1.csv").startswith("AccessDenied")
    assert len(gatekeeper.denied) == 2


def test_a_missing_object_is_forbidden_to_whom_may_not_list(gatekeeper: Gatekeeper) -> None:
    bucket()
    s3 = client("s3", role(("s3:GetObject", "arn:aws:s3:::bkt/*")))
    assert denial(s3.get_object, Bucket="bkt", Key="none").startswith("AccessDenied")
    client("iam").put_role_policy(
        RoleName="r", PolicyName="more", PolicyDocument=policy(("s3:ListBucket", "arn:aws:s3:::bkt"))
    )
    assert denial(s3.get_object, Bucket="bkt", Key="none").startswith("NoSuchKey")


def test_an_encrypted_object_needs_its_key_as_well(gatekeeper: Gatekeeper) -> None:
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    bucket(key)
    s3 = client("s3", role((["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::bkt/*"), ("kms:Decrypt", key)))
    assert denial(s3.get_object, Bucket="bkt", Key="a/1.csv") == ""
    assert "kms:GenerateDataKey" in denial(s3.put_object, Bucket="bkt", Key="a/1.csv", Body=b"y")
    closed = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::999999999999:root"}, "Action": "*", "Resource": "*"}
    client("kms").put_key_policy(
        KeyId=key, PolicyName="default", Policy=json.dumps({"Version": "2012-10-17", "Statement": [closed]})
    )
    assert "kms:Decrypt" in denial(s3.get_object, Bucket="bkt", Key="a/1.csv")


def test_a_buckets_deny_binds_everybody(gatekeeper: Gatekeeper) -> None:
    bucket()
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::bkt/*"}
    client("s3").put_bucket_policy(Bucket="bkt", Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    s3 = client("s3", role(("s3:PutObject", "arn:aws:s3:::bkt/*")))
    for one in (s3, client("s3")):
        assert "explicit deny in a resource-based policy" in denial(one.put_object, Bucket="bkt", Key="k", Body=b"y")


@pytest.mark.parametrize(("service", "account"), [("lambda", ACCOUNT), ("sagemaker", "999999999999")])
def test_a_role_is_not_taken_on_by_another_service_or_for_another_account(
    gatekeeper: Gatekeeper, service: str, account: str
) -> None:
    keys = role(("sagemaker:ListModels", "*"), account=account).replace("sagemaker", service)
    refused = denial(client("sagemaker", keys).list_models)
    assert refused.startswith("AccessDeniedException")
    assert "sts:AssumeRole" in refused


def test_a_boundary_narrows(gatekeeper: Gatekeeper) -> None:
    arn = client("iam").create_policy(PolicyName="edge", PolicyDocument=policy(("s3:*", "*")))["Policy"]["Arn"]
    keys = role((["sagemaker:ListModels", "s3:ListBucket"], "*"), PermissionsBoundary=arn)
    assert "no permissions boundary allows" in denial(client("sagemaker", keys).list_models)


def test_a_new_role_is_known_a_little_later(gatekeeper: Gatekeeper, tmp_path: Any) -> None:
    gatekeeper.account = MotoAccount(tmp_path)
    note_when_policies_are_put()
    (tmp_path / "propagation_seconds").write_text("3600", encoding="utf-8")
    keys = role(("sagemaker:ListModels", "*"))
    assert "no identity-based policy" in denial(client("sagemaker", keys).list_models)
    (tmp_path / "propagation_seconds").write_text("0", encoding="utf-8")  # as if it were an hour later
    assert denial(client("sagemaker", keys).list_models) == ""


def test_people_have_the_policies_that_are_attached_to_them(gatekeeper: Gatekeeper) -> None:
    iam = client("iam")
    iam.create_user(UserName="ann")
    keys = iam.create_access_key(UserName="ann")["AccessKey"]["AccessKeyId"]
    assert denial(client("sagemaker", keys).list_models).startswith("AccessDeniedException")
    arn = iam.create_policy(PolicyName="look", PolicyDocument=policy(("sagemaker:ListModels", "*")))["Policy"]["Arn"]
    iam.attach_user_policy(UserName="ann", PolicyArn=arn)
    assert denial(client("sagemaker", keys).list_models) == ""
    assert "InvalidClientTokenId" in denial(client("sagemaker", "AKIANOBODY").list_models)


def test_a_publisher_needs_topic_and_key_and_each_protocol_has_its_error(gatekeeper: Gatekeeper) -> None:
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    topic = client("sns").create_topic(Name="t", Attributes={"KmsMasterKeyId": key})["TopicArn"]
    queue = client("sqs").create_queue(QueueName="q", Attributes={"KmsMasterKeyId": key})["QueueUrl"]
    keys = role((["sns:Publish", "sqs:SendMessage"], "*"))
    assert denial(client("sns", keys).publish, TopicArn=topic, Message="m").startswith("AuthorizationError")
    assert "kms:GenerateDataKey" in denial(client("sqs", keys).send_message, QueueUrl=queue, MessageBody="m")
    client("iam").put_role_policy(
        RoleName="r", PolicyName="key", PolicyDocument=policy((["kms:GenerateDataKey", "kms:Decrypt"], key))
    )
    assert denial(client("sns", keys).publish, TopicArn=topic, Message="m") == ""
    assert denial(client("sqs", keys).send_message, QueueUrl=queue, MessageBody="m") == ""


def test_a_call_whose_permissions_are_not_known_is_an_error(gatekeeper: Gatekeeper) -> None:
    keys = role(("*", "*"))
    with pytest.raises(LookupError, match="sagemaker:ListApps"):
        client("sagemaker", keys).list_apps()
