"""Starts a run as a check, follows it to its end, and sends a second request with its token."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Final

from scripts.deployment.check_result import FAILED, OK, WARNING, CheckResult
from scripts.deployment.deployed_environment import DeployedEnvironment
from scripts.output.execution import SUCCEEDED, UNFINISHED, again, duration
from scripts.start_execution import cost_refusal, follow

REASON: Final = "check"


def run(environment: DeployedEnvironment, interval: float) -> Iterator[CheckResult]:
    """Start a run, ask again with its token and another parameter, and follow it to its end."""
    deployed, token = environment.deployed, str(uuid.uuid4())
    for other in environment.runs:
        if other["PipelineExecutionStatus"] in UNFINISHED:
            arn = other["PipelineExecutionArn"]
            reason = f"{arn.rsplit('/', 1)[-1]} is still running: no other was started"
            yield CheckResult("run", FAILED, reason, deployed.show_command(arn))
            return
    if refused := cost_refusal(deployed, deployed.definition(), ()):
        yield CheckResult("run", FAILED, f"not started: {refused}", "python -m scripts.estimate_cost")
        return
    del environment.runs  # what was read before it starts

    def start(reason: str) -> str:
        answer = deployed.client.start_pipeline_execution(
            PipelineName=deployed.name,
            ClientRequestToken=token,
            PipelineParameters=[{"Name": "TriggerReason", "Value": reason}],
        )
        return str(answer["PipelineExecutionArn"])

    arn = start(REASON)
    try:
        second = start(f"{REASON} again")
    except deployed.client.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        yield CheckResult("request token", OK, f"the same token with another parameter is refused ({code})")
    else:
        yield _token(environment, arn, second)
    try:
        execution = follow(deployed, arn, interval)
    except KeyboardInterrupt:
        show = deployed.show_command(arn)
        yield CheckResult("run", WARNING, f"{arn.rsplit('/', 1)[-1]} still runs: it was not followed to its end", show)
        return
    ident, took = arn.rsplit("/", 1)[-1], duration(execution.started, execution.changed)
    if execution.status == SUCCEEDED:
        yield CheckResult("run", OK, f"{ident} Succeeded after {took}")
        return
    failed = next((step for step in execution.steps if step.status == "Failed"), None)
    reason = f"step {failed.name}: {failed.reason}" if failed else execution.reason or "no step has a reason"
    yield CheckResult("run", FAILED, f"{ident} {execution.status} after {took}: {reason}", again(execution, deployed))


def _token(environment: DeployedEnvironment, first: str, second: str) -> CheckResult:
    """Two deliveries of one request must be one run; a second one is stopped."""
    if second == first:
        return CheckResult("request token", OK, "the same token with another parameter starts no second run")
    environment.deployed.client.stop_pipeline_execution(
        PipelineExecutionArn=second, ClientRequestToken=str(uuid.uuid4())
    )
    reason = f"the same token with another parameter started a second run, {second.rsplit('/', 1)[-1]} (stopped)"
    return CheckResult(
        "request token", FAILED, reason, "infra/triggers/single_run_workflow.py: put the parameters into the token"
    )
