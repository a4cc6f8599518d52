"""What is missing for containers is said in one sentence that ends with what mends it. No engine is needed here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from local_definitions import processing

from pipeline.local.launch import launch_docker
from pipeline.local.launch.container_runtime import build_command
from pipeline.local.launch.job import JobOutcome, LaunchFault, new_job
from pipeline.local.launch.launch_docker import DockerLauncher
from pipeline.local.plan.plan import _step

SOCKET = "unix:///var/run/docker.sock"


def run_docker(root: Path, folder: Path, answers: dict[str, str] | None) -> subprocess.CompletedProcess[str]:
    """`run_local --docker` with a `docker` on the path that answers its first argument as given; None: without one."""
    commands = folder / "bin"
    commands.mkdir()
    if answers is not None:
        cases = "".join(f"{word}) {script} ;;\n" for word, script in answers.items())
        (commands / "docker").write_text(f'#!/bin/sh\ncase "$1" in\n{cases}*) exit 0 ;;\nesac\n')
        (commands / "docker").chmod(0o755)
    return subprocess.run(
        [sys.executable, "-m", "scripts.run_local", "--docker", "--store", str(folder / "store")],
        cwd=root,
        env={**os.environ, "PATH": str(commands)},
        capture_output=True,
        text=True,
        check=False,
    )


def said(words: str) -> str:
    return f'echo "{words}" >&2; exit 1'


NO_ENGINE = said(f"Cannot connect to the Docker daemon at {SOCKET}. Is the docker daemon running?")
NOT_ALLOWED = said(f"permission denied while trying to connect to the Docker daemon socket at {SOCKET}: Get ...")
COMPOSE = "echo Docker Compose version v2.29.1"
STALE = """echo '[{"Id": "sha256:1", "Config": {"Labels": {"retraining.content": "older"}}}]'"""


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        (None, "docker was not found: install it (https://docs.docker.com/engine/install/)"),
        (
            {"version": NO_ENGINE},
            "no Docker engine is running: sudo systemctl start docker (or open Docker Desktop)",
        ),
        (
            {"version": NOT_ALLOWED},
            "you may not use the Docker engine: sudo usermod -aG docker $USER, then log in again",
        ),
        ({"compose": said("docker: unknown command: docker compose")}, "Docker Compose was not found"),
        ({"compose": "echo Docker Compose version 1.29.2"}, "Docker Compose was not found"),
        (
            {"compose": COMPOSE, "image": said("Error: No such image: retraining:local")},
            "there is no image retraining:local: make image",
        ),
        (
            {"compose": COMPOSE, "image": STALE},
            "the image retraining:local holds other code than this folder: make image",
        ),
    ],
)
def test_what_is_missing_is_said_with_what_mends_it(
    root: Path, tmp_path: Path, answers: dict[str, str] | None, sentence: str
) -> None:
    done = run_docker(root, tmp_path, answers)
    assert done.returncode == 2
    assert f"Error: {sentence}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "store").exists(), "nothing is begun"


def test_an_image_is_for_containers(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.run_local", "--image", "mine:1"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--image is for containers: add --docker" in done.stderr


@pytest.mark.parametrize(
    ("buildx", "options"),
    [("echo v0.30.1", ["--output", "type=docker"]), (said("docker: unknown command: docker buildx"), [])],
)
def test_buildkit_is_told_to_make_dockers_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, buildx: str, options: list[str]
) -> None:
    """The builder before BuildKit makes no other, and does not know the option."""
    (tmp_path / "docker").write_text(f'#!/bin/sh\ncase "$1" in\nbuildx) {buildx} ;;\nesac\n')
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    command = build_command("pipeline", base=None, tag="retraining:local", content="abc", network=None)
    assert [part for part in command if part in ("--output", "type=docker")] == options


@pytest.mark.parametrize(
    ("state", "end"),
    [
        (
            {"Status": "created", "ExitCode": 0, "OOMKilled": False},
            "SageMaker.JOB_INTERNAL_ERROR: its program did not run to its end: interrupted",
        ),
        ({"Status": "created", "ExitCode": 127, "OOMKilled": False}, "exit code 127, and no output"),
        (None, "SageMaker.JOB_INTERNAL_ERROR: its program did not run to its end: interrupted"),
        ({"Status": "exited", "ExitCode": 0, "OOMKilled": False}, ""),
    ],
)
def test_a_container_that_compose_did_not_start_has_not_succeeded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: dict[str, Any] | None, end: str
) -> None:
    """As after a Ctrl-C that compose has heard before the runner: compose ends well, and there are no results."""
    commands = tmp_path / "bin"
    commands.mkdir()
    inspected = said("Error: No such container") if state is None else f"echo '{json.dumps([{'State': state}])}'"
    (commands / "docker").write_text(
        f'#!/bin/sh\ncase "$1" in\ncontainer) {inspected} ;;\nimage) echo "[{{}}]" ;;\n*) exit 0 ;;\nesac\n'
    )
    (commands / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    ended = SimpleNamespace(ContainerSettings=dict, run_job=lambda *_: None, compose_said=lambda _: "interrupted")
    monkeypatch.setattr(launch_docker, "_local_mode", lambda: ended)
    monkeypatch.setattr(launch_docker, "_LOOK_AGAIN_SECONDS", 0.01)
    step = _step(processing("A", []), None)
    job = new_job(step, "a", step.arguments, tmp_path / "run" / "steps" / "A")
    launcher = DockerLauncher.__new__(DockerLauncher)
    launcher.grace_seconds, launcher._rootless = 1, False
    try:
        outcome = launcher.launch(job)
    except LaunchFault as fault:
        outcome = JobOutcome("Failed", f"{fault.exception_type}: {fault}")
    assert (outcome.status, outcome.message or "") == ("Failed" if end else "Completed", end)
