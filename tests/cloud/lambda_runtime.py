"""Invokes handlers as Lambda does: `python -I lambda_runtime.py SOCKET` listens on a Unix socket until stdin ends.

A request is a line of JSON: environment, folder, handler, event, context. It is answered by a line of JSON: the
handler's answer (none where it raised) and its log. Each runs in a fork of this process, which has loaded boto3: so
does Lambda's own runtime stay ready. Fails when the code imports a package that Lambda's runtime does not have.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import json
import os
import select
import socket
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3  # noqa: F401 - so that the forks have it
import botocore.session

# boto3 with what it needs; certifi is not there, but botocore takes it where it is.
OF_THE_RUNTIME = {"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six", "certifi"}

# What the services' requests look like is read once, and not again by each fork.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)
LOADER = botocore.session.create_loader(None)
for service in ("cloudformation", "s3", "sagemaker", "sns"):
    for kind in ("service-2", "endpoint-rule-set-1", "paginators-1"):
        LOADER.load_service_model(service, kind)
for name in ("endpoints", "partitions", "sdk-default-configuration"):
    LOADER.load_data(name)


def serve(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{path}.new")
        server.listen(64)
        Path(f"{path}.new").rename(path)  # there, and ready
        while True:
            ready, _, _ = select.select([server, sys.stdin], [], [], 1.0)
            if sys.stdin in ready:  # who started it has ended
                return
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if server in ready:
                connection, _ = server.accept()
                with connection:
                    if os.fork() == 0:
                        _answer(connection)


def _answer(connection: socket.socket) -> None:
    log = io.StringIO()
    with connection.makefile("rw") as stream:
        given = json.loads(stream.readline())
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            try:
                answer = invoke(**given)
            except BaseException:
                answer = None
                traceback.print_exc()
        stream.write(json.dumps({"answer": answer, "log": log.getvalue()}))
    os._exit(0)


def invoke(environment: dict[str, str], folder: str, handler: str, event: Any, context: dict[str, Any]) -> str:
    """What the handler answers, as JSON."""
    os.environ.clear()
    os.environ.update(environment)
    at_start = set(sys.modules)
    sys.path.insert(0, folder)
    module, _, function = handler.rpartition(".")
    call = getattr(importlib.import_module(module), function)
    end = time.monotonic() + context.pop("seconds")
    told = SimpleNamespace(get_remaining_time_in_millis=lambda: int((end - time.monotonic()) * 1000), **context)
    answer = json.dumps(call(event, told))
    imported = {name.partition(".")[0] for name in set(sys.modules) - at_start if "site-packages" in _file(name)}
    if missing := imported - OF_THE_RUNTIME:
        raise ImportError(f"Lambda's runtime has no {', '.join(sorted(missing))}")
    return answer


def _file(module: str) -> str:
    return str(getattr(sys.modules[module], "__file__", None) or "")


if __name__ == "__main__":
    serve(sys.argv[1])
