"""The stack and the definition: did the last deploy succeed, and is the deployed definition that of this checkout?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pipeline.contract.code_version import definition_file
from pipeline.definition.service_rules import check_definition
from scripts.deployment.check_result import FAILED, OK, WARNING, CheckResult
from scripts.deployment.deployed_environment import DeployedEnvironment


def stack(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """The stack's status."""
    found = environment.stack
    status, deploy = found["StackStatus"], environment.deploy
    when = f"{found.get('LastUpdatedTime') or found['CreationTime']:%Y-%m-%d %H:%M} UTC"
    if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        yield CheckResult("stack", OK, f"{environment.name} in {environment.deployed.region} is {status} since {when}")
    elif status.endswith("_IN_PROGRESS"):
        yield CheckResult("stack", WARNING, f"{environment.name} is {status}", "check again when the deploy has ended")
    else:
        reason = f"{environment.name} is {status}: {found.get('StackStatusReason', 'see its events')}"
        yield CheckResult("stack", FAILED, reason, deploy)


def definition(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """SageMaker's rules, applied to the definition as it is deployed, and the checkout that it came from."""
    for found in check_definition(environment.definition):
        yield CheckResult("definition", FAILED, str(found), environment.deploy)
    tags = environment.deployed.client.list_tags(ResourceArn=environment.deployed.arn)["Tags"]
    deployed = next((tag["Value"] for tag in tags if tag["Key"] == "definition-hash"), "unknown")
    ours = hashlib.sha256(definition_file(environment.workload).read_bytes()).hexdigest()
    if deployed != ours:
        yield CheckResult(
            "definition",
            WARNING,
            f"deployed is definition {deployed[:12]}, this checkout has {ours[:12]}",
            f"{environment.deploy}, or git checkout the revision that the tag git-revision names",
        )
    else:
        yield CheckResult("definition", OK, f"{ours[:12]}, as in this checkout, and SageMaker's rules hold")
