"""Completes what moto's CloudFormation does in part: the CDK CLI finds what it would find in AWS.

- buckets with versions and notices; a bucket that holds something is not deleted
- custom resources call the function and wait for its answer, at an update and a deletion as well
- a stack's outputs; change sets that are gone; a deletion in the reverse order of creation
- a resource that cannot be made fails the deployment, with the reason, and a first one is rolled back: what was made
  is deleted, in that order too, unless its DeletionPolicy is Retain (RetainExceptOnCreate: only at other deletions)
- a resource that cannot be deleted keeps those that it needs, and the stack; a key is deleted a month later
"""

from __future__ import annotations

import functools
import json
import os
import traceback
import uuid
from typing import Any

import boto3
from moto.awslambda.models import Permission
from moto.cloudformation.custom_model import CustomModel
from moto.cloudformation.exceptions import CloudFormationError, ValidationError
from moto.cloudformation.models import ChangeSet, CloudFormationBackend
from moto.cloudformation.parsing import OutputMap, ResourceMap
from moto.cloudformation.responses import CloudFormationResponse
from moto.iam.access_control import PermissionResult
from moto.iam.models import ManagedPolicy
from moto.kms.models import Key
from moto.logs.models import LogGroup
from moto.s3.models import FakeBucket

Properties = dict[str, Any]


def teach() -> None:
    """Call once."""
    create = FakeBucket.create_from_cloudformation_json.__func__
    FakeBucket.create_from_cloudformation_json = classmethod(functools.partial(_create_bucket, create))
    FakeBucket.delete_from_cloudformation_json = classmethod(_delete_bucket)
    CustomModel.create_from_cloudformation_json = classmethod(_create_custom)
    CustomModel.update_from_cloudformation_json = classmethod(_update_custom)
    CustomModel.delete = lambda resource, account, region: _call_custom(resource, "Delete")
    CloudFormationResponse.process_cfn_response = _take_answer
    FakeBucket.get_permission = _get_permission
    ChangeSet.apply = functools.partialmethod(_apply, ChangeSet.apply)
    ResourceMap.delete = _delete_in_reverse
    ResourceMap.build_resource_diff = functools.partialmethod(_resource_diff, ResourceMap.build_resource_diff)
    ResourceMap.parse_ssm_parameter = functools.partialmethod(_parse_ssm_parameter, ResourceMap.parse_ssm_parameter)
    execute = CloudFormationBackend.execute_change_set
    CloudFormationBackend.execute_change_set = functools.partialmethod(_execute_change_set, execute)
    CloudFormationBackend.delete_stack = _delete_stack
    CloudFormationBackend.delete_change_set = _delete_change_set
    describe_change_set = CloudFormationBackend.describe_change_set
    CloudFormationBackend.describe_change_set = functools.partialmethod(_describe_change_set, describe_change_set)
    Permission.physical_resource_id = "permission"
    create_key = Key.create_from_cloudformation_json.__func__
    Key.create_from_cloudformation_json = classmethod(functools.partial(_create_key, create_key))
    # Its documented return value ends in :*, as policies need it.
    LogGroup.get_cfn_attribute = lambda group, attribute: f"{group.arn}:*"
    # As IAM does, which moto's stacks do not ask: a policy that is attached is not deleted.
    ManagedPolicy.delete = lambda policy, account, region: boto3.client("iam").delete_policy(PolicyArn=policy.arn)
    ManagedPolicy.update_from_cloudformation_json = classmethod(_update_policy)
    Key.delete = lambda key, account, region: boto3.client("kms", region_name=region).schedule_key_deletion(
        KeyId=key.id
    )


def _update_policy(
    cls: type[ManagedPolicy], original_resource: ManagedPolicy, cloudformation_json: Any, **_: Any
) -> ManagedPolicy:
    """As CloudFormation does: another document is another version (moto's stacks lose the policy)."""
    client, arn = boto3.client("iam"), original_resource.arn
    document = json.dumps(cloudformation_json["Properties"]["PolicyDocument"])
    client.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
    for version in client.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            client.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
    return original_resource


def _create_bucket(
    original: Any, cls: type[FakeBucket], resource_name: str, cloudformation_json: Any, *place: Any, **rest: Any
) -> FakeBucket:
    """moto leaves out versions, public access and notices to EventBridge."""
    bucket: FakeBucket = original(cls, resource_name, cloudformation_json, *place, **rest)
    client, properties = boto3.client("s3"), cloudformation_json["Properties"]
    for name, put in (
        ("VersioningConfiguration", client.put_bucket_versioning),
        ("PublicAccessBlockConfiguration", client.put_public_access_block),
    ):
        if name in properties:
            put(Bucket=resource_name, **{name: properties[name]})
    if "NotificationConfiguration" in properties:
        notices: dict[str, Any] = {"EventBridgeConfiguration": {}}
        client.put_bucket_notification_configuration(Bucket=resource_name, NotificationConfiguration=notices)
    return bucket


def _delete_bucket(cls: type[FakeBucket], resource_name: str, *_: Any) -> None:
    """As S3 does: a bucket that still holds a version of an object is not deleted (moto's stack would go on)."""
    boto3.client("s3").delete_bucket(Bucket=resource_name)


def _get_permission(bucket: FakeBucket, action: str, resource: str) -> PermissionResult:
    """No second opinion: the account has evaluated the bucket's policy already (iam_emulation), moto would differ."""
    return PermissionResult.NEUTRAL


_answers: dict[str, dict[str, Any]] = {}  # what functions have answered to CloudFormation, by request


def _take_answer(self: CloudFormationResponse) -> tuple[int, dict[str, int], str]:
    _answers[self._get_param("RequestId")] = {name: self._get_param(name) for name in ("Status", "Reason", "Data")}
    return 200, {"status": 200}, "{}"


def _create_custom(
    cls: type[CustomModel], name: str, cloudformation_json: Any, account_id: str, region: str, **about: Any
) -> CustomModel:
    resource = CustomModel(region, "", about["LogicalId"], name)
    resource.event = {
        "ResponseURL": f"{os.environ['AWS_ENDPOINT_URL']}/cloudformation_{region}/cfnresponse?stack={about['StackId']}",
        "StackId": about["StackId"],
        "LogicalResourceId": about["LogicalId"],
        "ResourceType": about["ResourceType"],
    }
    _call_custom(resource, "Create", cloudformation_json["Properties"])
    return resource


def _update_custom(cls: type[CustomModel], original_resource: Any, cloudformation_json: Any, **_: Any) -> CustomModel:
    _call_custom(original_resource, "Update", cloudformation_json["Properties"])
    custom: CustomModel = original_resource
    return custom


def _call_custom(resource: Any, kind: str, properties: Properties | None = None) -> None:
    """Call the function behind a custom resource and wait for its answer, as CloudFormation does."""
    if properties:
        resource.properties = properties
    event = {
        **resource.event,
        "RequestType": kind,
        "RequestId": str(uuid.uuid4()),
        "ServiceToken": resource.properties["ServiceToken"],
        "ResourceProperties": resource.properties,
        **({"PhysicalResourceId": resource.resource_name} if kind != "Create" else {}),
    }
    client = boto3.client("lambda", region_name=resource.region_name)
    client.invoke(FunctionName=event["ServiceToken"], Payload=json.dumps(event).encode())
    answer = _answers.pop(event["RequestId"], None)
    if answer is None or answer["Status"] != "SUCCESS":
        raise RuntimeError(f"{kind} of {event['LogicalResourceId']}: {answer}")
    resource.set_data(answer["Data"] or {})


def _apply(self: ChangeSet, original: Any) -> None:
    """moto reads the outputs only of a stack that was made without a change set."""
    original(self)
    self.stack.output_map = OutputMap(self.stack.resource_map, self.template_dict, self.stack.stack_id)


KEPT_AT_DELETION = ("Retain", "RetainExceptOnCreate")
KEPT_AT_ROLLBACK = ("Retain",)


def _delete_in_reverse(self: ResourceMap) -> None:
    if failures := _delete_resources(self, KEPT_AT_DELETION):
        raise RuntimeError("; ".join(failures))


def _delete_resources(resources: ResourceMap, kept: tuple[str, ...]) -> list[str]:
    """What was made last, because it needs others, goes first; returns why some did not go.

    DeletionPolicy: docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
    """
    failures, needed = [], set[str]()
    for name in reversed(list(resources._parsed_resources)):
        described, resource = resources._resource_json_map.get(name), resources._parsed_resources[name]
        if not described or resource is None or described.get("DeletionPolicy") in kept:
            continue
        if name in needed:  # by one that is still there
            needed |= _strings(described)
            continue
        try:
            resources._delete_resource(resource, described)
        except Exception as error:
            failures.append(f"{name}: {error}")
            needed |= _strings(described)
        else:
            del resources._parsed_resources[name]
    return failures


def _strings(described: Any) -> set[str]:
    """All texts in a resource's description, among them the logical ids that it refers to."""
    if isinstance(described, str):
        return {described}
    parts = described.values() if isinstance(described, dict) else described if isinstance(described, list) else ()
    return {text for part in parts for text in _strings(part)}


def _resource_diff(self: ResourceMap, original: Any, template: Properties, *given: Any) -> dict[str, Any]:
    """What an update removes, in that order as well; a resource of which only its policy of removal changes, stays."""
    difference: dict[str, Any] = original(self, template, *given)
    old, new = self._resource_json_map, template["Resources"]
    same = {name for name in difference["Modify"] if _same_properties(old[name], new[name])}
    difference["Modify"] = [name for name in difference["Modify"] if name not in same]
    made = list(self._parsed_resources)
    difference["Remove"].sort(key=lambda name: made.index(name) if name in made else -1, reverse=True)
    return difference


def _same_properties(old: Properties, new: Properties) -> bool:
    """Whether two descriptions of a resource differ, but not in its properties."""
    return bool(old != new and old.get("Properties") == new.get("Properties"))


def _execute_change_set(self: CloudFormationBackend, original: Any, change_set_name: str, stack_name: str) -> None:
    """As CloudFormation does (but an update is not rolled back): moto would answer with an internal error."""
    change_set = self.describe_change_set(change_set_name)
    stack = change_set.stack
    try:
        original(self, change_set_name, stack_name)
    except Exception as error:
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
        if change_set.change_set_type == "CREATE":
            _roll_back(stack, reason)
        else:
            stack.status = "UPDATE_FAILED"
            stack._add_stack_event(stack.status, resource_status_reason=reason)


def _roll_back(stack: Any, reason: str) -> None:
    """Of a first creation."""
    stack.status = "ROLLBACK_IN_PROGRESS"  # functions behind custom resources ask for it
    stack._add_stack_event(stack.status, resource_status_reason=reason)
    failures = _delete_resources(stack.resource_map, KEPT_AT_ROLLBACK)
    stack.status = "ROLLBACK_FAILED" if failures else "ROLLBACK_COMPLETE"
    stack._add_stack_event(stack.status, resource_status_reason="; ".join(failures) or None)


def _delete_stack(self: CloudFormationBackend, name_or_stack_id: str) -> None:
    """As CloudFormation does: a stack with a resource that cannot be deleted stays, and says why."""
    stack = self.get_stack(name_or_stack_id)
    stack.status = "DELETE_IN_PROGRESS"
    try:
        stack.delete()
    except Exception as error:
        stack.status = "DELETE_FAILED"
        stack._add_stack_event("DELETE_FAILED", resource_status_reason=str(error))
    else:
        self.deleted_stacks[stack.stack_id] = self.stacks.pop(stack.stack_id)


def _delete_change_set(self: CloudFormationBackend, change_set_name: str) -> None:
    """As CloudFormation does: one that is not there is deleted already (moto fails)."""
    for arn, change_set in list(self.change_sets.items()):
        if change_set_name in (arn, change_set.change_set_name):
            del self.change_sets[arn]


class ChangeSetNotFoundError(CloudFormationError):
    """By this code the CDK CLI knows that an old change set is gone."""

    code = "ChangeSetNotFound"


def _describe_change_set(self: CloudFormationBackend, original: Any, change_set_name: str) -> Any:
    try:
        return original(self, change_set_name)
    except ValidationError as error:
        raise ChangeSetNotFoundError(f"ChangeSet [{change_set_name}] does not exist") from error


def _create_key(original: Any, cls: type[Key], *given: Any, **rest: Any) -> Key:
    """moto keeps the policy as an object, and fails on it when the key is described."""
    key: Key = original(cls, *given, **rest)
    key.policy = json.dumps(key.policy)
    return key


def _parse_ssm_parameter(self: ResourceMap, original: Any, value: str, value_type: str) -> Any:
    """At an update `UsePreviousValue` stands for the parameter's name; moto puts the value that it had in its place."""
    return original(self, value, value_type) if value.startswith("/") else value
