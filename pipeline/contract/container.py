"""The container's folders and its way of saying why a step failed.

A step finds its folders below SAGEMAKER_BASE_DIR (default /opt/ml), in the layout that SageMaker gives a container, so
that a child process with its own base directory sees what a container sees.
"""

from __future__ import annotations

import errno
import json
import math
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from pipeline.contract import names as c
from pipeline.contract.reasons import public_paths, readable, unexpected

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StepError(Exception):
    """A failure that the step can name: its text is the reason that people read, so it says what to do next."""

    in_code = False  # whether its cause is a fault of a workload's code, whose traceback is of use to its author


def base_dir() -> Path:
    return Path(os.environ.get(c.BASE_DIR_VARIABLE, c.DEFAULT_BASE_DIR))


def processing_input(channel: str) -> Path:
    return base_dir() / "processing" / "input" / channel


def processing_output(channel: str) -> Path:
    """Folder of an output channel of a processing job; made if missing."""
    folder = base_dir() / "processing" / "output" / channel
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def public_path(path: Path) -> str:
    """Where people find a file or folder of a processing job: its location in S3, where it has one."""
    return public_paths(str(path), base_dir())


def training_input(channel: str) -> Path:
    return base_dir() / "input" / "data" / channel


# Records that later runs read: the channel that brings each, a key that it always has, and what to do without it.
_RECORDS = {
    c.CHAMPION_FILE: (c.CHAMPION_CHANNEL, "version", "approve a version again to write it"),
    c.EVALUATED_FILE: (c.EVALUATED_CHANNEL, "fingerprint", 'write {"fingerprint": null} there to train again'),
}


def read_record(folder: Path, file: str) -> dict[str, Any]:
    """champion.json or last_evaluated.json of a channel's folder; raises StepError when it cannot be read.

    The champion's `version` is None until a version has been promoted.
    """
    channel, key, remedy = _RECORDS[file]
    try:
        record: dict[str, Any] = json.loads((folder / file).read_bytes())
        _ = record[key], date.fromisoformat(record.get("as_of_date", "1970-01-01"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise StepError(f"{channel}/{file} is missing or unreadable ({error}): {remedy}") from error
    return record


def with_any_value(argv: Sequence[str], *options: str) -> list[str]:
    """The arguments with each of these options and its value in one: a person's text may begin with a dash."""
    items = iter(argv)
    return [f"{item}={next(items, '')}" if item in options else item for item in items]


def json_text(content: Any) -> str:  # noqa: ANN401 - whatever a step and a workload write down
    """A record as its file holds it. JSON has no NaN and no infinity: they become null; of others' types, text."""
    return json.dumps(_plain(content), indent=2, allow_nan=False, default=str) + "\n"


def _plain(value: Any) -> Any:  # noqa: ANN401
    value = value.tolist() if hasattr(value, "tolist") else value  # numpy's numbers and arrays
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def run_step(
    main: Callable[[Sequence[str]], None], argv: Sequence[str], failure_file: str = c.PROCESSING_FAILURE_FILE
) -> int:
    """Run a step's `main`; on an exception write the reason where SageMaker reads it. Returns the exit code.

    A StepError's text is the reason as it is. Of anything else the reason names the exception and says where to look:
    the traceback goes to the log, as does that of a fault in a workload's code.
    """
    try:
        main(argv)
    except Exception as error:  # the last place where the reason can be written down
        return fail(reason_of(error), failure_file)
    return 0


def reason_of(error: BaseException) -> str:
    """What people read of an exception; prints the traceback of one that the step did not foresee."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        path = error.filename2 or error.filename or base_dir()
        return f"{path}: {os.strerror(error.errno).lower()}; make room there, or give the job a larger volume"
    if not isinstance(error, StepError) or error.in_code:
        traceback.print_exception(type(error), error, error.__traceback__)  # as Python 3.9 of a Spark image wants it
    if isinstance(error, StepError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"memory ran out ({error}): choose a larger instance"
    return unexpected(error)


def fail(reason: str, failure_file: str) -> int:
    """Write the reason to the log and to where SageMaker reads it; returns the exit code."""
    reason = readable(reason, base_dir())
    sys.stderr.write(f"{reason}\n")
    path = Path(os.environ.get(c.REASON_FILE_VARIABLE) or base_dir() / failure_file)
    with suppress(OSError):  # the disk may be full: the log has it too
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(reason, encoding="utf-8")
    return 1


def code_version() -> str:
    """The deployed code's version (a digest of what runs in steps); `unknown` outside the pipeline."""
    return os.environ.get("CODE_VERSION", "unknown")
