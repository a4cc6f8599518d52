"""Small definitions of the shapes that AWS's public samples have, and a sound one to break."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
ROLE = "arn:aws:iam::111122223333:role/pipeline"
IMAGE = "111122223333.dkr.ecr.us-east-1.amazonaws.com/image:1"


def processing(name: str, *, outputs: Mapping[str, Any] | None = None, inputs: Mapping[str, Any] | None = None) -> Json:
    """A Processing step as the SDK writes it."""
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "RoleArn": ROLE,
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30}
            },
            "AppSpecification": {
                "ImageUri": IMAGE,
                "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/run.py"],
            },
            "ProcessingInputs": [
                {
                    "InputName": key,
                    "AppManaged": False,
                    "S3Input": {
                        "S3Uri": uri,
                        "LocalPath": f"/opt/ml/processing/input/{key}",
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                        "S3DataDistributionType": "FullyReplicated",
                        "S3CompressionType": "None",
                    },
                }
                for key, uri in (inputs or {"code": "s3://bucket/code/run.py"}).items()
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": key,
                        "AppManaged": False,
                        "S3Output": {
                            "S3Uri": uri,
                            "LocalPath": f"/opt/ml/processing/{key}",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                    for key, uri in (outputs or {"out": "s3://bucket/out"}).items()
                ]
            },
        },
    }


def training(name: str, channel: Any) -> Json:
    """A Training step."""
    return {
        "Name": name,
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
            "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
            "ResourceConfig": {
                "VolumeSizeInGB": 30,
                "InstanceCount": 1,
                "InstanceType": {"Get": "Parameters.TrainingInstanceType"},
            },
            "RoleArn": ROLE,
            "InputDataConfig": [
                {
                    "ChannelName": "train",
                    "ContentType": "text/csv",
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": channel,
                            "S3DataDistributionType": "FullyReplicated",
                        }
                    },
                }
            ],
            "HyperParameters": {"objective": "reg:linear", "num_round": "50"},
            "ProfilerConfig": {"DisableProfiler": True},
        },
    }


def output(step: str, name: str) -> Json:
    """A reference to an output of a processing step."""
    return {"Get": f"Steps.{step}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri"}


def json_get(step: str, file: str, path: str) -> Json:
    """A number of a property file."""
    return {"Std:JsonGet": {"PropertyFile": {"Get": f"Steps.{step}.PropertyFiles.{file}"}, "Path": path}}


def register(name: str, model: Any) -> Json:
    """A RegisterModel step."""
    return {
        "Name": name,
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "models",
            "ModelApprovalStatus": {"Get": "Parameters.ApprovalStatus"},
            "InferenceSpecification": {
                "Containers": [{"Image": IMAGE, "ModelDataUrl": model}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
                "SupportedRealtimeInferenceInstanceTypes": ["ml.t2.medium", "ml.m5.large"],
                "SupportedTransformInstanceTypes": ["ml.m5.large"],
            },
            "CustomerMetadataProperties": {"trigger": {"Get": "Parameters.Reason"}},
        },
    }


def condition(name: str, conditions: list[Json], then: list[Json], otherwise: list[Json]) -> Json:
    """A Condition step."""
    return {
        "Name": name,
        "Type": "Condition",
        "Arguments": {"Conditions": conditions, "IfSteps": then, "ElseSteps": otherwise},
    }


def parameter(name: str, kind: str, default: Any) -> Json:
    """A declaration."""
    return {"Name": name, "Type": kind, "DefaultValue": default}


def regression_sample() -> Json:
    """The shape of the classic sample: process, train, evaluate, and register below a limit of the error."""
    evaluate = processing(
        "Evaluate",
        inputs={"model": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}, "test": output("Process", "test")},
        outputs={"evaluation": {"Std:Join": {"On": "/", "Values": ["s3://bucket", {"Get": "Execution.PipelineName"}]}}},
    )
    evaluate["PropertyFiles"] = [
        {"PropertyFileName": "Report", "OutputName": "evaluation", "FilePath": "evaluation.json"}
    ]
    evaluate["CacheConfig"] = {"Enabled": True, "ExpireAfter": "PT1H"}
    error = json_get("Evaluate", "Report", "regression_metrics.mse.value")
    return {
        "Version": "2020-12-01",
        "Metadata": {},
        "Parameters": [
            parameter("TrainingInstanceType", "String", "ml.m5.xlarge"),
            {**parameter("ApprovalStatus", "String", "PendingManualApproval"), "EnumValues": ["PendingManualApproval"]},
            parameter("Reason", "String", "manual"),
            parameter("MaxError", "Float", 6.0),
            parameter("InstanceCount", "Integer", 1),
        ],
        "PipelineExperimentConfig": {
            "ExperimentName": {"Get": "Execution.PipelineName"},
            "TrialName": {"Get": "Execution.PipelineExecutionId"},
        },
        "Steps": [
            processing("Process", outputs={"train": "s3://bucket/train", "test": "s3://bucket/test"}),
            training("Train", output("Process", "train")),
            evaluate,
            condition(
                "CheckError",
                [{"Type": "LessThanOrEqualTo", "LeftValue": error, "RightValue": {"Get": "Parameters.MaxError"}}],
                [register("Register", {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"})],
                [
                    {
                        "Name": "TooBad",
                        "Type": "Fail",
                        "Arguments": {
                            "ErrorMessage": {
                                "Std:Join": {"On": " ", "Values": ["error >", {"Get": "Parameters.MaxError"}]}
                            }
                        },
                    }
                ],
            ),
        ],
    }


def tuning_sample() -> Json:
    """The shape of the samples with tuning, a batch transform of the best model, a Lambda and a Callback step."""
    trained = training("Unused", "s3://bucket/train")["Arguments"]
    return {
        "Version": "2020-12-01",
        "Parameters": [parameter("TrainingInstanceType", "String", "ml.c5.xlarge")],
        "Steps": [
            {
                "Name": "Tune",
                "Type": "Tuning",
                "Arguments": {
                    "HyperParameterTuningJobConfig": {
                        "Strategy": "Bayesian",
                        "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
                        "TrainingJobEarlyStoppingType": "Off",
                        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "validation:rmse"},
                        "ParameterRanges": {
                            "ContinuousParameterRanges": [
                                {"Name": "eta", "MinValue": "0.1", "MaxValue": "0.5", "ScalingType": "Auto"}
                            ]
                        },
                    },
                    "TrainingJobDefinition": {
                        "StaticHyperParameters": {"num_round": "50"},
                        "RoleArn": ROLE,
                        **{
                            key: trained[key]
                            for key in (
                                *("AlgorithmSpecification", "OutputDataConfig", "StoppingCondition"),
                                *("ResourceConfig", "InputDataConfig"),
                            )
                        },
                    },
                },
                "RetryPolicies": [
                    {
                        "ExceptionType": ["SageMaker.RESOURCE_LIMIT"],
                        "IntervalSeconds": 1,
                        "BackoffRate": 2.0,
                        "ExpireAfterMin": 120,
                    }
                ],
            },
            {
                "Name": "CreateModel",
                "Type": "Model",
                "Arguments": {
                    "ExecutionRoleArn": ROLE,
                    "PrimaryContainer": {"Image": IMAGE, "Environment": {}, "ModelDataUrl": "s3://bucket/m.tar.gz"},
                },
                "DependsOn": ["Tune"],
            },
            {
                "Name": "Transform",
                "Type": "Transform",
                "Arguments": {
                    "ModelName": {"Get": "Steps.CreateModel.ModelName"},
                    "TransformInput": {
                        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/batch"}}
                    },
                    "TransformOutput": {"S3OutputPath": "s3://bucket/transformed"},
                    "TransformResources": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge"},
                },
            },
            {
                "Name": "Notify",
                "Type": "Lambda",
                "Arguments": {"location": {"Get": "Steps.Transform.TransformOutput.S3OutputPath"}},
                "FunctionArn": "arn:aws:lambda:us-east-1:111122223333:function:notify",
                "OutputParameters": [{"OutputName": "statusCode", "OutputType": "String"}],
            },
            {
                "Name": "Wait",
                "Type": "Callback",
                "Arguments": {"code": {"Get": "Steps.Notify.OutputParameters['statusCode']"}},
                "SqsQueueUrl": "https://sqs.us-east-1.amazonaws.com/111122223333/queue",
                "OutputParameters": [],
                "DependsOn": ["Notify"],
            },
        ],
    }


def flat_conditions_sample() -> Json:
    """Conditions at the top level, of which one reads a file of a step in another's branch."""
    check = processing("Check", outputs={"report": "s3://bucket/check"})
    check["PropertyFiles"] = [{"PropertyFileName": "Checked", "OutputName": "report", "FilePath": "c.json"}]
    evaluate = processing("Evaluate", outputs={"report": "s3://bucket/evaluate"})
    evaluate["PropertyFiles"] = [{"PropertyFileName": "Scores", "OutputName": "report", "FilePath": "e.json"}]
    found = json_get("Check", "Checked", "new")
    return {
        "Version": "2020-12-01",
        "Parameters": [parameter("Force", "String", "no")],
        "Steps": [
            check,
            condition(
                "IsNew",
                [
                    {
                        "Type": "Or",
                        "Conditions": [
                            {"Type": "Equals", "LeftValue": found, "RightValue": "yes"},
                            {"Type": "Equals", "LeftValue": {"Get": "Parameters.Force"}, "RightValue": "yes"},
                            {"Type": "In", "QueryValue": {"Get": "Parameters.Force"}, "Values": ["yes", "always"]},
                        ],
                    }
                ],
                [evaluate],
                [],
            ),
            condition(
                "IsGood",
                [{"Type": "GreaterThan", "LeftValue": json_get("Evaluate", "Scores", "auc"), "RightValue": 0.7}],
                [],
                [{"Name": "NotGood", "Type": "Fail", "Arguments": {"ErrorMessage": "not good enough"}}],
            ),
        ],
    }


SAMPLES = {
    "regression": regression_sample,
    "tuning": tuning_sample,
    "flat conditions": flat_conditions_sample,
}
