"""The steps for play-by-play, of which at most one runs: Aggregate on one machine, AggregateOnSpark on a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

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
from pipeline.definition.job_requests import PROCESSING, JobStep, Machines, P, options, processing_step, stable_output

# A hundred seasons of event files (3.4 GB), and what DuckDB writes to disk of them (docs/scaling.md).
AGGREGATE_VOLUME_GB: Final = 20
# Each machine of the cluster holds all event files, and what Spark spills.
SPARK_VOLUME_GB: Final = 100
SPARK_MAX_RUNTIME_SECONDS: Final = 3 * 3600
LIMITS: Final = {"--max-bad-row-share": "MaxBadRowShare", "--max-bad-row-share-of-file": "MaxBadRowShareOfFile"}


def event_steps() -> list[ConditionStep]:
    """Aggregate or AggregateOnSpark, where there is play-by-play: on one instance, or on a cluster.

    Each is the else side of a condition that says when it is left out: the service has no nested conditions, and `Not`
    is in no schema of its definitions.

    SageMaker cannot rejoin after a condition (sagemaker-python-sdk #3565): a step that waits for one in a branch is
    left out with it. So nothing waits for them; they write to a stable prefix, which the next run's Prepare reads.
    """
    instances = P["AggregateInstanceCount"]

    def unless(name: str, reason: Condition, step: JobStep) -> ConditionStep:
        no_events = ConditionEquals(left=P["EventsPrefix"], right=c.NO_EVENTS)
        return ConditionStep(name=name, conditions=[ConditionOr([no_events, reason])], if_steps=[], else_steps=[step])

    return [
        unless(
            "NoAggregate",
            ConditionGreaterThanOrEqualTo(left=instances, right=2),
            aggregate_step("Aggregate", machines=Machines(volume_gb=AGGREGATE_VOLUME_GB)),
        ),
        unless("NoSpark", ConditionLessThanOrEqualTo(left=instances, right=1), spark_step()),
    ]


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
        outputs={c.TEAM_GAMES_CHANNEL: stable_output(c.TEAM_GAMES_CHANNEL)},
        arguments=[*arguments, *options(LIMITS)],
        machines=machines,
    )


def spark_step() -> JobStep:
    """The same on SageMaker's own Spark image, which knows nothing of us: an archive brings the code
    (pipeline.workloads.nba.spark).

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
