"""Review registered versions: list, show, approve, reject, history. An approval makes the version champion.

python -m scripts.review_model list
python -m scripts.review_model approve --version 1 --reason "better in every month"
python -m scripts.review_model approve --aws --version 1 --reason "better in every month"
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from functools import wraps
from math import isfinite
from pathlib import Path
from typing import Any, Final

import click

from pipeline.contract import names as c
from pipeline.contract.history.versions import VersionEvent, services
from pipeline.contract.service_text import description
from pipeline.local.local_deployment import ARTIFACT_BUCKET, MODEL_PACKAGE_GROUP
from pipeline.local.plan.expressions import timestamp
from pipeline.local.store.local_champion import promote, read_champion, unusable_reason
from pipeline.local.store.registry import APPROVED, PENDING, REJECTED, LocalRegistry
from pipeline.local.store.store import Store
from pipeline.local.store.store_errors import StoreError
from scripts.cloud.place import Place, place_options
from scripts.cloud.review import AwsReview
from scripts.history.history import Since, local_versions
from scripts.history.words import number, service_lines
from scripts.output.command_line import Number, group, json_option
from scripts.tracking.ended_run import execution_of
from scripts.tracking.record import mlflow_option, record

version_option = click.option("--version", type=click.IntRange(min=1), help="Which version. Default: the newest.")


def reviewed(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a place: the command gets a LocalReview or an AwsReview."""

    @place_options("versions")
    @click.option("--patience", type=Number(0), default=60, help="With --aws: seconds until champion/ must follow.")
    @wraps(command)
    def with_review(place: Place, *, patience: float, **options: object) -> None:
        folder = place.folder
        command(LocalReview(folder) if folder else AwsReview(place.aws.connect(), patience), **options)

    return with_review


class LocalReview:
    """The registry of a local store and its champion, as AwsReview is that of a deployed pipeline."""

    how_to_register = "make run registers one"

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self.store = Store(folder)
        self.registry = LocalRegistry(self.store)
        self.place = ["--store", str(self.store.root)]

    def location(self, uri: str) -> str:
        return str(self.store.object_path(uri))

    @property
    def champion(self) -> int | None:
        try:
            version: int | None = read_champion(self.store, ARTIFACT_BUCKET)["version"]
        except StoreError as error:
            click.echo(f"warning: {error}", err=True)
            return None
        return version

    def history(self) -> tuple[list[VersionEvent], list[str]]:
        events, _, faults = local_versions(self.store)
        return events, faults

    def packages(self) -> tuple[dict[str, Any], ...]:
        """All versions that can be read, oldest first; those that cannot are named on stderr."""
        for fault in self.registry.damaged(MODEL_PACKAGE_GROUP).values():
            click.echo(f"warning: {fault}", err=True)
        return self.registry.packages(MODEL_PACKAGE_GROUP)

    def get(self, version: int | None) -> dict[str, Any]:
        """One version, or the newest; raises RegistryError that lists what there is."""
        packages = self.packages()
        if not packages:
            raise click.UsageError(f"{self.name} has no registered version yet: {self.how_to_register}")
        return self.registry.get(MODEL_PACKAGE_GROUP, version or int(packages[-1]["ModelPackageVersion"]))

    def decide(self, version: int | None, status: str, reason: str | None) -> dict[str, Any]:
        """Record a decision and make the champion what the registry now says."""
        package = self.get(version)
        if status == APPROVED and (problem := unusable_reason(self.store, package)):
            raise click.ClickException(f"{problem}. Nothing was changed; approve another version")
        number = int(package["ModelPackageVersion"])
        decided = self.registry.set_approval(MODEL_PACKAGE_GROUP, number, status, description(reason or ""))
        for passed_over in promote(self.store, MODEL_PACKAGE_GROUP, ARTIFACT_BUCKET):
            click.echo(f"note: {passed_over}", err=True)
        return decided


@group
def main() -> None:
    """Review registered model versions, of a local store or (--aws) of the deployed pipeline."""


@main.command("list")
@reviewed
@json_option
def list_versions(review: LocalReview | AwsReview, as_json: bool) -> None:
    """List the versions, newest first, with what they scored."""
    champion = review.champion
    rows = [_brief(package, champion) for package in review.packages()[::-1]]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo(f"{review.name} has no registered version yet: {review.how_to_register}")
        return
    click.echo(f"{'version':>7}  {'status':<22}{'as of':<12}{'loss':>8}  registered")
    for row in rows:
        status = row["status"] + (" *" if row["champion"] else "")
        scored = f"{row['as_of_date']:<12}{number(row['loss']):>8}"
        click.echo(f"{row['version']:>7}  {status:<22}{scored}  {row['registered']}")
    click.echo("* in use" if champion else "none is in use: approve one")


@main.command()
@version_option
@reviewed
@json_option
def show(review: LocalReview | AwsReview, version: int | None, as_json: bool) -> None:
    """Show one version: what it scored against what, where it comes from, where its report is."""
    package = review.get(version)
    if as_json:
        click.echo(json.dumps(package, indent=2, default=_time))
        return
    brief = _brief(package, review.champion)
    click.echo(f"version {brief['version']}: {brief['status']}{', in use' if brief['champion'] else ''}")
    click.echo(str(package.get("ModelPackageDescription", "")))
    for name, value in sorted(package.get("CustomerMetadataProperties", {}).items()):
        score = _number(value) if name in _SCORES else None
        shown = review.location(value) if name == "report" else value if score is None else number(score)
        click.echo(f"  {name.replace('_', ' ')}: {shown}")


@main.command()
@version_option
@click.option("--reason", help="Why; kept with the version. Required with --aws.")
@mlflow_option
@reviewed
def approve(review: LocalReview | AwsReview, version: int | None, reason: str | None, uri: str | None) -> None:
    """Approve a version: it becomes the champion. An older one again: a roll-back."""
    before = review.champion
    package = review.decide(version, APPROVED, reason)
    _record(uri, review, package)
    number = package["ModelPackageVersion"]
    if review.champion != number:
        used = f"version {review.champion or 'none'} is in use: see the note above, or history"
        raise click.ClickException(f"version {number} is approved, but {used}")
    instead = f" instead of version {before}" if before not in (None, number) else ""
    click.echo(f"version {number} is approved and is now the champion{instead}")
    click.echo("the next run predicts with it and compares each candidate with it")


@main.command()
@version_option
@click.option("--reason", required=True, help="Why; kept with the version.")
@mlflow_option
@reviewed
def reject(review: LocalReview | AwsReview, version: int | None, reason: str, uri: str | None) -> None:
    """Reject a version. Where it is the champion, the one approved before it takes its place."""
    before = review.champion
    package = review.decide(version, REJECTED, reason)
    _record(uri, review, package)
    click.echo(f"version {package['ModelPackageVersion']} is rejected: {package.get('ApprovalDescription', '')}")
    after = review.champion
    if before != after:
        click.echo(f"version {after} is the champion again" if after else "no version is in use now: approve another")


@main.command()
@click.option("--at", type=Since(), help="Only what was in service then: a day or moment (UTC), or N days ago: 30d.")
@reviewed
@json_option
def history(review: LocalReview | AwsReview, at: float | None, as_json: bool) -> None:
    """Show which version was in service when, who approved it and why it went; newest first."""
    events, faults = review.history()
    for fault in faults:
        click.echo(f"warning: {fault}", err=True)
    found = [s for s in services(events) if at is None or (s.since <= at and (s.until is None or at < s.until))]
    if as_json:
        click.echo(json.dumps([asdict(service) for service in found], indent=2))
        return
    click.echo("\n".join(service_lines(found)))


def _record(uri: str | None, review: LocalReview | AwsReview, package: dict[str, Any]) -> None:
    """The decision in MLflow, if there is a tracker: approval, and the alias of the champion."""
    run = execution_of(package) or "none"
    record(uri, [*review.place, "--run", run], f"the decision about version {package['ModelPackageVersion']}")


_SCORES: Final = (
    *("loss", "baseline_loss", "skill"),
    *("difference_to_incumbent", "difference_lower", "difference_upper"),
)
_STATUSES: Final = {PENDING: "pending", APPROVED: "approved", REJECTED: "rejected"}


def _brief(package: dict[str, Any], champion: int | None) -> dict[str, Any]:
    known = package.get("CustomerMetadataProperties", {})
    return {
        "version": package["ModelPackageVersion"],
        "status": _STATUSES.get(str(package.get("ModelApprovalStatus")), "unknown"),
        "champion": package["ModelPackageVersion"] == champion,
        "as_of_date": known.get(c.AS_OF_DATE, ""),
        "loss": _number(known.get("loss", "")),
        "registered": _time(package["CreationTime"]),
    }


def _number(text: str) -> float | None:
    """A number of a version's metadata, which are text; None for any other text."""
    with suppress(ValueError):
        if isfinite(value := float(text)):
            return value
    return None


def _time(moment: object) -> str:
    """A time as the local store writes it, also where boto3 gives a datetime."""
    return timestamp(moment.timestamp()) if isinstance(moment, datetime) else str(moment)


if __name__ == "__main__":
    main()
