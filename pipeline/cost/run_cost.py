"""Dollars and instance hours of a run: the jobs of definition.json, their measured seconds and the price table.

    from pipeline.cost.run_cost import default_run_costs

    costs = default_run_costs()
    costs.without_training.dollars, costs.without_training.instance_hours    # the steps of every run
    costs.with_training.dollars, costs.with_training.instance_hours          # and those behind HasNewData

Standard library only, no clock, no network: the same inputs give the same numbers. The fixed
monthly cost (keys, alarms, ...) is not included: `python -m scripts.estimate_cost` adds it.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.contract.workload import default_workload, read_definition
from pipeline.cost.prices import SECONDS_A_MONTH, Prices, load_prices

NEEDS_FILE: Final = Path(__file__).with_name("job_needs.json")
# What SageMaker bills of a job before our program begins: the download of image and data, but not the wait for a
# instance ("You are billed for the time interval between this time and the value of TrainingEndTime", of
# TrainingStartTime in DescribeTrainingJob; "Customer's are not charged for provisioning hardware",
# sagemaker-python-sdk PR 30; a processing job of 7 min 36 s was billed 5 min 46 s, 2026-07). Whole jobs of a few
# seconds' work were billed 54 s (own image of some hundred MB, ml.m5.large, 2026-02) and 135 s (AWS's larger XGBoost
# image, ml.m5.large, 2024-11), by public logs. The slower one, rounded up: ours was not measured.
STARTUP_SECONDS: Final = 150.0
# If all of the waiting were billed: a 30 s job that took 8 min 17 s in all (sagemaker-python-sdk issue 4358, 2024-01).
SLOW_STARTUP_SECONDS: Final = 467.0
# Units of the price table; generous counts, because together they are a tenth of a run.
# A run: the workflow that starts it (14 states at most), one start by the schedule, and what the steps print.
REQUESTS_OF_A_RUN: Final = {"workflow_transitions_1k": 0.014, "scheduler_million": 1e-6, "log_ingestion_gb": 1e-4}
# A job: its files one by one (at most 20 each way, and listings), and the data keys of files and volume.
REQUESTS_OF_A_JOB: Final = {"s3_writes_1k": 0.02, "s3_reads_1k": 0.04, "key_requests_10k": 0.005}
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "Equals": operator.eq,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThanOrEqualTo": operator.le,
}


@dataclass(frozen=True)
class PipelineJob:
    """A job of the pipeline. `always`: every run has it; the others only where a condition holds."""

    step: str
    kind: str  # processing, training
    instance: str
    count: int
    volume_gb: int
    always: bool


@dataclass(frozen=True)
class JobCost:
    """The cost of one job. Seconds are of one instance: those of our program, and those that are billed."""

    job: PipelineJob
    work_seconds: float
    billed_seconds: float
    instance_dollars: float
    volume_dollars: float

    @property
    def dollars(self) -> float:
        return self.instance_dollars + self.volume_dollars


@dataclass(frozen=True)
class RunCost:
    """The cost of one run: its jobs, and requests and log lines."""

    jobs: tuple[JobCost, ...]
    request_dollars: float

    @property
    def dollars(self) -> float:
        return sum(job.dollars for job in self.jobs) + self.request_dollars

    @property
    def instance_hours(self) -> float:
        """Billed hours of all instances."""
        return sum(job.billed_seconds * job.job.count for job in self.jobs) / 3600


@dataclass(frozen=True)
class RunCosts:
    without_training: RunCost
    with_training: RunCost


def jobs(definition: Mapping[str, Any]) -> tuple[PipelineJob, ...]:
    """The jobs of a definition in its order, with the defaults of its parameters."""
    defaults = {parameter["Name"]: parameter["DefaultValue"] for parameter in definition["Parameters"]}
    return tuple(_walk(definition["Steps"], defaults, always=True))


def _walk(steps: list[Mapping[str, Any]], defaults: Mapping[str, Any], *, always: bool) -> Iterator[PipelineJob]:
    for step in steps:
        arguments = step.get("Arguments", {})
        if step["Type"] == "Condition":
            branch, decided = _branch(arguments, defaults)
            yield from _walk(branch, defaults, always=always and decided)
        elif step["Type"] in ("Processing", "Training"):
            resources = arguments.get("ProcessingResources")
            cluster = resources["ClusterConfig"] if resources else arguments["ResourceConfig"]
            instance, count, volume = (
                _value(cluster[key], defaults) for key in ("InstanceType", "InstanceCount", "VolumeSizeInGB")
            )
            yield PipelineJob(step["Name"], step["Type"].lower(), str(instance), int(count), int(volume), always)


def _branch(arguments: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], bool]:
    """The steps that may run, and whether that is decided: it is where parameters alone say which."""
    then, otherwise = arguments["IfSteps"], arguments["ElseSteps"]
    try:
        return (then if all(_holds(c, defaults) for c in arguments["Conditions"]) else otherwise), True
    except KeyError:  # a run's results decide, or a condition of another kind
        return then + otherwise, False


def _holds(condition: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
    """What a condition says with the parameters' defaults; raises KeyError where these do not decide."""
    if condition["Type"] == "Or":
        return any(_holds(part, defaults) for part in condition["Conditions"])
    left, right = (_value(condition.get(side), defaults) for side in ("LeftValue", "RightValue"))
    return bool(_COMPARISONS[condition["Type"]](left, right))


def _value(node: Any, defaults: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    return defaults[node.get("Get", "").removeprefix("Parameters.")] if isinstance(node, Mapping) else node


def job_cost(job: PipelineJob, seconds: float, prices: Prices, startup_seconds: float = STARTUP_SECONDS) -> JobCost:
    """What a job costs that takes `seconds` on the measuring machine.

    Its seconds elsewhere are those divided by the speed (`pipeline.cost.prices.InstanceType`): our programs keep
    about one core busy, and more vCPUs would not shorten them. Several instances are each billed for as long as one
    takes: they share the work, but how evenly is not known, and with our seconds the start-up is the cost. Raises
    PriceError for an instance type without a price.
    """
    instance, storage = prices.instance(job.instance), prices[f"{job.kind}_storage_gb_month"]
    work = seconds / instance.speed
    billed = startup_seconds + work
    return JobCost(
        job=job,
        work_seconds=work,
        billed_seconds=billed,
        instance_dollars=job.count * billed / 3600 * instance.price(job.kind).usd,
        volume_dollars=job.count * job.volume_gb * billed / SECONDS_A_MONTH * storage.usd,
    )


def run_costs(
    definition: Mapping[str, Any],
    seconds: Mapping[str, float],
    prices: Prices,
    startup_seconds: float = STARTUP_SECONDS,
) -> RunCosts:
    """A run without and with training; `seconds` gives each job step's seconds on the measuring machine.

    Raises KeyError with the step's name when its seconds are missing, PriceError for an instance type without a price.
    """
    costs = [job_cost(job, seconds[job.step], prices, startup_seconds) for job in jobs(definition)]
    return RunCosts(
        without_training=total_cost([c for c in costs if c.job.always], prices), with_training=total_cost(costs, prices)
    )


def total_cost(costs: Sequence[JobCost], prices: Prices) -> RunCost:
    run = sum(units * prices[unit].usd for unit, units in REQUESTS_OF_A_RUN.items())
    job = sum(units * prices[unit].usd for unit, units in REQUESTS_OF_A_JOB.items())
    return RunCost(tuple(costs), run + sum(cost.job.count for cost in costs) * job)  # each instance fetches its files


@dataclass(frozen=True)
class JobNeeds:
    """What a step's program needs, measured on the reference workload: wall and CPU seconds, memory and disk in MiB."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    disk_mib: float


def measured_needs(path: Path = NEEDS_FILE) -> dict[str, JobNeeds]:
    """The committed measurement, by step; `python -m benchmarks.job_needs --write` writes it again."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return {step: JobNeeds(**needs) for step, needs in content["steps"].items()}


def measured_seconds() -> dict[str, float]:
    """CPU seconds of each step in the committed measurement.

    Not the wall's: the programs keep one core busy, and wait only for neighbours that an instance does not have.
    """
    return {step: needs.cpu_seconds for step, needs in measured_needs().items()}


def default_run_costs(startup_seconds: float = STARTUP_SECONDS, workload: str | None = None) -> RunCosts:
    """A run without and with training, for the committed definition, measurement and prices."""
    definition = read_definition(workload or default_workload())
    return run_costs(definition, measured_seconds(), load_prices(), startup_seconds)
