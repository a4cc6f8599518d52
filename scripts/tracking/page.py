"""MLflow's own page on the runs of the local store: its server on this machine, and an export into it.

python -m scripts.tracking.page [--port 5000]      or: make mlflow

Runs and files are kept beside the stores, in .retrain/mlflow. Stops with Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import click

from pipeline.local import local_deployment
from scripts.output.command_line import command
from scripts.tracking.record import QUIET, record

FOLDER: Final = local_deployment.STORES / "mlflow"
START_SECONDS: Final = 120.0
END_SECONDS: Final = 1.0
NO_JOBS: Final = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # seven processes for judging language models
HOST: Final = "127.0.0.1"  # the page has no password


@contextmanager
def server(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """MLflow's server on a port of this machine, with all that it keeps in `folder`; ends with the block.

    Raises click.ClickException if it does not start, or another program has the port: its page would be taken for ours.
    """
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        raise click.ClickException(f"port {port} of this machine is in use: give another --port")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.resolve() / "server.log"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder.resolve() / 'mlflow.db'}"),
        *("--artifacts-destination", str(folder.resolve() / "artifacts")),
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    with (
        log.open("w") as sink,
        # It starts another process: a group of their own, so that both end.
        subprocess.Popen(
            command,
            env={**environment, **QUIET, **NO_JOBS},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        ) as process,
    ):
        try:
            _wait(process, f"{address(port)}/health", log)
            yield process
        finally:  # asked first: it would wait for connections that browsers and clients keep open
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(END_SECONDS)
                os.killpg(process.pid, signal.SIGKILL)


def address(port: int) -> str:
    return f"http://{HOST}:{port}"


def _wait(process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), urlopen(health, timeout=5):  # noqa: S310 - this machine's
            return
        time.sleep(0.2)
    raise click.ClickException(f"MLflow's server did not start: see {log}")


@command
@click.option("--port", type=click.IntRange(1, 65535), default=5000, help="Of the page.")
def main(port: int) -> None:
    """Serve MLflow's page on this machine, with the runs of the store that was used last; Ctrl-C stops it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), server(FOLDER, port) as process:
        click.echo(f"MLflow's page: {address(port)}")
        click.echo(f"to record each run in it: export MLFLOW_TRACKING_URI={address(port)}")
        store = local_deployment.last_store()
        if (store / "registry").is_dir():  # its runs so far: some seconds each
            record(address(port), ["--store", str(store)], f"the store {store}")
        process.wait()
        raise click.ClickException(f"MLflow's server has ended: see {FOLDER / 'server.log'}")


if __name__ == "__main__":
    main()
