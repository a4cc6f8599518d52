"""The registry and the champion of a deployed pipeline, for whoever reviews its versions."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

import click

from pipeline import contract as c
from pipeline.promotion import choose_champion
from scripts.aws import AwsError, Deployed, connect

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.literals import ModelApprovalStatusType

POLL_SECONDS: Final = 0.5


@dataclass(frozen=True)
class AwsReview:
    """One deployed pipeline; its definition says which group it registers into and where its champion lies."""

    deployed: Deployed
    patience: float  # seconds to wait until champion/ follows a decision

    @classmethod
    def of(cls, pipeline: str | None, region: str | None, profile: str | None, patience: float) -> AwsReview:
        """Raises AwsError for a pipeline that there is not."""
        return cls(connect(pipeline, region, profile), patience)

    @property
    def name(self) -> str:
        """What is reviewed, for messages."""
        return self.group

    @property
    def how_to_register(self) -> str:
        """What makes a version."""
        return f"a run registers one: python -m scripts.start_execution {self.deployed.options}"

    @cached_property
    def _definition(self) -> dict[str, Any]:
        return self.deployed.definition()

    @cached_property
    def group(self) -> str:
        """The model package group that the pipeline registers into; raises AwsError when it registers nothing."""
        for entry in _steps(self._definition["Steps"]):
            if entry["Type"] == "RegisterModel":
                return str(entry["Arguments"]["ModelPackageGroupName"])
        raise AwsError(f"{self.deployed.name} has no step that registers a model")

    @cached_property
    def _bucket(self) -> str:
        """The bucket that holds champion/: what a step reads as its channel of that name."""
        for entry in _steps(self._definition["Steps"]):
            for given in entry["Arguments"].get("ProcessingInputs", ()):
                if given["InputName"] == c.CHAMPION_CHANNEL:
                    return str(given["S3Input"]["S3Uri"]).removeprefix("s3://").split("/")[0]
        raise AwsError(f"{self.deployed.name} has no step that reads {c.CHAMPION_CHANNEL}/")

    @property
    def champion(self) -> int | None:
        """The version in use."""
        found = self.deployed.session.client("s3", region_name=self.deployed.region).get_object(
            Bucket=self._bucket, Key=f"{c.CHAMPION_CHANNEL}/{c.CHAMPION_FILE}"
        )
        version: int | None = json.loads(found["Body"].read())["version"]
        return version

    def packages(self) -> tuple[dict[str, Any], ...]:
        """All versions, oldest first."""
        pages = self.deployed.client.get_paginator("list_model_packages").paginate(ModelPackageGroupName=self.group)
        arns = [entry["ModelPackageArn"] for page in pages for entry in page["ModelPackageSummaryList"]]
        described = [self._describe(arn) for arn in arns]
        return tuple(sorted(described, key=lambda package: int(package["ModelPackageVersion"])))

    def _describe(self, arn: str) -> dict[str, Any]:
        package: dict[str, Any] = dict(self.deployed.client.describe_model_package(ModelPackageName=arn))
        package.pop("ResponseMetadata", None)
        return package

    def get(self, version: int | None) -> dict[str, Any]:
        """One version, or the newest; raises AwsError that lists what there is."""
        packages = self.packages()
        if not packages:
            raise AwsError(f"{self.name} has no registered version yet: {self.how_to_register}")
        wanted = version or packages[-1]["ModelPackageVersion"]
        for package in packages:
            if package["ModelPackageVersion"] == wanted:
                return package
        there = ", ".join(str(package["ModelPackageVersion"]) for package in packages)
        raise AwsError(f"{self.name} has no version {version}; it has {there}")

    def decide(self, version: int | None, status: str, reason: str | None) -> dict[str, Any]:
        """Record a decision and wait until champion/ follows it."""
        if not reason:
            raise click.UsageError("--aws needs --reason: it is kept with the version")
        package = self.get(version)
        self.deployed.client.update_model_package(
            ModelPackageArn=package["ModelPackageArn"],
            ModelApprovalStatus=cast("ModelApprovalStatusType", status),
            ApprovalDescription=reason,
        )
        self._wait()
        return self._describe(package["ModelPackageArn"])

    def _wait(self) -> None:
        """Until champion.json names the version that the registry says; raises ClickException when that takes long."""
        chosen = choose_champion(self.packages())
        expected = chosen["ModelPackageVersion"] if chosen else None
        end = time.monotonic() + self.patience
        while (now := self.champion) != expected:
            if time.monotonic() >= end:
                raise click.ClickException(
                    f"your decision is recorded, but after {self.patience:g} s champion/ still names version "
                    f"{now or 'none'} instead of {expected or 'none'}: look at the alarms and at the log of the "
                    "function that follows the registry (it tries again each hour)"
                )
            time.sleep(min(POLL_SECONDS, self.patience))

    def place(self, uri: str) -> str:
        """Where people find a file."""
        return uri


def _steps(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All steps, those in branches included."""
    found = []
    for entry in entries:
        found.append({"Arguments": {}, **entry})
        for branch in ("IfSteps", "ElseSteps"):
            found += _steps(entry.get("Arguments", {}).get(branch, []))
    return found
