"""A template's resources, and its functions resolved as CloudFormation would, with made-up physical names."""

from __future__ import annotations

from typing import Any

ACCOUNT, REGION = "111122223333", "us-east-1"
Template = dict[str, Any]


def resources(template: Template, kind: str) -> dict[str, Any]:
    """Logical id to properties, of one resource type."""
    return {k: r.get("Properties", {}) for k, r in template["Resources"].items() if r["Type"] == kind}


def only(template: Template, kind: str, marked: str = "") -> tuple[str, dict[str, Any]]:
    """The only resource of a type (whose logical id contains `marked`)."""
    ((logical_id, properties),) = [(k, p) for k, p in resources(template, kind).items() if marked in k]
    return logical_id, properties


class Resolver:
    """Resolves the functions that this stack's template uses; a resource's value is what `values` says, or made up."""

    def __init__(self, template: Template, values: dict[str, str] | None = None) -> None:
        self._template, self._values = template, values or {}

    def __call__(self, node: Any) -> Any:
        """The node without functions."""
        if isinstance(node, list):
            return [self(item) for item in node]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((function, value),) = node.items()
            if function == "Ref":
                return self._ref(value)
            if function == "Fn::GetAtt":
                return self._values.get(".".join(value), self._attribute(*value))
            if function == "Fn::Join":
                return value[0].join(str(self(part)) for part in value[1])
            if function == "Fn::FindInMap":
                name, first, second = value
                return self._template["Mappings"][name][self(first)][self(second)]
            if function == "Fn::Sub":
                text, given = (value, self._pseudo) if isinstance(value, str) else value
                for name, item in given.items():
                    text = text.replace(f"${{{name}}}", self(item))
                return text
            if function == "Fn::Select":
                return self(value[1])[int(value[0])]
            if function == "Fn::Split":
                return self(value[1]).split(value[0])
        return {key: self(value) for key, value in node.items()}

    @property
    def _pseudo(self) -> dict[str, str]:
        known = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": REGION,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/retraining-prod/0a1b2c3d",
        }
        return {**known, **self._values}

    def _ref(self, name: str) -> str:
        if name in self._pseudo:
            return self._pseudo[name]
        resource = self._template["Resources"][name]
        properties = resource.get("Properties", {})
        named = {
            "AWS::SageMaker::Pipeline": "PipelineName",
            "AWS::Scheduler::ScheduleGroup": "Name",
            "AWS::S3::Bucket": "BucketName",
            "AWS::CloudWatch::Alarm": "AlarmName",
        }
        arns = {  # where a reference is an ARN
            "AWS::SNS::Topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}",
            "AWS::StepFunctions::StateMachine": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}",
            "AWS::IAM::ManagedPolicy": f"arn:aws:iam::{ACCOUNT}:policy/{name}",
        }
        known = properties.get(named.get(resource["Type"], ""), name.lower())
        return str(arns.get(resource["Type"], known))

    def _attribute(self, name: str, attribute: str) -> str:
        kind = self._template["Resources"][name]["Type"]
        if attribute.endswith("Name"):
            return name.lower()
        service = {
            "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{name}",
            "AWS::S3::Bucket": f"arn:aws:s3:::{name.lower()}",
            "AWS::KMS::Key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{name}",
            "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
            "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}:*",
            "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}",
            "AWS::Events::Rule": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}",
            "AWS::StepFunctions::StateMachine": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}",
            "AWS::CloudWatch::Alarm": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:"
            + str(self._template["Resources"][name].get("Properties", {}).get("AlarmName", name)),
            "AWS::SageMaker::ModelPackageGroup": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package-group/"
            + str(self._template["Resources"][name]["Properties"].get("ModelPackageGroupName")),
        }
        return service.get(kind, f"arn:aws:made-up:{REGION}:{ACCOUNT}:{name}.{attribute}")
