"""Teaches moto's CloudFormation the resource types that it lacks, by calling the emulator's own services.

moto finds a type by the direct subclasses of CloudFormationModel. Each class turns one resource's properties into the
calls that CloudFormation makes, through boto3: so botocore refuses what the real service's request could not hold.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

import boto3
from moto.core.common_models import CloudFormationModel

Properties = dict[str, Any]


class Taught:
    """One resource: `create`, `update` and `remove` are the service's calls, `name` its physical id."""

    TYPE: ClassVar[str]
    SERVICE: ClassVar[str]
    NAME: ClassVar[str] = ""  # the property that names it; where it has none, CloudFormation makes up a name

    def __init__(self, region: str, name: str) -> None:
        self.client = boto3.client(self.SERVICE, region_name=region)
        self.name = name
        self.attributes: dict[str, str] = {}

    def create(self, properties: Properties) -> None:
        raise NotImplementedError

    def update(self, properties: Properties) -> None:
        self.create(properties)

    def remove(self) -> None:
        """What is part of another resource goes with it."""

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.TYPE

    @classmethod
    def cloudformation_name_type(cls) -> str:
        return cls.NAME

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return True

    @property
    def physical_resource_id(self) -> str:
        return self.name

    def get_cfn_attribute(self, name: str) -> str:
        return self.attributes[name]

    def is_created(self) -> bool:
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> Taught:
        resource = cls(region_name, resource_name)
        resource.create(resource._named(cloudformation_json))
        return resource

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Taught,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> Taught:
        original_resource.update(original_resource._named(cloudformation_json))
        return original_resource

    def delete(self, account_id: str, region_name: str) -> None:
        self.remove()

    def _named(self, cloudformation_json: Mapping[str, Any]) -> Properties:
        return {**({self.NAME: self.name} if self.NAME else {}), **cloudformation_json["Properties"]}


class Pipeline(Taught, CloudFormationModel):
    TYPE, SERVICE, NAME = "AWS::SageMaker::Pipeline", "sagemaker", "PipelineName"

    def create(self, properties: Properties) -> None:
        self.client.create_pipeline(**_pipeline_request(properties), ClientRequestToken=str(uuid.uuid4()))

    def update(self, properties: Properties) -> None:
        tags = properties.pop("Tags", [])
        self.client.update_pipeline(**_pipeline_request(properties))
        arn = self.client.describe_pipeline(PipelineName=self.name)["PipelineArn"]
        self.client.add_tags(ResourceArn=arn, Tags=tags)

    def remove(self) -> None:
        self.client.delete_pipeline(PipelineName=self.name, ClientRequestToken=str(uuid.uuid4()))


def _pipeline_request(properties: Properties) -> Properties:
    body = properties["PipelineDefinition"]["PipelineDefinitionBody"]
    return {**properties, "PipelineDefinition": body}


class ModelPackageGroup(Taught, CloudFormationModel):
    TYPE, SERVICE, NAME = "AWS::SageMaker::ModelPackageGroup", "sagemaker", "ModelPackageGroupName"

    def create(self, properties: Properties) -> None:
        arn = self.client.create_model_package_group(**properties)["ModelPackageGroupArn"]
        self.attributes["ModelPackageGroupArn"] = arn

    @property
    def physical_resource_id(self) -> str:
        return self.attributes["ModelPackageGroupArn"]

    def update(self, properties: Properties) -> None:
        """Nothing of a group that the stack sets can change but its tags."""

    def remove(self) -> None:
        self.client.delete_model_package_group(ModelPackageGroupName=self.name)


class Alarm(Taught, CloudFormationModel):
    TYPE, SERVICE, NAME = "AWS::CloudWatch::Alarm", "cloudwatch", "AlarmName"

    def create(self, properties: Properties) -> None:
        self.client.put_metric_alarm(**properties)
        (alarm,) = self.client.describe_alarms(AlarmNames=[self.name])["MetricAlarms"]
        self.attributes["Arn"] = alarm["AlarmArn"]

    def remove(self) -> None:
        self.client.delete_alarms(AlarmNames=[self.name])


class ScheduleGroup(Taught, CloudFormationModel):
    TYPE, SERVICE, NAME = "AWS::Scheduler::ScheduleGroup", "scheduler", "Name"

    def create(self, properties: Properties) -> None:
        self.attributes["Arn"] = self.client.create_schedule_group(**properties)["ScheduleGroupArn"]

    def update(self, properties: Properties) -> None:
        """Nothing of a group can change but its tags."""

    def remove(self) -> None:
        self.client.delete_schedule_group(Name=self.name)


class Schedule(Taught, CloudFormationModel):
    TYPE, SERVICE, NAME = "AWS::Scheduler::Schedule", "scheduler", "Name"

    def create(self, properties: Properties) -> None:
        self.group = properties.get("GroupName", "default")
        self.attributes["Arn"] = self.client.create_schedule(**properties)["ScheduleArn"]

    def update(self, properties: Properties) -> None:
        self.client.update_schedule(**properties)

    def remove(self) -> None:
        self.client.delete_schedule(Name=self.name, GroupName=self.group)


class Subscription(Taught, CloudFormationModel):
    TYPE, SERVICE = "AWS::SNS::Subscription", "sns"

    def create(self, properties: Properties) -> None:
        self.name = self.client.subscribe(**properties, ReturnSubscriptionArn=True)["SubscriptionArn"]

    def remove(self) -> None:
        self.client.unsubscribe(SubscriptionArn=self.name)


class TopicPolicy(Taught, CloudFormationModel):
    TYPE, SERVICE = "AWS::SNS::TopicPolicy", "sns"

    def create(self, properties: Properties) -> None:
        policy = json.dumps(properties["PolicyDocument"])
        for topic in properties["Topics"]:
            self.client.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)


class QueuePolicy(Taught, CloudFormationModel):
    TYPE, SERVICE = "AWS::SQS::QueuePolicy", "sqs"

    def create(self, properties: Properties) -> None:
        policy = json.dumps(properties["PolicyDocument"])
        for queue in properties["Queues"]:
            self.client.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})


class BucketPolicy(Taught, CloudFormationModel):
    TYPE, SERVICE = "AWS::S3::BucketPolicy", "s3"

    def create(self, properties: Properties) -> None:
        self.bucket = properties["Bucket"]
        self.client.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(properties["PolicyDocument"]))

    def remove(self) -> None:
        self.client.delete_bucket_policy(Bucket=self.bucket)


class Budget(Taught, CloudFormationModel):
    TYPE, SERVICE = "AWS::Budgets::Budget", "budgets"

    def create(self, properties: Properties) -> None:
        self.account = boto3.client("sts").get_caller_identity()["Account"]
        self.name = properties["Budget"]["BudgetName"]
        limit = properties["Budget"]["BudgetLimit"]
        budget = {**properties["Budget"], "BudgetLimit": {**limit, "Amount": str(limit["Amount"])}}
        self.client.create_budget(
            AccountId=self.account,
            Budget=budget,
            NotificationsWithSubscribers=properties["NotificationsWithSubscribers"],
        )

    def update(self, properties: Properties) -> None:
        self.remove()
        self.create(properties)

    def remove(self) -> None:
        self.client.delete_budget(AccountId=self.account, BudgetName=self.name)


class EventInvokeConfig(Taught, CloudFormationModel):
    TYPE, SERVICE = "AWS::Lambda::EventInvokeConfig", "lambda"

    def create(self, properties: Properties) -> None:
        self.client.put_function_event_invoke_config(
            **{name: value for name, value in properties.items() if name != "Qualifier"}
        )
