"""`--store`, or `--aws` with its options: where a command reads runs and versions. One meaning for every command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import click

from pipeline.local import local_deployment
from pipeline.local.store.store_errors import StoreError, explain
from scripts.cloud.connection import DeployedPipeline, aws_options, connect, explained


@dataclass(frozen=True)
class Place:
    """A local store, or a deployed pipeline."""

    folder: Path | None  # of the store; None: --aws
    pipeline: str | None
    region: str | None
    profile: str | None

    def connect(self) -> DeployedPipeline:
        """The pipeline that --aws and its options name; raises AwsError where there is none."""
        return connect(self.pipeline, self.region, self.profile)

    @contextmanager
    def explained(self, refusal: type[click.ClickException] = click.ClickException) -> Iterator[None]:
        """Turns what boto3, or a local store, raises into one sentence; `refusal` is what a store's becomes."""
        if self.folder is None:
            with explained():
                yield
            return
        try:
            yield
        except (StoreError, OSError) as error:
            raise refusal(explain(error)) from error


def place_options(what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The command gets a Place; `what` it reads there, for the help. Raises click.UsageError for what does not fit."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @click.option(
            "--store",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="The local store. Default: that of the last run.",
        )
        @click.option("--aws", is_flag=True, help=f"The {what} of the deployed pipeline, not of a local store.")
        @aws_options
        @wraps(command)
        def with_place(
            *,
            store: Path | None,
            aws: bool,
            pipeline: str | None,
            region: str | None,
            profile: str | None,
            **options: object,
        ) -> None:
            if aws and store:
                raise click.UsageError("--store is a local store, --aws the deployed pipeline: give one of them")
            if not aws and (pipeline or region or profile):
                raise click.UsageError("--pipeline, --region and --profile go with --aws")
            folder = None if aws else store or local_deployment.last_store()
            if folder and not (folder / "registry").is_dir():
                raise click.UsageError(f"{folder} is no store of local runs: make one with make run, or give --store")
            command(Place(folder, pipeline, region, profile), **options)

        return with_place

    return decorate
