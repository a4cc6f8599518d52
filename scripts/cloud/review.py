"""The registry and the champion of a deployed pipeline, for those who review its versions."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

import click

from pipeline.contract import names as c
from pipeline.contract.code_version import all_steps
from pipeline.contract.history.versions import HISTORY_KEY, VersionEvent, read_events
from pipeline.contract.promotion import APPROVAL_ID, APPROVED, UnusablePackageError, artifact_uri, next_approval_id
from pipeline.contract.service_text import description
from scripts.cloud.connection import CommandError, DeployedPipeline

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.literals import ModelApprovalStatusType

POLL_SECONDS: Final = 0.5


@dataclass(frozen=True)
class AwsReview:
    """One deployed pipeline; its definition names the group and the bucket of the champion."""

    deployed: DeployedPipeline
    patience: float  # seconds to wait until champion/ follows a decision

    @property
    def place(self) -> list[str]:
        profile = self.deployed.session.profile_name
        return ["--aws", *self.deployed.options.split(), *(["--profile", profile] if profile != "default" else [])]

    @property
    def how_to_register(self) -> str:
        return f"a run registers one: python -m scripts.start_execution {self.deployed.options}"

    @cached_property
    def definition(self) -> dict[str, Any]:
        return self.deployed.definition()

    def arguments(self, kind: str) -> dict[str, Any]:
        """Those of the first step of a type; raises CommandError where the type has none."""
        for entry in all_steps(self.definition["Steps"]):
            if entry["Type"] == kind:
                return dict(entry["Arguments"])
        raise CommandError(f"{self.deployed.name} has no step of the type {kind}")

    @property
    def name(self) -> str:
        """The model package group that the pipeline registers into; raises CommandError when it registers nothing."""
        return str(self.arguments("RegisterModel")["ModelPackageGroupName"])

    @cached_property
    def bucket(self) -> str:
        """The bucket that holds champion/: what a step reads as its channel of that name."""
        for entry in all_steps(self.definition["Steps"]):
            for given in entry.get("Arguments", {}).get("ProcessingInputs", ()):
                if given["InputName"] == c.CHAMPION_CHANNEL:
                    return str(given["S3Input"]["S3Uri"]).removeprefix("s3://").split("/")[0]
        raise CommandError(f"{self.deployed.name} has no step that reads {c.CHAMPION_CHANNEL}/")

    @property
    def champion(self) -> int | None:
        """The version in use; None also where champion.json is missing or damaged, which the function repairs."""
        try:
            text = self.read_text(f"{c.CHAMPION_CHANNEL}/{c.CHAMPION_FILE}")
            version: int | None = json.loads(text)["version"]
        except (ValueError, TypeError, KeyError):
            return None
        return version

    def history(self) -> tuple[list[VersionEvent], list[str]]:
        """What happened to versions, oldest first, and what could not be read."""
        return read_events(self.read_text(HISTORY_KEY), HISTORY_KEY)

    def read_text(self, key: str) -> str:
        """An object of the artifact bucket as text; empty where there is none yet."""
        s3 = self.deployed.session.client("s3", region_name=self.deployed.region)
        try:
            return str(s3.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode(errors="replace"))
        except s3.exceptions.NoSuchKey:
            return ""

    def packages(self) -> tuple[dict[str, Any], ...]:
        return self.deployed.packages(self.name)

    def get(self, version: int | None) -> dict[str, Any]:
        """One version, or the newest; raises CommandError that lists what there is."""
        packages = self.packages()
        if not packages:
            raise CommandError(f"{self.name} has no registered version yet: {self.how_to_register}")
        wanted = version or packages[-1]["ModelPackageVersion"]
        for package in packages:
            if package["ModelPackageVersion"] == wanted:
                return package
        there = ", ".join(str(package["ModelPackageVersion"]) for package in packages)
        raise CommandError(f"{self.name} has no version {version}; it has {there}")

    def decide(self, version: int | None, status: str, reason: str | None) -> dict[str, Any]:
        """Record a decision and wait until champion/ follows it."""
        if not reason or not description(reason):
            raise click.UsageError("--aws needs --reason: it is kept with the version")
        package = self.get(version)
        number, metadata = int(package["ModelPackageVersion"]), package.get("CustomerMetadataProperties", {})
        marked: dict[str, Any] = {}
        if status == APPROVED:
            try:
                artifact_uri(package)
            except UnusablePackageError as error:
                raise click.ClickException(
                    f"version {number} cannot be the champion: {error}. Nothing was changed; approve another version"
                ) from error
            marked["CustomerMetadataProperties"] = {**metadata, APPROVAL_ID: next_approval_id(self.packages())}
        self.deployed.client.update_model_package(
            ModelPackageArn=package["ModelPackageArn"],
            ModelApprovalStatus=cast("ModelApprovalStatusType", status),
            ApprovalDescription=description(reason),
            **marked,
        )
        self._wait(number, status)
        decided = self.deployed.package(package["ModelPackageArn"])
        if decided["ModelApprovalStatus"] != status:
            raise click.ClickException(
                f"your decision was recorded, but version {number} is {decided['ModelApprovalStatus']} now: another "
                f"decision followed it ({decided.get('ApprovalDescription') or 'no reason given'})"
            )
        return decided

    def _wait(self, version: int, status: str) -> None:
        """Until an approved version is the champion, or a rejected one is not; raises ClickException in the end."""
        end = time.monotonic() + self.patience
        while ((now := self.champion) == version) != (status == APPROVED):
            if time.monotonic() >= end:
                wanted = f"instead of {version}" if status == APPROVED else "all the same"
                raise click.ClickException(
                    f"your decision is recorded, but after {self.patience:g} s champion/ names version "
                    f"{now or 'none'} {wanted}: look at the alarms and at the log of the function that follows the "
                    "registry (it tries again each hour)"
                )
            time.sleep(min(POLL_SECONDS, self.patience))

    def location(self, uri: str) -> str:
        return uri
