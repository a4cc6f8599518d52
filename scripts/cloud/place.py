"""`--store`, or `--aws` with its options: where a command reads runs and versions. One meaning for every command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Final

import click

from pipeline.local import local_deployment
from scripts.cloud.connection import AwsOptions, aws_options

STORE: Final = click.Path(exists=True, file_okay=False, path_type=Path)


@dataclass(frozen=True)
class Place:
    """A local store, or a deployed pipeline."""

    folder: Path | None  # of the store; None: --aws
    aws: AwsOptions


def local_store(given: Path | None) -> Path:
    """The store that was named, or that of the last run; raises click.UsageError for a folder that is not a store."""
    folder = given or local_deployment.last_store()
    if not (folder / "registry").is_dir():
        raise click.UsageError(f"{folder} is no store of local runs: make one with make run, or give --store")
    return folder


def place_options(what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The command gets a Place; `what` it reads there, for the help. Raises click.UsageError for what does not fit."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @click.option("--store", type=STORE, help="The local store. Default: that of the last run.")
        @click.option(
            "--aws", "deployed", is_flag=True, help=f"The {what} of the deployed pipeline, not of a local store."
        )
        @aws_options
        @wraps(command)
        def with_place(*, store: Path | None, deployed: bool, aws: AwsOptions, **options: object) -> None:
            if deployed and store:
                raise click.UsageError("--store is a local store, --aws the deployed pipeline: give one of them")
            if not deployed and aws != AwsOptions(None, None, None):
                raise click.UsageError("--pipeline, --region and --profile go with --aws")
            command(Place(None if deployed else local_store(store), aws), **options)

        return with_place

    return decorate
