"""The steps from raw rows to a registered version: Prepare, Predict, Train, Evaluate, Register."""

from __future__ import annotations

from typing import Any

from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.steps import StepTypeEnum

from pipeline.contract import gates
from pipeline.contract import names as c
from pipeline.contract.metrics import primary_metric
from pipeline.contract.parameters import snake_case
from pipeline.contract.workload import WORKLOAD_VARIABLE
from pipeline.definition.job_requests import (
    ENTRYPOINT,
    MAX_RUNTIME_SECONDS,
    VOLUME_GB,
    JobStep,
    Variables,
    output_of,
    processing_step,
    run_uri,
    stable_input,
    stable_output,
)


def prepare_step(v: Variables, prepared: PropertyFile) -> JobStep:
    """Raw files to features; says whether anything is new."""
    config = [p.name for p in v.parameters.hyperparameters]
    return processing_step(
        v,
        "Prepare",
        inputs={
            c.DATA_CHANNEL: Join(on="", values=["s3://${DataBucket}/", v["DataPrefix"], "/"]),
            c.CHAMPION_CHANNEL: stable_input(c.CHAMPION_CHANNEL),
            c.EVALUATED_CHANNEL: stable_input(c.EVALUATED_CHANNEL),
            **{channel: stable_input(channel) for channel in v.spec.prepare_channels},
        },
        outputs={name: run_uri("prepare", name) for name in (c.FEATURES_CHANNEL, c.UPCOMING_CHANNEL, c.REPORT_CHANNEL)},
        arguments=[
            *v.options(
                {
                    "--as-of": "AsOfDate",
                    "--time-zone": "TimeZone",
                    "--max-bad-row-share": "MaxBadRowShare",
                    "--max-bad-row-share-of-file": "MaxBadRowShareOfFile",
                    "--min-rows": "MinRows",
                    "--min-days-between-trainings": "MinDaysBetweenTrainings",
                    "--trigger": "TriggerReason",
                }
            ),
            *v.pairs("--training-config", [*config, "WalkForwardRows"], as_option=snake_case),
            *v.pairs("--parameters", [p.name for p in v.parameters.own if p.for_prepare]),
            *v.pairs("--limits", gates.gate_parameters(v.spec)),
        ],
        environment={"CODE_VERSION": "${CodeVersion}"},
        property_files=[prepared],
    )


def predict_step(v: Variables, prepare: JobStep) -> JobStep:
    """The champion's predictions for the upcoming rows, and the monitor of champion, features and data."""
    return processing_step(
        v,
        "Predict",
        inputs={
            c.UPCOMING_CHANNEL: output_of(prepare, c.UPCOMING_CHANNEL),
            c.FEATURES_CHANNEL: output_of(prepare, c.FEATURES_CHANNEL),
            c.REPORT_CHANNEL: output_of(prepare, c.REPORT_CHANNEL),
            c.CHAMPION_CHANNEL: stable_input(c.CHAMPION_CHANNEL),
        },
        outputs={name: stable_output(name) for name in (c.PREDICTIONS_CHANNEL, c.MONITOR_CHANNEL)},
    )


def train_step(v: Variables, prepare: JobStep) -> JobStep:
    """Walk-forward record and final model."""
    request = {
        "RoleArn": "${ExecutionRoleArn}",
        "AlgorithmSpecification": {
            "TrainingImage": "${ImageUri}",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": [*ENTRYPOINT, "train"],
        },
        "HyperParameters": {**v.hyperparameters(), "walk_forward_rows": v["WalkForwardRows"].to_string()},
        "InputDataConfig": [
            {
                "ChannelName": c.FEATURES_CHANNEL,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": output_of(prepare, c.FEATURES_CHANNEL),
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": run_uri("train"), "KmsKeyId": "${KmsKeyId}"},
        "ResourceConfig": {
            "InstanceType": v["TrainInstanceType"],
            "InstanceCount": v["TrainInstanceCount"],
            "VolumeSizeInGB": VOLUME_GB,
            "VolumeKmsKeyId": "${KmsKeyId}",
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": MAX_RUNTIME_SECONDS},
        "EnableNetworkIsolation": True,  # but for the job's own instances (API_CreateTrainingJob)
        "EnableInterContainerTrafficEncryption": True,  # changes nothing for one instance
        "Environment": {WORKLOAD_VARIABLE: v.spec.name, "CODE_VERSION": "${CodeVersion}"},
    }
    return JobStep("Train", StepTypeEnum.TRAINING, request)


def evaluate_step(v: Variables, prepare: JobStep, train: JobStep, evaluation: PropertyFile) -> JobStep:
    """Candidate, champion and baselines on the same rows; writes the last-evaluated record."""
    return processing_step(
        v,
        "Evaluate",
        inputs={
            c.MODEL_CHANNEL: train.properties.ModelArtifacts.S3ModelArtifacts,
            c.FEATURES_CHANNEL: output_of(prepare, c.FEATURES_CHANNEL),
            c.REPORT_CHANNEL: output_of(prepare, c.REPORT_CHANNEL),
            c.CHAMPION_CHANNEL: stable_input(c.CHAMPION_CHANNEL),
        },
        outputs={
            c.EVALUATION_CHANNEL: run_uri("evaluate", c.EVALUATION_CHANNEL),
            c.EVALUATED_CHANNEL: stable_output(c.EVALUATED_CHANNEL),
        },
        arguments=[*v.options({"--trigger": "TriggerReason"}), *v.pairs("--limits", gates.gate_parameters(v.spec))],
        environment={
            "CODE_VERSION": "${CodeVersion}",
            "GIT_REVISION": "${GitRevision}",
            "DEFINITION_HASH": "${DefinitionHash}",
        },
        property_files=[evaluation],
    )


def register_step(v: Variables, train: JobStep, evaluate: JobStep, evaluation: PropertyFile) -> JobStep:
    """A model package of the group, waiting for approval, with metrics and lineage."""

    def found(path: str) -> Any:
        return JsonGet(step_name=evaluate.name, property_file=evaluation, json_path=path).to_string()

    request = {
        "ModelPackageGroupName": "${ModelPackageGroupName}",
        "ModelPackageDescription": found("summary"),
        "ModelApprovalStatus": v["ApprovalStatus"],
        "InferenceSpecification": {
            "Containers": [{"Image": "${ImageUri}", "ModelDataUrl": train.properties.ModelArtifacts.S3ModelArtifacts}],
            "SupportedContentTypes": ["application/json", "text/csv"],
            "SupportedResponseMIMETypes": ["application/json", "text/csv"],
        },
        "ModelMetrics": {
            "ModelQuality": {
                "Statistics": {
                    "ContentType": "application/json",
                    "S3Uri": Join(on="/", values=[output_of(evaluate, c.EVALUATION_CHANNEL), c.EVALUATION_FILE]),
                }
            }
        },
        "CustomerMetadataProperties": {
            "as_of_date": found("as_of_date"),
            "fingerprint": found("fingerprint"),
            c.MODEL_SHA256: found(c.MODEL_SHA256),
            "workload": v.spec.name,
            "primary_metric": primary_metric(v.spec).key,
            "loss": found(f"metrics.candidate.{primary_metric(v.spec).key}"),
            "baseline_loss": found(f"metrics.baseline.{primary_metric(v.spec).key}"),
            "skill": found("quality.skill"),
            "n_rows": found("metrics.candidate.n_rows"),
            "champion_version": found("comparison.champion_version"),
            "difference_to_incumbent": found("comparison.difference.mean"),
            "difference_lower": found("comparison.difference.lower"),
            "difference_upper": found("comparison.difference.upper"),
            "report": Join(on="/", values=[output_of(evaluate, c.EVALUATION_CHANNEL), c.REPORT_FILE]),
            "execution": ExecutionVariables.PIPELINE_EXECUTION_ARN,
            "trigger": found("metadata.trigger"),  # the parameter may be any text, a value of this map may not
            "training_instances": v["TrainInstanceCount"].to_string(),
            "image": "${ImageUri}",
            "code_version": "${CodeVersion}",
            "git_revision": "${GitRevision}",
            "definition_hash": "${DefinitionHash}",
        },
    }
    return JobStep("Register", StepTypeEnum.REGISTER_MODEL, request)
