"""Estimate what a run, a month and a year cost for the settings in cdk.json, with no account and no network.

python -m scripts.estimate_cost -c env=prod
python -m scripts.estimate_cost -c env=prod -c instance_types=Train=ml.t3.medium --startup-seconds 467
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from pipeline.contract.workload import WORKLOAD_KEY, WORKLOAD_VARIABLE, default_workload, load_spec
from pipeline.cost.estimate import Estimate, estimate
from pipeline.cost.fixed_costs import SERVERLESS, CostItem, EndpointSize, endpoint_item, resource_items, usage_items
from pipeline.cost.prices import PriceError, Prices, load_prices
from pipeline.cost.run_cost import (
    SLOW_STARTUP_SECONDS,
    STARTUP_SECONDS,
    jobs,
    measured_needs,
    measured_seconds,
    run_costs,
)
from pipeline.local import local_deployment
from pipeline.local.store.run_record import SUCCEEDED, recent_runs
from pipeline.local.store.store import Store
from scripts.output.command_line import FOLDER, Number, command, json_option
from scripts.output.cost import EstimateBasis, as_object, page

# Settings that change no price.
ANY: Final = (
    f"image_uri=000000000000.dkr.ecr.us-east-1.amazonaws.com/any@sha256:{'0' * 64}",
    "alert_emails=any@example.com",
)
DATA_GIB: Final = 0.01  # 76 years of the reference workload are 5 MiB
IMAGE_GIB: Final = 0.3
EMAILS_A_MONTH: Final = 20
REQUESTS_A_MONTH: Final = 10_000.0
METRIC_HOURS: Final = 90.0  # once a day, when a candidate was evaluated, when a version is registered or approved


@command
@click.option(
    "-c",
    "--context",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting, as for `npx cdk deploy`: -c env=prod, -c instance_types=Train=ml.m5.xlarge, ...",
)
@click.option(
    "--startup-seconds",
    type=Number(0, 3600),
    default=STARTUP_SECONDS,
    help="Seconds that SageMaker bills of each job before our program begins. "
    f"{SLOW_STARTUP_SECONDS:.0f}: the whole of a slow start.",
)
@click.option(
    "--seconds-from",
    type=click.Choice(["auto", "local-run", "committed"]),
    default="auto",
    help="Seconds of the programs: of the last local run, of the committed measurement, or (auto) of the first where "
    "it has a step, else of the second.",
)
@click.option("--store", type=FOLDER, help="Store of the local run. Default: the last used.")
@click.option("--image-gib", type=Number(0), default=IMAGE_GIB, help="Size of the image in ECR.")
@click.option("--endpoint", metavar="KIND", help="Estimate another one: serverless, or a type such as ml.m5.large.")
@click.option("--requests", type=Number(0), default=REQUESTS_A_MONTH, help="A month, where serverless.")
@json_option
def main(
    settings: tuple[str, ...],
    startup_seconds: float,
    seconds_from: str,
    store: Path | None,
    image_gib: float,
    endpoint: str | None,
    requests: float,
    as_json: bool,
) -> None:
    """Estimate the cost: a run with and without training, the fixed monthly cost, and the spans of the workload.

    List prices of us-east-1 from pipeline/cost/prices.json, before free tiers and taxes. Needs Node for the synthesis.
    Exit code 0; 2 for a setting that cannot be used, an instance type without a price, or a missing local run.
    """
    if not (os.environ.get("JSII_NODE") or shutil.which("node")):
        raise click.UsageError("the synthesis needs Node, and there is none: install version 22 or newer (nodejs.org)")
    stack = synthesise(settings)
    seconds, origin = find_seconds(stack.definition, seconds_from, store)
    prices = load_prices()
    asked = replace(stack.endpoint, kind=endpoint, count=1) if endpoint else stack.endpoint
    served = [endpoint_item(prices, asked, requests)] if asked.kind else []
    found = cost_estimate(stack, seconds, prices, served, startup_seconds=startup_seconds, image_gib=image_gib)
    basis = EstimateBasis(stack.pipeline, stack.enabled, prices, origin, startup_seconds)
    click.echo(json.dumps(as_object(found, basis), indent=2) if as_json else "\n".join(page(found, basis)))


@dataclass(frozen=True)
class SynthesizedStack:
    """The stack of the settings: its template, the definition, and how often the schedule starts a run."""

    pipeline: str
    enabled: bool
    runs_a_day: float
    run_retention_days: int
    endpoint: EndpointSize
    template: Mapping[str, Any]
    definition: Mapping[str, Any]


def synthesise(given: Sequence[str]) -> SynthesizedStack:
    """Synthesise the stack with `-c` settings over cdk.json's; raises SettingError."""
    os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "18,20")
    from app import build, read_context  # noqa: PLC0415
    from infra.settings.schedule_expression import runs_a_day  # noqa: PLC0415
    from infra.settings.settings import Settings  # noqa: PLC0415
    from infra.training.definition import deployed_definition  # noqa: PLC0415

    context = read_context([*ANY, f"{WORKLOAD_KEY}={default_workload()}", *given])
    settings = Settings.from_context(context)
    os.environ[WORKLOAD_VARIABLE] = settings.workload  # whose store and spans are looked at
    with tempfile.TemporaryDirectory() as folder:
        build(context, folder).synth()
        (template,) = Path(folder).glob("*.template.json")
        return SynthesizedStack(
            pipeline=settings.pipeline_name,
            enabled=settings.enabled,
            runs_a_day=runs_a_day(settings.schedule) if settings.enabled else 0.0,
            run_retention_days=settings.run_retention_days,
            endpoint=EndpointSize(
                kind={"serverless": SERVERLESS, "instance": settings.serving_instance_type}.get(settings.serving, ""),
                memory_gib=settings.serving_memory_mb / 1024,
                count=settings.serving_instance_count,
            ),
            template=json.loads(template.read_text(encoding="utf-8")),
            definition=deployed_definition(settings),
        )


def find_seconds(definition: Mapping[str, Any], wanted: str, store: Path | None) -> tuple[dict[str, float], str]:
    """Each job's seconds on the measuring machine, and their origin.

    Raises PriceError for a step without any, or without those that are wanted.
    """
    committed, store = measured_seconds(), store or local_deployment.last_store()
    local = {} if wanted == "committed" else last_seconds(store)
    missing = [job.step for job in jobs(definition) if job.step not in local]
    if wanted == "local-run" and missing:
        raise PriceError(
            f"no local run in {store} ran {', '.join(missing)} from beginning to end: "
            "make run ARGS='--no-cache --param ForceTraining=yes'"
        )
    if unknown := [step for step in missing if step not in committed]:
        raise PriceError(f"{', '.join(unknown)} was never measured: python -m benchmarks.job_needs --write")
    origin = "the committed measurement on the reference workload (pipeline/cost/job_needs.json)"
    if local:
        origin = f"the last local runs in {store}" + (f", for {', '.join(missing)} {origin}" if missing else "")
    return {**committed, **local}, origin


def last_seconds(folder: Path) -> dict[str, float]:
    """Seconds of each job in the newest run of a store that ran it: neither cached nor reused."""
    if not (folder / "runs").is_dir():
        return {}
    found: dict[str, float] = {}
    for run in recent_runs(Store(folder), 20):
        for step in run.steps:
            if step.job_name and step.status == SUCCEEDED and not step.cached and not step.reused:
                found.setdefault(step.name, step.seconds)
    return found


def cost_estimate(
    stack: SynthesizedStack,
    seconds: Mapping[str, float],
    prices: Prices,
    served: Sequence[CostItem],
    *,
    startup_seconds: float,
    image_gib: float,
) -> Estimate:
    """The estimate; raises PriceError for an instance type or a resource without a price."""
    from infra.approval.function import monitor_metrics  # noqa: PLC0415 - boto3 is not imported for --help
    from infra.approval.function.metrics import METRICS, ROLES  # noqa: PLC0415

    needs = measured_needs()
    # An upper bound: all files of runs that have not expired, if every run trained; what only ran locally has none.
    kept_mib = sum(needs[job.step].disk_mib for job in jobs(stack.definition) if job.step in needs) * stack.runs_a_day
    fixed_costs = [
        *served,
        *resource_items(stack.template, prices),
        *usage_items(
            prices,
            custom_metrics=(len(METRICS) + 1) * len(ROLES) + 1 + len(monitor_metrics.ALL),
            metric_hours=METRIC_HOURS,
            stored_gib=DATA_GIB + kept_mib / 1024 * stack.run_retention_days,
            image_gib=image_gib,
            emails=EMAILS_A_MONTH,
        ),
    ]
    defaults = {parameter["Name"]: parameter["DefaultValue"] for parameter in stack.definition["Parameters"]}
    return estimate(
        run_costs(stack.definition, seconds, prices, startup_seconds),
        [line for line in fixed_costs if line.dollars > 0],
        stack.runs_a_day,
        float(defaults["MinDaysBetweenTrainings"]),
        spans=load_spec(default_workload()).spans,
    )


if __name__ == "__main__":
    main()
