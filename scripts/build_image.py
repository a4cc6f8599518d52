"""Build the image that every step runs in, and that serves; or the replacement of SageMaker's Spark image.

python -m scripts.build_image                                  on the public base image
BASE_IMAGE=registry.example.com/python:3.11 make image         on another one
python -m scripts.build_image --spark                          what AggregateOnSpark runs in, with --docker
python -m scripts.build_image --push 111122223333.dkr.ecr.us-east-1.amazonaws.com/retraining     for image_uri
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from pipeline.contract.code_version import image_content, write_image_context
from pipeline.contract.workload import default_workload
from pipeline.local.launch.container_runtime import (
    BUILD,
    IMAGE,
    ContainerRuntimeError,
    build_command,
    image_details,
    push,
    require_container_runtime,
)
from pipeline.local.launch.spark import SPARK_BUILD, SPARK_IMAGE, spark_folder, spark_image_content
from scripts.output.command_line import command


def build(*, base: str | None, tag: str, network: str | None, quiet: bool, spark: bool = False) -> str:
    """Build the image and return its id; raises ContainerRuntimeError when there is no engine or the build fails."""
    require_container_runtime()
    workload = default_workload()
    content = spark_image_content() if spark else image_content(workload)
    with tempfile.TemporaryDirectory() as context:
        if not spark:
            write_image_context(workload, Path(context))
        folder, again = (spark_folder(), SPARK_BUILD) if spark else (Path(context), BUILD)
        return build_folder(folder, base=base, tag=tag, content=content, network=network, quiet=quiet, command=again)


def build_folder(
    folder: Path, *, base: str | None, tag: str, content: str, network: str | None, quiet: bool, command: str
) -> str:
    """Build the Dockerfile of a folder and return the image's id; raises ContainerRuntimeError when that fails.

    `command`: what the user repeats after a failure.
    """
    done = subprocess.run(
        build_command(str(folder), base=base, tag=tag, content=content, network=network),
        env={**os.environ, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"},  # SageMaker takes images, not indexes of them
        stdout=subprocess.PIPE if quiet else sys.stderr,
        stderr=subprocess.STDOUT if quiet else sys.stderr,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout or "")
        raise ContainerRuntimeError(
            "the image could not be built; where the base image cannot be pulled, name one that is here: "
            f"BASE_IMAGE=name:tag {command}"
        )
    details = image_details(tag)
    assert details is not None, tag  # noqa: S101 - it was just built
    return str(details["Id"])


@command
@click.option("--base", envvar="BASE_IMAGE", help="Base image with Python 3.11 to 3.13. Default: the Dockerfile's.")
@click.option("--tag", help=f"Name of the image. Default: {IMAGE}, with --spark {SPARK_IMAGE}.")
@click.option("--spark", is_flag=True, help="Build the image of AggregateOnSpark, from its spark/Dockerfile.")
@click.option("--network", envvar="BUILD_NETWORK", help="Network of the build, e.g. host.")
@click.option(
    "--push",
    "repository",
    metavar="REPOSITORY",
    help="Push it to this repository (after docker login), and print the setting image_uri on stdout.",
)
@click.option("--quiet", is_flag=True, help="Show the build's output only if it fails.")
def main(
    base: str | None, tag: str | None, spark: bool, network: str | None, repository: str | None, quiet: bool
) -> None:
    """Build the container image of the steps from pipeline/Dockerfile.

    The environment variables BASE_IMAGE and BUILD_NETWORK are --base and --network. What has not changed is
    taken from the engine's cache.
    """
    tag = tag or (SPARK_IMAGE if spark else IMAGE)
    identifier = build(base=base, tag=tag, network=network, quiet=quiet, spark=spark)
    pushed = push(tag, repository) if repository else None
    details = image_details(tag) or {}
    click.echo(f"{tag} is {identifier}, {details.get('Size', 0) / 1e6:.0f} MB unpacked", err=True)
    if pushed:
        click.echo(f"image_uri={pushed}")


if __name__ == "__main__":
    main()
