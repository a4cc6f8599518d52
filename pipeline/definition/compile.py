"""The pipeline, compiled by the SageMaker SDK into definition.json.

    Prepare                  raw files -> validated rows -> features of labelled and upcoming rows; data report
    Predict                  the champion's predictions for the upcoming rows; monitor of champion, features, data
    HasNewData?              nothing new and not forced: nothing is trained
      |- Train               walk-forward predictions + final model
      `- Evaluate            candidate, champion and baseline on the same rows
    QualityGate?             every limit holds
      `- else QualityGateFailed    names metric, value and limit
    BeatsChampion?           every limit holds, and the candidate is good enough to replace the champion
      `- Register
    a workload's extra steps (its steps.py)

SageMaker takes no condition inside a condition, and no DependsOn on one. So all conditions are at the top level, and
QualityGate and BeatsChampion wait for Evaluate because they read what it wrote. Where HasNewData is false, Evaluate
never starts, so they never start either, and the run succeeds.

`python -m pipeline.definition` writes definition.json (`--check` only compares), without credentials or network, and
spark/images.json: what else the SDK knows, where SageMaker's Spark image lies in each region.
`${Name}` is a deployment constant, bound by CloudFormation in the cloud and by the
runner on a laptop. Each step (model_steps.py, a workload's steps.py) is the plain request of its API call: nothing
hidden in the SDK's defaults can change it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pipeline.definition.job_requests import REGION, Variables  # isort: skip - sets what the SDK reads when it is imported

import boto3
from sagemaker.core.workflow.conditions import (
    Condition,
    ConditionEquals,
    ConditionGreaterThanOrEqualTo,
    ConditionLessThanOrEqualTo,
    ConditionOr,
)
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import Step

from pipeline.contract import gates
from pipeline.contract import names as c
from pipeline.contract.code_version import definition_file
from pipeline.contract.rules.calls import WorkloadError
from pipeline.contract.spec import Limit
from pipeline.contract.workload import Workload, load_workload, workload_names
from pipeline.definition.model_steps import evaluate_step, predict_step, prepare_step, register_step, train_step

_KINDS: Final = {"<=": ConditionLessThanOrEqualTo, ">=": ConditionGreaterThanOrEqualTo}


def build_steps(workload: Workload, v: Variables) -> list[Step]:
    prepared = PropertyFile(name="Prepared", output_name=c.REPORT_CHANNEL, path=c.PREPARED_FILE)
    evaluation = PropertyFile(name="Evaluation", output_name=c.EVALUATION_CHANNEL, path=c.EVALUATION_FILE)
    prepare = prepare_step(v, prepared)
    predict = predict_step(v, prepare)
    train = train_step(v, prepare)
    evaluate = evaluate_step(v, prepare, train, evaluation)

    def evaluated(path: str) -> JsonGet:
        return JsonGet(step_name=evaluate.name, property_file=evaluation, json_path=path)

    def holds(limit: Limit) -> Condition:
        """A limit of pipeline.contract.gates as a condition on evaluation.json."""
        return _KINDS[limit.operator](left=evaluated(limit.path), right=v[limit.parameter])

    def no_champion() -> Condition:
        return ConditionEquals(left=evaluated(gates.CHAMPION_EXISTS_PATH), right=c.NO)

    def quality() -> list[Condition]:
        return [holds(limit) for limit in gates.quality_limits(workload.spec)]

    is_new = JsonGet(step_name=prepare.name, property_file=prepared, json_path="has_new_data")
    wanted = [ConditionEquals(left=is_new, right=c.YES), ConditionEquals(left=v["ForceTraining"], right=c.YES)]
    has_new_data = ConditionStep(name="HasNewData", conditions=[ConditionOr(wanted)], if_steps=[train, evaluate])
    reason = ["The candidate is below the quality limits:", evaluated("quality.reason")]
    failed = FailStep(name="QualityGateFailed", error_message=Join(on=" ", values=reason))
    quality_gate = ConditionStep(name="QualityGate", conditions=quality(), else_steps=[failed])
    beats_champion = ConditionStep(
        name="BeatsChampion",
        conditions=[
            *quality(),  # QualityGate fails the run at the same time, and that must not be a race with Register
            ConditionOr([no_champion(), holds(gates.NON_INFERIOR)]),
            ConditionOr([no_champion(), holds(gates.BETTER), holds(gates.OLD)]),
        ],
        if_steps=[register_step(v, train, evaluate, evaluation)],
    )
    steps = workload.module("steps")
    extra = steps.extra_steps(v) if steps else []
    return [prepare, predict, has_new_data, quality_gate, beats_champion, *extra]


def offline_session() -> PipelineSession:
    """A session that can compile and nothing else: `Pipeline` wants one, and its keys open nothing."""
    logging.getLogger("sagemaker.config").setLevel(logging.WARNING)  # it announces each file that it does not find
    keys = boto3.Session(region_name=REGION, aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106
    return PipelineSession(boto_session=keys, default_bucket="none")


def compile_definition(workload: Workload) -> str:
    """definition.json's text: the same bytes each time."""
    v = Variables(workload.spec)
    pipeline = Pipeline(
        name="retraining",
        parameters=v.all,
        pipeline_experiment_config=None,
        steps=build_steps(workload, v),
        sagemaker_session=offline_session(),
    )
    definition = json.loads(pipeline.definition())
    # The SDK writes keys that it has no value for; the service's parser refuses what it does not know.
    given = {key: value for key, value in definition.items() if value is not None}
    return json.dumps(given, indent=2) + "\n"


def compiled_files(workload: Workload) -> dict[Path, str]:
    """What is committed beside the workload: its definition, and what its extra steps need of the SDK."""
    steps = workload.module("steps")
    more = getattr(steps, "compiled_files", dict[Path, str])()
    return {definition_file(workload.spec.name): compile_definition(workload), **more}


def main(argv: Sequence[str] | None = None) -> int:
    """Write what is compiled for every workload; with `--check`, only say whether it is up to date (exit 1 if not).

    A workload that breaks a rule of its folder is named, and the exit code is 1.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m pipeline.definition [--check]\n")
        return 2
    stale = False
    for name in workload_names():
        try:
            files = compiled_files(load_workload(name))
        except WorkloadError as error:
            sys.stderr.write(f"{error}\n")
            stale = True
            continue
        for path, text in files.items():
            stale |= _write(f"{name}/{path.name}", path, text, check=bool(arguments))
    return int(stale)


def _write(shown: str, path: Path, text: str, *, check: bool) -> bool:
    """Whether the file is stale and stays so."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        sys.stderr.write(f"{shown} is up to date\n")
        return False
    if check:
        sys.stderr.write(f"{shown} is stale: run python -m pipeline.definition and commit the result\n")
        return True
    path.write_text(text, encoding="utf-8")
    sys.stderr.write(f"wrote {shown} ({len(text):,} characters)\n")
    return False
