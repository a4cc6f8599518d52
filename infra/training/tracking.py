"""What a run may do in SageMaker's MLflow that the setting `mlflow_arn` names: write runs, and delete nothing.

The actions are those of AWS's managed policy AmazonSageMakerJobFullAccess, without those for traces, which
allows them on apps too (the Service Authorization Reference lists tracking servers only).
"""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_iam as iam

from infra.foundation.permissions import allow

OF_RUNS: Final = (
    *("CreateExperiment", "CreateRun", "GetExperimentByName", "GetMetricHistory", "GetRun"),
    *("ListArtifacts", "LogBatch", "UpdateRun"),
)


def allow_mlflow(role: iam.Role, arn: str) -> None:
    """Let it find the server or app, and call it; nothing where there is none (an empty ARN)."""
    if not arn:
        return
    found = ["DescribeMlflowApp", "CallMlflowAppApi"] if ":mlflow-app/" in arn else ["DescribeMlflowTrackingServer"]
    allow(role, [*(f"sagemaker:{name}" for name in found), *(f"sagemaker-mlflow:{name}" for name in OF_RUNS)], [arn])
