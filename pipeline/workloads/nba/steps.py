"""The steps for play-by-play, of which at most one runs: Aggregate on one instance, AggregateOnSpark on a cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sagemaker.core import image_uris
from sagemaker.core.workflow.conditions import (
    Condition,
    ConditionEquals,
    ConditionGreaterThanOrEqualTo,
    ConditionLessThanOrEqualTo,
    ConditionOr,
)
from sagemaker.core.workflow.functions import Join
from sagemaker.mlops.workflow.condition_step import ConditionStep

from pipeline.contract import names as c
from pipeline.definition.job_requests import (
    PROCESSING,
    REGION,
    Instances,
    JobStep,
    Variables,
    processing_step,
    stable_output,
)
from pipeline.workloads.nba.columns import TEAM_GAMES_CHANNEL
from pipeline.workloads.nba.spec import SPEC

# A hundred seasons of event files (3.4 GB), and what DuckDB writes to disk of them (docs/scaling.md).
AGGREGATE_VOLUME_GB: Final = 20
# Each instance of the cluster holds all event files, and what Spark spills.
SPARK_VOLUME_GB: Final = 100
SPARK_VERSION: Final = "3.5"  # the newest that SageMaker has an image of, and that of pyspark in requirements.in
SPARK_MAX_RUNTIME_SECONDS: Final = 3 * 3600
(EVENTS,) = SPEC.inputs
LIMITS: Final = {"--max-bad-row-share": "MaxBadRowShare", "--max-bad-row-share-of-file": "MaxBadRowShareOfFile"}


def extra_steps(v: Variables) -> list[ConditionStep]:
    """Aggregate or AggregateOnSpark, where there is play-by-play: on one instance, or on a cluster.

    Each is the else side of a condition that says when it is left out: the service has no nested conditions, and `Not`
    is in no schema of its definitions.

    SageMaker cannot rejoin after a condition (sagemaker-python-sdk #3565): a step that waits for one in a branch is
    left out with it. So nothing waits for them; they write to a stable prefix, which the next run's Prepare reads.
    """
    instances = v["AggregateInstanceCount"]

    def unless(name: str, reason: Condition, step: JobStep) -> ConditionStep:
        no_events = ConditionEquals(left=v["EventsPrefix"], right=c.NO_FOLDER)
        return ConditionStep(name=name, conditions=[ConditionOr([no_events, reason])], if_steps=[], else_steps=[step])

    return [
        unless(
            "NoAggregate",
            ConditionGreaterThanOrEqualTo(left=instances, right=2),
            aggregate_step(v, "Aggregate", instances=Instances(volume_gb=AGGREGATE_VOLUME_GB)),
        ),
        unless("NoSpark", ConditionLessThanOrEqualTo(left=instances, right=1), spark_step(v)),
    ]


def aggregate_step(
    v: Variables,
    name: str,
    *,
    inputs: Mapping[str, Any] | None = None,
    arguments: Sequence[Any] = (),
    instances: Instances,
) -> JobStep:
    """Play-by-play to one row a team and game."""
    return processing_step(
        v,
        name,
        inputs={
            EVENTS.channel: Join(on="", values=["s3://${DataBucket}/", v[EVENTS.parameter], "/"]),
            **(inputs or {}),
        },
        outputs={TEAM_GAMES_CHANNEL: stable_output(TEAM_GAMES_CHANNEL)},
        arguments=[*arguments, *v.options(LIMITS)],
        instances=instances,
    )


def spark_step(v: Variables) -> JobStep:
    """The same on SageMaker's own Spark image, which knows nothing of us: an archive brings the code
    (pipeline.workloads.nba.spark).

    Its hosts must talk to each other, so this is the one job without network isolation: for processing jobs that is
    documented as no network at all. What they say is encrypted. No text that an operator gives may reach the
    arguments: smspark-submit has not always quoted them for its shell.
    """
    return aggregate_step(
        v,
        "AggregateOnSpark",
        inputs={c.CODE_CHANNEL: "${SparkCodeUri}"},
        arguments=["--engine", "spark"],
        instances=Instances(
            image="${SparkImageUri}",
            entrypoint=("python3", f"{PROCESSING}/input/{c.CODE_CHANNEL}/${{SparkCodeFile}}"),
            count=v["AggregateInstanceCount"],
            volume_gb=SPARK_VOLUME_GB,
            max_runtime_seconds=SPARK_MAX_RUNTIME_SECONDS,
            network={"EnableNetworkIsolation": False, "EnableInterContainerTrafficEncryption": True},
        ),
    )


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


def compiled_files() -> dict[Path, str]:
    """What else is committed beside definition.json."""
    return {Path(__file__).with_name("spark") / "images.json": compile_spark_images()}
