"""The pipeline, compiled by the SageMaker SDK into definition.json.

    NoEvents?                no play-by-play is given: nothing is aggregated
      `- else OneAggregateMachine?
          |- Aggregate       play-by-play -> one row a team and game, for the next run's Prepare
          `- else AggregateOnSpark    the same on a Spark cluster of AggregateInstanceCount machines
    Prepare                  raw files -> validated games -> features of played and upcoming games; data report
      |- Predict             the champion's probabilities for the upcoming games; monitor of champion, features, data
      `- HasNewData?         nothing new and not forced: the run succeeds, nothing is trained
          `- Train           walk-forward record + final model
              `- Evaluate    candidate, champion and baselines on the same games
                  `- QualityGate?   -> QualityGateFailed names metric, value and limit
                      `- Promote?   not good enough to replace the champion: the run succeeds, the champion stays
                          `- Register

`python -m pipeline.definition` writes definition.json (`--check` only compares), without credentials or network, and
spark/images.json: what else the SDK knows, where SageMaker's Spark image lies in each region.
`${Name}` stands for a deployment constant (DEPLOYMENT_CONSTANTS), bound by CloudFormation in the cloud and by the
runner on a laptop. Each step is the plain request of its API call: nothing hidden in the SDK's defaults can change it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.job_requests import (  # isort: skip - sets what the SDK reads when it is imported
    ENTRYPOINT,
    MAX_RUNTIME_SECONDS,
    PROCESSING,
    REGION,
    VOLUME_GB,
    JobStep,
    Machines,
    P,
    hyperparameters,
    options,
    output_of,
    processing_step,
    run_uri,
    stable_uri,
)

import boto3
from sagemaker.core import image_uris
from sagemaker.core.workflow.conditions import (
    Condition,
    ConditionEquals,
    ConditionGreaterThanOrEqualTo,
    ConditionLessThanOrEqualTo,
    ConditionOr,
)
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import Step, StepTypeEnum

from pipeline import contract as c
from pipeline import gates, parameters
from pipeline.parameters import snake_case

DEFINITION_FILE: Final = Path(__file__).with_name("definition.json")
SPARK_IMAGES_FILE: Final = Path(__file__).with_name("spark") / "images.json"
SPARK_VERSION: Final = "3.5"  # the newest that SageMaker has an image of, and that of pyspark in requirements.in
DEPLOYMENT_CONSTANTS: Final = (
    "ExecutionRoleArn",
    "ImageUri",
    "DataBucket",
    "ArtifactBucket",
    "KmsKeyId",
    "ModelPackageGroupName",
    "CodeVersion",
    "GitRevision",
    "DefinitionHash",
    "SparkImageUri",
    "SparkCodeUri",
    "SparkCodeFile",
)
# A hundred seasons of event files (3.4 GB), and what DuckDB writes to disk of them (docs/scaling.md).
AGGREGATE_VOLUME_GB: Final = 20
# Each machine of the cluster holds all event files, and what Spark spills.
SPARK_VOLUME_GB: Final = 100
SPARK_MAX_RUNTIME_SECONDS: Final = 3 * 3600


def prepare_step(prepared: PropertyFile) -> JobStep:
    """Raw files to features; says whether anything is new."""
    recipe = [
        Join(on="=", values=[snake_case(p.name), P[p.name]])
        for p in (*parameters.HYPERPARAMETERS, *parameters.EVALUATION)
        if p in parameters.HYPERPARAMETERS or p.name == "WalkForwardGames"
    ]
    return processing_step(
        "Prepare",
        inputs={
            c.GAMES_CHANNEL: Join(on="", values=["s3://${DataBucket}/", P["DataPrefix"], "/"]),
            c.CHAMPION_CHANNEL: stable_uri(c.CHAMPION_CHANNEL),
            c.EVALUATED_CHANNEL: stable_uri(c.EVALUATED_CHANNEL),
            c.TEAM_GAMES_CHANNEL: stable_uri(c.TEAM_GAMES_CHANNEL),
        },
        outputs={name: run_uri("prepare", name) for name in (c.FEATURES_CHANNEL, c.UPCOMING_CHANNEL, c.REPORT_CHANNEL)},
        arguments=[
            *options(
                {
                    "--as-of": "AsOfDate",
                    "--first-season": "FirstSeason",
                    "--max-bad-row-share": "MaxBadRowShare",
                    "--min-games": "MinGames",
                    "--min-days-between-trainings": "MinDaysBetweenTrainings",
                    "--trigger": "TriggerReason",
                }
            ),
            "--recipe",
            *recipe,
        ],
        environment={"CODE_VERSION": "${CodeVersion}"},
        property_files=[prepared],
    )


def events_step() -> ConditionStep:
    """Aggregate, where there is play-by-play: on one machine, or on a cluster.

    SageMaker cannot rejoin after a condition (sagemaker-python-sdk #3565): a step that waits for one in a branch is
    left out with it. So nothing waits for Aggregate; it writes to a stable prefix, which the next run's Prepare reads.
    """
    return ConditionStep(
        name="NoEvents",
        conditions=[ConditionEquals(left=P["EventsPrefix"], right=c.NO_EVENTS)],
        if_steps=[],
        else_steps=[
            ConditionStep(
                name="OneAggregateMachine",
                conditions=[ConditionEquals(left=P["AggregateInstanceCount"], right=1)],
                if_steps=[aggregate_step("Aggregate", machines=Machines(volume_gb=AGGREGATE_VOLUME_GB))],
                else_steps=[spark_step()],
            )
        ],
    )


def aggregate_step(
    name: str,
    *,
    inputs: Mapping[str, Any] | None = None,
    arguments: Sequence[Any] = (),
    machines: Machines,
) -> JobStep:
    """Play-by-play to one row a team and game."""
    return processing_step(
        name,
        inputs={
            c.EVENTS_CHANNEL: Join(on="", values=["s3://${DataBucket}/", P["EventsPrefix"], "/"]),
            **(inputs or {}),
        },
        outputs={c.TEAM_GAMES_CHANNEL: stable_uri(c.TEAM_GAMES_CHANNEL)},
        arguments=[*arguments, *options({"--max-bad-row-share": "MaxBadRowShare"})],
        machines=machines,
    )


def spark_step() -> JobStep:
    """The same on SageMaker's own Spark image, which knows nothing of us: an archive brings the code (pipeline.spark).

    Its hosts must talk to each other, so this is the one job without network isolation: for processing jobs that is
    documented as no network at all. What they say is encrypted. No text that an operator gives may reach the
    arguments: smspark-submit has not always quoted them for its shell.
    """
    return aggregate_step(
        "AggregateOnSpark",
        inputs={c.CODE_CHANNEL: "${SparkCodeUri}"},
        arguments=["--engine", "spark"],
        machines=Machines(
            image="${SparkImageUri}",
            entrypoint=("python3", f"{PROCESSING}/input/{c.CODE_CHANNEL}/${{SparkCodeFile}}"),
            count=P["AggregateInstanceCount"],
            volume_gb=SPARK_VOLUME_GB,
            max_runtime_seconds=SPARK_MAX_RUNTIME_SECONDS,
            network={"EnableNetworkIsolation": False, "EnableInterContainerTrafficEncryption": True},
        ),
    )


def train_step(prepare: JobStep) -> JobStep:
    """Walk-forward record and final model."""
    request = {
        "RoleArn": "${ExecutionRoleArn}",
        "AlgorithmSpecification": {
            "TrainingImage": "${ImageUri}",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": [*ENTRYPOINT, "train"],
        },
        "HyperParameters": {**hyperparameters(), "walk_forward_games": P["WalkForwardGames"].to_string()},
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
            "InstanceType": P["TrainInstanceType"],
            "InstanceCount": P["TrainingInstanceCount"],
            "VolumeSizeInGB": VOLUME_GB,
            "VolumeKmsKeyId": "${KmsKeyId}",
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": MAX_RUNTIME_SECONDS},
        "EnableNetworkIsolation": True,  # but for the job's own machines (API_CreateTrainingJob)
        "EnableInterContainerTrafficEncryption": True,  # changes nothing for one machine
        "Environment": {"CODE_VERSION": "${CodeVersion}"},
    }
    return JobStep("Train", StepTypeEnum.TRAINING, request, describe_shape="DescribeTrainingJobResponse")


def evaluate_step(prepare: JobStep, train: JobStep, evaluation: PropertyFile) -> JobStep:
    """Candidate, champion and baselines on the same games; writes the marker of the last evaluated candidate."""
    return processing_step(
        "Evaluate",
        inputs={
            c.MODEL_CHANNEL: train.properties.ModelArtifacts.S3ModelArtifacts,
            c.FEATURES_CHANNEL: output_of(prepare, c.FEATURES_CHANNEL),
            c.REPORT_CHANNEL: output_of(prepare, c.REPORT_CHANNEL),
            c.CHAMPION_CHANNEL: stable_uri(c.CHAMPION_CHANNEL),
        },
        outputs={
            c.EVALUATION_CHANNEL: run_uri("evaluate", c.EVALUATION_CHANNEL),
            c.EVALUATED_CHANNEL: stable_uri(c.EVALUATED_CHANNEL),
        },
        arguments=[
            *options({"--trigger": "TriggerReason"}),
            "--limits",
            *[Join(on="=", values=[name, P[name]]) for name in gates.GATE_PARAMETERS],
        ],
        environment={
            "CODE_VERSION": "${CodeVersion}",
            "GIT_REVISION": "${GitRevision}",
            "DEFINITION_HASH": "${DefinitionHash}",
        },
        property_files=[evaluation],
    )


def register_step(train: JobStep, evaluate: JobStep, evaluation: PropertyFile) -> JobStep:
    """A model package of the group, waiting for approval, with metrics and lineage."""

    def found(path: str) -> Any:
        return JsonGet(step_name=evaluate.name, property_file=evaluation, json_path=path).to_string()

    request = {
        "ModelPackageGroupName": "${ModelPackageGroupName}",
        "ModelPackageDescription": found("summary"),
        "ModelApprovalStatus": P["ApprovalStatus"],
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
            "log_loss": found("metrics.candidate.log_loss"),
            "calibration_error": found("metrics.candidate.calibration_error"),
            "accuracy": found("metrics.candidate.accuracy"),
            "n_games": found("metrics.candidate.n_games"),
            "champion_version": found("comparison.champion_version"),
            "difference_to_incumbent": found("comparison.difference.mean"),
            "difference_lower": found("comparison.difference.lower"),
            "difference_upper": found("comparison.difference.upper"),
            "report": Join(on="/", values=[output_of(evaluate, c.EVALUATION_CHANNEL), c.REPORT_FILE]),
            "execution": ExecutionVariables.PIPELINE_EXECUTION_ARN,
            "trigger": P["TriggerReason"],
            "training_instances": P["TrainingInstanceCount"].to_string(),
            "image": "${ImageUri}",
            "code_version": "${CodeVersion}",
            "git_revision": "${GitRevision}",
            "definition_hash": "${DefinitionHash}",
        },
    }
    return JobStep("Register", StepTypeEnum.REGISTER_MODEL, request, describe_shape="DescribeModelPackageOutput")


def condition(evaluate: JobStep, evaluation: PropertyFile, limit: gates.Limit) -> Condition:
    """A limit of pipeline.gates as a condition on evaluation.json."""
    kind = {"<=": ConditionLessThanOrEqualTo, ">=": ConditionGreaterThanOrEqualTo}[limit.operator]
    return kind(
        left=JsonGet(step_name=evaluate.name, property_file=evaluation, json_path=limit.path), right=P[limit.parameter]
    )


def build_steps() -> list[Step]:
    """The DAG of the module's docstring, from the end to the start because branches hold their steps."""
    prepared = PropertyFile(name="Prepared", output_name=c.REPORT_CHANNEL, path=c.PREPARED_FILE)
    evaluation = PropertyFile(name="Evaluation", output_name=c.EVALUATION_CHANNEL, path=c.EVALUATION_FILE)
    prepare = prepare_step(prepared)
    predict = processing_step(
        "Predict",
        inputs={
            c.UPCOMING_CHANNEL: output_of(prepare, c.UPCOMING_CHANNEL),
            c.FEATURES_CHANNEL: output_of(prepare, c.FEATURES_CHANNEL),
            c.REPORT_CHANNEL: output_of(prepare, c.REPORT_CHANNEL),
            c.CHAMPION_CHANNEL: stable_uri(c.CHAMPION_CHANNEL),
        },
        outputs={name: stable_uri(name) for name in (c.PREDICTIONS_CHANNEL, c.MONITOR_CHANNEL)},
    )
    train = train_step(prepare)
    evaluate = evaluate_step(prepare, train, evaluation)
    register = register_step(train, evaluate, evaluation)

    def no_champion() -> Condition:
        return ConditionEquals(
            left=JsonGet(step_name="Evaluate", property_file=evaluation, json_path=gates.CHAMPION_EXISTS_PATH),
            right=False,
        )

    promote = ConditionStep(
        name="Promote",
        conditions=[
            ConditionOr([no_champion(), condition(evaluate, evaluation, gates.NON_INFERIOR)]),
            ConditionOr(
                [
                    no_champion(),
                    condition(evaluate, evaluation, gates.BETTER),
                    condition(evaluate, evaluation, gates.OLD),
                ]
            ),
        ],
        if_steps=[register],
    )
    quality_gate = ConditionStep(
        name="QualityGate",
        conditions=[condition(evaluate, evaluation, limit) for limit in gates.QUALITY_LIMITS],
        if_steps=[promote],
        else_steps=[
            FailStep(
                name="QualityGateFailed",
                error_message=Join(
                    on=" ",
                    values=[
                        "The candidate is below the quality limits:",
                        JsonGet(step_name="Evaluate", property_file=evaluation, json_path="quality.reason"),
                    ],
                ),
            )
        ],
    )
    has_new_data = ConditionStep(
        name="HasNewData",
        conditions=[
            ConditionOr(
                [
                    ConditionEquals(
                        left=JsonGet(step_name="Prepare", property_file=prepared, json_path="has_new_data"), right=True
                    ),
                    ConditionEquals(left=P["ForceTraining"], right=True),
                ]
            )
        ],
        if_steps=[train, evaluate, quality_gate],
    )
    return [prepare, predict, has_new_data, events_step()]


def offline_session() -> PipelineSession:
    """A session that can compile and nothing else: `Pipeline` wants one, and its keys open nothing."""
    logging.getLogger("sagemaker.config").setLevel(logging.WARNING)  # it announces each file that it does not find
    keys = boto3.Session(region_name=REGION, aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106
    return PipelineSession(boto_session=keys, default_bucket="none")


def compile_definition() -> str:
    """definition.json's text: the same bytes each time."""
    pipeline = Pipeline(
        name="retraining",
        parameters=list(P.values()),
        pipeline_experiment_config=None,
        steps=build_steps(),
        sagemaker_session=offline_session(),
    )
    return json.dumps(json.loads(pipeline.definition()), indent=2) + "\n"


def compile_spark_images() -> str:
    """spark/images.json's text: repository and tag, and the account that holds them in each region.

    The tag is the one that the SDK takes for a version: AWS moves it to the newest image, which has the fixes.
    """
    version = image_uris.config_for_framework("spark")["processing"]["versions"][SPARK_VERSION]
    uri = image_uris.retrieve("spark", REGION, version=SPARK_VERSION, instance_type="ml.m5.xlarge")
    images = {
        "repository": version["repository"],
        "tag": uri.rpartition(":")[2],
        "accounts": dict(sorted(version["registries"].items())),
    }
    return json.dumps(images, indent=2) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write what is compiled; with `--check`, only say whether it is up to date (exit 1 if not)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m pipeline.definition [--check]\n")
        return 2
    stale = False
    for path, text in ((DEFINITION_FILE, compile_definition()), (SPARK_IMAGES_FILE, compile_spark_images())):
        if path.exists() and path.read_text(encoding="utf-8") == text:
            sys.stderr.write(f"{path.name} is up to date\n")
        elif arguments:
            stale = True
            sys.stderr.write(f"{path.name} is stale: run python -m pipeline.definition and commit the result\n")
        else:
            path.write_text(text, encoding="utf-8")
            sys.stderr.write(f"wrote {path.name} ({len(text):,} characters)\n")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
