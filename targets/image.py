"""Build the image of the whole pipeline, for one container and for Kubeflow and Azure ML.

python -m targets.image                                  on the image of the steps, which it builds first
BASE_IMAGE=registry.example.com/python:3.11 make targets-image      that one on another base
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

import click

from pipeline.contract.code_version import digest_of
from pipeline.local.launch.container_runtime import IMAGE
from scripts.build_image import build, build_folder
from scripts.output.command_line import command

TARGETS_IMAGE: Final = "retraining-targets:local"
BUILD: Final = "make targets-image"
ROOT: Final = Path(__file__).resolve().parents[1]
FOLDERS: Final = ("pipeline", "scripts", "targets", "infra/lambda_shared")  # the last: links of the console


def build_targets(*, steps_image: str, tag: str, network: str | None, quiet: bool) -> str:
    """Build it on the image of the steps and return its id; raises ContainerRuntimeError where that fails."""
    with tempfile.TemporaryDirectory() as name:
        context = Path(name)
        for folder in FOLDERS:
            shutil.copytree(ROOT / folder, context / folder, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(ROOT / "cdk.json", context / "cdk.json")  # which workload is the default
        shutil.copyfile(ROOT / "targets" / "Dockerfile", context / "Dockerfile")
        (context / ".dockerignore").write_text("Dockerfile\n.dockerignore\n", encoding="utf-8")  # sent, but not copied
        content = digest_of(sorted(path for path in context.rglob("*") if path.is_file()), context)
        return build_folder(
            context, base=steps_image, tag=tag, content=content, network=network, quiet=quiet, command=BUILD
        )


@command
@click.option("--base", envvar="BASE_IMAGE", help="Base of the image of the steps. Default: its Dockerfile's.")
@click.option("--tag", default=TARGETS_IMAGE, help="Name of the image.")
@click.option("--network", envvar="BUILD_NETWORK", help="Network of the build, e.g. host.")
@click.option("--quiet", is_flag=True, help="Show the build's output only if it fails.")
def main(base: str | None, tag: str, network: str | None, quiet: bool) -> None:
    """Build the container image of the whole pipeline from targets/Dockerfile (docs/targets.md)."""
    build(base=base, tag=IMAGE, network=network, quiet=quiet)
    identifier = build_targets(steps_image=IMAGE, tag=tag, network=network, quiet=quiet)
    click.echo(f"{tag} is {identifier}", err=True)


if __name__ == "__main__":
    main()
