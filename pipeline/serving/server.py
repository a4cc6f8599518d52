"""The program behind the container's `serve`: loads the model, then answers on SageMaker's port.

in   model/     model.ubj, model.json, walk_forward.parquet, state.parquet, SHA256SUMS, from model.tar.gz
environment    SAGEMAKER_BASE_DIR (default /opt/ml), SAGEMAKER_BIND_TO_PORT (default 8080),
               MODEL_VERSION (shown in answers), STALE_AFTER_DAYS (default 7)

python -m pipeline.serving.server --host 127.0.0.1 --model .retrain/sample/objects/artifacts/champion/1/model.tar.gz
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import uvicorn

from pipeline.contract import names as c
from pipeline.contract.container import StepError, base_dir
from pipeline.serving.app import make_app
from pipeline.serving.connections import KEEP_ALIVE_SECONDS, LimitedConnection
from pipeline.serving.predictor import load_predictor

PORT_VARIABLE: Final = "SAGEMAKER_BIND_TO_PORT"  # set where several containers share a network
DEFAULT_PORT: Final = 8080
DEFAULT_STALE_AFTER_DAYS: Final = 7
# A single row, asked for beside a batch of 10,000, waits for the interpreter many times, and each time so long: with
# Python's own 5 ms its median latency doubles (docs/serving.md).
SWITCH_SECONDS: Final = 0.0005
# SageMaker kills a container 30 s after it told it to stop; a request may take up to 60 s, ours take milliseconds.
GRACE_SECONDS: Final = 25


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line; the environment's values are its defaults. Raises StepError for one that is no number."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.serving.server",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, default=base_dir() / c.MODEL_CHANNEL, help="folder, or model.tar.gz")
    parser.add_argument("--version", default=os.environ.get(c.MODEL_VERSION_VARIABLE, "unknown"), help="of the model")
    parser.add_argument(
        "--stale-after-days", type=int, default=_whole_number(c.STALE_AFTER_DAYS_VARIABLE, DEFAULT_STALE_AFTER_DAYS)
    )
    # A container is reached through its network's address.
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104
    parser.add_argument("--port", type=int, default=_whole_number(PORT_VARIABLE, DEFAULT_PORT))
    return parser.parse_args(argv)


def _whole_number(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if not text.isdecimal():
        raise StepError(f'{variable} "{text}" is not a whole number: unset it, or set it to one such as {default}')
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop; 1 for a model that cannot be served, 2 for bad usage."""
    # As the first process of a container, nothing ends it but its own handler, also while the model is loaded.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
        predictor = load_predictor(arguments.model, arguments.version, arguments.stale_after_days)
        predictor.warm_up()
    except StepError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stderr.write(
        f"model version {predictor.version}, state of {predictor.requests.state_date}; listening on "
        f"{arguments.host}:{arguments.port}\n"
    )
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.freeze()  # what is loaded stays: to look through it for garbage takes 50 ms, and a request would wait
    uvicorn.run(
        make_app(predictor),
        host=arguments.host,
        port=arguments.port,
        http=LimitedConnection,
        access_log=False,  # SageMaker pings every five seconds; refusals are logged with their reason
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
