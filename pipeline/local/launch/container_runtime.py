"""The container runtime of this machine, through the docker command."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

IMAGE: Final = "retraining:local"
BUILD: Final = "make image"
CONTENT_LABEL: Final = "retraining.content"  # digest of the files that the image was built from
_SECONDS_TO_ANSWER: Final = 60.0
_SECONDS_TO_PUSH: Final = 1800.0
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"


class ContainerRuntimeError(Exception):
    """The engine, compose or the image is not there or cannot be used; the message ends with the remedy."""


def docker(*arguments: str, seconds: float | None = _SECONDS_TO_ANSWER) -> str:
    """Standard output of a docker command; raises ContainerRuntimeError with what it said when it failed."""
    try:
        done = subprocess.run(
            ["docker", *arguments],  # noqa: S607 - docker as the user's shell finds it
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            process_group=0,  # Ctrl-C is for the runner, which then stops the containers
        )
    except FileNotFoundError as error:
        raise ContainerRuntimeError(
            "docker was not found: install it (https://docs.docker.com/engine/install/)"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ContainerRuntimeError(
            f"the Docker engine has not answered for {error.timeout:.0f} s: restart it (sudo systemctl restart docker)"
        ) from error
    if done.returncode != 0:
        raise ContainerRuntimeError(_error_message(done.stderr.strip() or done.stdout.strip()))
    return done.stdout


def _error_message(output: str) -> str:
    last = output.splitlines()[-1] if output else "docker failed without a message"
    if "permission denied" in output.lower() and ".sock" in output:
        return "you may not use the Docker engine: sudo usermod -aG docker $USER, then log in again"
    if re.search("cannot connect to the docker daemon|is the docker daemon running|error during connect", output, re.I):
        return "no Docker engine is running: sudo systemctl start docker (or open Docker Desktop)"
    return last


def require_container_runtime() -> None:
    """Raises ContainerRuntimeError when no engine answers."""
    docker("version", "--format", "{{.Server.Version}}")


def require_compose() -> None:
    """Raises ContainerRuntimeError when neither `docker compose` (2 or newer) nor `docker-compose` is there."""
    try:
        version = re.search(r"v?(\d+)\.", docker("compose", "version"))
    except ContainerRuntimeError:
        version = None
    if (version is None or int(version[1]) < 2) and shutil.which("docker-compose") is None:
        raise ContainerRuntimeError(
            "Docker Compose was not found, and SageMaker local mode needs it: sudo apt-get install "
            "docker-compose-plugin (or docker-compose; see https://docs.docker.com/compose/install/)"
        )


def _inspected(name: str, kind: str = "container") -> Mapping[str, Any] | None:
    try:
        found: list[dict[str, Any]] = json.loads(docker(kind, "inspect", name))
    except ContainerRuntimeError as error:
        if f"no such {kind}" in str(error).lower():
            return None
        raise
    return found[0]


def image_details(name: str) -> Mapping[str, Any] | None:
    return _inspected(name, "image")


def require_image(name: str, content: str, build: str = BUILD) -> str:
    """The id of the image, if it was built from files with this digest; raises ContainerRuntimeError otherwise.

    `build`: the command that builds it.
    """
    details = image_details(name)
    if details is None:
        raise ContainerRuntimeError(f"there is no image {name}: {build}")
    if (details["Config"].get("Labels") or {}).get(CONTENT_LABEL) != content:
        raise ContainerRuntimeError(f"the image {name} holds other code than this folder: {build}")
    return str(details["Id"])


def container_state(name: str) -> Mapping[str, Any] | None:
    """`State` of `docker inspect`: Status, ExitCode, OOMKilled; None if the container does not exist."""
    found = _inspected(name)
    return found["State"] if found else None


def kill(name: str, number: signal.Signals) -> bool:
    """Sends a signal to a container that runs; false if it has not been started yet."""
    try:
        docker("kill", "--signal", number.name, name)
    except ContainerRuntimeError:
        state = container_state(name)
        return state is not None and state["Status"] != "created"
    return True


def wait_for(name: str) -> int | None:
    """Waits for the end of a container and returns its exit code; None, at once, if it is not there or not started."""
    with suppress(ContainerRuntimeError):
        docker("wait", name, seconds=None)
    # The command also returns for a container that has not been started, with exit code 0.
    state = container_state(name)
    return int(state["ExitCode"]) if state and state["Status"] in ("exited", "dead") else None


def remove(name: str) -> None:
    """Removes a container, running or not, and the network that has its name."""
    docker("rm", "--force", "--volumes", name)
    if docker("network", "ls", "--quiet", "--filter", f"name=^{name}$"):
        docker("network", "rm", name)


def copy_log(name: str, path: Path) -> bool:
    """Appends a container's output to a file while it runs; false if there was none.

    The engine returns nothing for a container that does not exist or has not been started.
    """
    with path.open("ab") as log:
        start = log.tell()
        done = subprocess.run(
            ["docker", "logs", "--follow", name],  # noqa: S607 - docker as the user's shell finds it
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
            process_group=0,
        )
        if done.returncode != 0:
            log.truncate(start)
        return done.returncode == 0 and os.fstat(log.fileno()).st_size > start


def labelled(label: str, value: str, wanted: str) -> list[tuple[str, str]]:
    """Names of the containers and networks with a label of this value, each with the value of another label."""
    template = f'{{{{.%s}}}}\t{{{{.Label "{wanted}"}}}}'
    found = docker("ps", "--all", "--filter", f"label={label}={value}", "--format", template % "Names")
    found += docker("network", "ls", "--filter", f"label={label}={value}", "--format", template % "Name")
    pairs = [line.partition("\t") for line in found.splitlines()]
    return sorted({(name, other) for name, _, other in pairs})


def is_rootless() -> bool:
    """Whether the engine runs without root: a container's root is then the user who started the engine."""
    return "rootless" in docker("info", "--format", "{{.SecurityOptions}}")


def has_buildx() -> bool:
    """Whether BuildKit builds: it must be told to make Docker's format, where the builder before it knows no other."""
    try:
        return bool(docker("buildx", "version"))
    except ContainerRuntimeError:
        return False


def push(name: str, repository: str) -> str:
    """Push an image that is here, tagged with its id; returns `repository@digest`, which names it for good.

    Raises ContainerRuntimeError when that fails, or when the registry has anything but a Docker manifest: SageMaker's
    CreateModel refuses OCI manifests and indexes of several images (aws/amazon-sagemaker-feedback issue 180).
    """
    details = image_details(name)
    if details is None:
        raise ContainerRuntimeError(f"there is no image {name}: {BUILD}")
    target = f"{repository}:{str(details['Id']).removeprefix('sha256:')[:12]}"
    docker("tag", name, target)
    docker("push", "--quiet", target, seconds=_SECONDS_TO_PUSH)
    pushed = (image_details(target) or {}).get("RepoDigests", ())
    (uri,) = [found for found in pushed if found.startswith(f"{repository}@")]
    require_docker_manifest(uri)
    return str(uri)


def require_docker_manifest(uri: str) -> None:
    """Raises ContainerRuntimeError unless an image in a registry has a Docker manifest."""
    plain_http = ("--insecure",) if re.match(r"(localhost|127\.0\.0\.1)[:/]", uri) else ()
    kind = json.loads(docker("manifest", "inspect", *plain_http, uri)).get("mediaType")
    if kind != DOCKER_MANIFEST:
        raise ContainerRuntimeError(
            f"{uri} is of type {kind}, which SageMaker's CreateModel refuses: it wants {DOCKER_MANIFEST}. Build "
            "and push it with python -m scripts.build_image --push, or with docker buildx build --provenance=false "
            "--output type=docker"
        )


def build_command(folder: str, *, base: str | None, tag: str, content: str, network: str | None) -> Sequence[str]:
    """The docker command that builds the image from `folder`, on the Dockerfile's own base unless one is given."""
    options = ["--build-arg", f"CONTENT={content}", "--platform", "linux/amd64", "--tag", tag]
    options += ["--build-arg", f"BASE_IMAGE={base}"] if base else []
    options += ["--network", network] if network else []
    options += ["--output", "type=docker"] if has_buildx() else []  # recent engines make OCI images by default
    return ["docker", "build", *options, folder]
