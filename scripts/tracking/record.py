"""Record a run or a decision in MLflow when it has just been made; a tracker that fails changes nothing about either.

The export is a child process with a time limit: a server that does not answer costs seconds, and MLflow is imported
neither here nor in the run.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import click

from pipeline.local.local_deployment import ROOT

MISSING: Final = "MLflow is not installed: make mlflow makes an environment that has it (docs/mlflow.md)"
CONNECT_SECONDS: Final = 5.0
TIMEOUT_SECONDS: Final = 300.0  # a model of 100 MB over a slow line
OWN_PYTHON: Final = ROOT / ".venv-mlflow" / "bin" / "python"  # make mlflow
QUIET: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}
# MLflow's own: seven attempts of up to two minutes each.
_PATIENCE: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}

mlflow_option = click.option(
    "--mlflow",
    "uri",
    envvar="MLFLOW_TRACKING_URI",
    metavar="URI",
    help="MLflow's tracking server, or the ARN of SageMaker's. Default: MLFLOW_TRACKING_URI.",
)


def record(uri: str | None, arguments: Sequence[str], what: str, timeout: float = TIMEOUT_SECONDS) -> None:
    """`scripts.runs export-mlflow` with the arguments, if there is a tracker; a warning where it does not succeed.

    The address goes by the environment: it may hold a password, and command lines are seen by others.
    """
    if not uri:
        return
    problem = _problem(uri, arguments, timeout)
    if problem:
        click.echo(
            f"warning: {what} is not in MLflow at {shown(uri)} ({problem}); later: python -m scripts.runs "
            f"export-mlflow {shlex.join(arguments)}",
            err=True,
        )


def _problem(uri: str, arguments: Sequence[str], timeout: float) -> str:
    """Why nothing was recorded, or not all; empty where all was."""
    python = _python()
    if python is None:
        return MISSING
    if reason := _unreachable(uri):
        return reason
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**_PATIENCE, **os.environ, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": path, **QUIET}
    try:
        done = subprocess.run(
            [python, "-m", "scripts.runs", "export-mlflow", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return f"no answer after {timeout:g} s"
    except OSError as error:
        return str(error)
    last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
    return last[0].removeprefix("Error: ").removeprefix("warning: ") if done.returncode else ""


def _unreachable(uri: str) -> str:
    """Why an address of the network cannot be reached; MLflow would try again for a while."""
    with suppress(ValueError):
        parts = urlsplit(uri)
        if parts.scheme in ("http", "https") and parts.hostname:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            try:
                socket.create_connection((parts.hostname, port), CONNECT_SECONDS).close()
            except OSError as error:
                return f"it cannot be reached: {error.strerror or error}"
    return ""


def _python() -> str | None:
    """An interpreter that has MLflow."""
    if importlib.util.find_spec("mlflow"):
        return sys.executable
    return str(OWN_PYTHON) if OWN_PYTHON.exists() else None


def shown(uri: str) -> str:
    """The address without the password that may be in it."""
    with suppress(ValueError):
        parts = urlsplit(uri)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
    return "its address"
