"""Invokes a handler as Lambda does: `python -I lambda_runtime.py FOLDER MODULE.FUNCTION`, event and context on stdin.

The answer goes to stdout, the log to stderr. Fails when the code imports a package that Lambda's runtime does not have.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import time
from types import SimpleNamespace
from typing import Any

# boto3 with what it needs; certifi is not there, but botocore takes it where it is.
OF_THE_RUNTIME = {"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six", "certifi"}


def main(folder: str, name: str) -> None:
    at_start = set(sys.modules)
    sys.path.insert(0, folder)
    given: dict[str, Any] = json.load(sys.stdin)
    module, _, function = name.rpartition(".")
    with contextlib.redirect_stdout(sys.stderr):
        handler = getattr(importlib.import_module(module), function)
        end = time.monotonic() + given["context"].pop("seconds")
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: int((end - time.monotonic()) * 1000))
        context.__dict__.update(given["context"])
        answer = handler(given["event"], context)
    imported = {name.partition(".")[0] for name in set(sys.modules) - at_start if "site-packages" in _file(name)}
    if missing := imported - OF_THE_RUNTIME:
        raise ImportError(f"Lambda's runtime has no {', '.join(sorted(missing))}")
    sys.stdout.write(json.dumps(answer))


def _file(module: str) -> str:
    return str(getattr(sys.modules[module], "__file__", None) or "")


if __name__ == "__main__":
    main(*sys.argv[1:])
