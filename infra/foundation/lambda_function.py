"""A Lambda function with its own role and log group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.foundation.permissions import acknowledge, allow, service_principal
from infra.foundation.removal import removal
from infra.settings.settings import Settings

ROOT: Final = Path(__file__).resolve().parents[2]
SHARED_FOLDERS: Final = ("infra/lambda_shared", "pipeline/contract", "pipeline/cost")  # what every function may import


@dataclass(frozen=True)
class LambdaFunction:
    """The function, its execution role and its log group."""

    function: lambda_.Function
    role: iam.Role
    log_group: logs.LogGroup


def lambda_function(
    scope: Construct,
    *,
    settings: Settings,
    key: kms.IKey,
    handler: str,
    description: str,
    role_description: str,
    timeout: cdk.Duration,
    environment: Mapping[str, str] | None = None,
    **options: Any,  # noqa: ANN401 - what lambda_.Function takes
) -> LambdaFunction:
    """`handler` (module.function) as a function whose role may only write its log: grant it the rest."""
    log_group = logs.LogGroup(scope, "Log", encryption_key=key, removal_policy=removal(settings))
    log: logs.CfnLogGroup = log_group.node.default_child  # type: ignore[assignment]
    log.retention_in_days = settings.log_retention_days  # CDK's enumeration cannot be made from a number
    role = iam.Role(scope, "Role", assumed_by=service_principal("lambda"), description=role_description)
    allow(
        role,
        ["logs:CreateLogStream", "logs:PutLogEvents"],
        [log_group.log_group_arn],  # it ends in :*, its streams
        why="Lambda generates the names of log streams.",
    )
    function = lambda_.Function(
        scope,
        "Function",
        description=description,
        runtime=lambda_.Runtime.PYTHON_3_13,
        architecture=lambda_.Architecture.ARM_64,
        handler=handler,
        code=handler_code(),
        environment=dict(environment or {}),
        role=role.without_policy_updates(),  # CDK adds no statement to it
        timeout=timeout,
        memory_size=256,
        log_group=log_group,
        **options,
    )
    acknowledge(function, "AwsSolutions-L1", "Python 3.13 is the newest version that the project supports.")
    return LambdaFunction(function, role, log_group)


def handler_code() -> lambda_.Code:
    """The handlers with the shared rules that they use, and nothing else; boto3 comes with the runtime."""
    return lambda_.Code.from_asset(
        str(ROOT),
        exclude=asset_patterns(),
        ignore_mode=cdk.IgnoreMode.DOCKER,
    )


def asset_patterns() -> list[str]:
    """Exclusions in the syntax of .dockerignore: everything but the folders `function` and the shared ones."""
    functions = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("infra/*/function"))
    patterns = ["*"]
    for package in ("infra", "pipeline", *(str(Path(folder).parent) for folder in functions)):
        patterns += [f"!{package}", f"{package}/*", f"!{package}/__init__.py"]
    return [*patterns, *(f"!{folder}" for folder in (*SHARED_FOLDERS, *functions)), "**/__pycache__", "**/*.pyc"]
