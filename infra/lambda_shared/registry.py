"""The model packages of a group, as the registry has them now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from infra.lambda_shared.environment import Boto3Client
from pipeline.contract.promotion import APPROVED

NEWEST: Final = 10  # packages among which a registration of the last hours is looked for
PENDING: Final = "PendingManualApproval"


@dataclass(frozen=True)
class ModelRegistry:
    """One model package group."""

    client: Boto3Client
    group: str

    def packages(self, *named: str) -> list[dict[str, Any]]:
        """The complete packages that are approved or wait for approval, and those that are named, described.

        The list is an index that may lag behind, so it only proposes; `named` (the package that an event is about,
        those that were approved before) are proposed as well, and the description of each decides.
        """
        listed = [arn for status in (APPROVED, PENDING) for arn in self._listed(ModelApprovalStatus=status)]
        return self._complete(sorted({*listed, *named}))

    def newest(self, named: str | None = None) -> list[dict[str, Any]]:
        """The packages that were registered last, described, and `named`, which the list may not have yet."""
        listed = self._listed(SortBy="CreationTime", SortOrder="Descending", PaginationConfig={"MaxItems": NEWEST})
        return self._complete([named, *listed] if named else listed)

    def _listed(self, **how: Any) -> list[str]:  # noqa: ANN401 - parameters of ListModelPackages
        pages = self.client.get_paginator("list_model_packages").paginate(ModelPackageGroupName=self.group, **how)
        return [summary["ModelPackageArn"] for page in pages for summary in page["ModelPackageSummaryList"]]

    def _complete(self, arns: Iterable[str]) -> list[dict[str, Any]]:
        described = map(self.describe, arns)
        return [package for package in described if package and package.get("ModelPackageStatus") == "Completed"]

    def write_card(self, package: Mapping[str, Any], card: Mapping[str, str]) -> None:
        """Give a package its model card; where SageMaker has made an empty one, the status stays what it is."""
        content = {"ModelCardContent": card["ModelCardContent"]} if package.get("ModelCard") else dict(card)
        self.client.update_model_package(ModelPackageArn=package["ModelPackageArn"], ModelCard=content)

    def describe(self, arn: str) -> dict[str, Any] | None:
        """A package; None when it was deleted, or is of another group (which the function may not even ask about)."""
        if arn.split("/")[1:2] != [self.group]:
            return None
        try:
            package: dict[str, Any] = self.client.describe_model_package(ModelPackageName=arn)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ValidationException", "ValidationError", "ResourceNotFound"):
                return None
            raise
        ours = package.get("ModelPackageGroupName") == self.group and package.get("ModelPackageVersion")
        return package if ours else None
