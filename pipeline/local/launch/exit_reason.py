"""Why a job's program ended: the message that it wrote, else its exit code and the last line of its log."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from pipeline.contract.names import PROCESSING_FAILURE_FILE, TRAINING_FAILURE_FILE
from pipeline.contract.reasons import shorten


def written_message(step_type: str, base_dir: Path) -> str | None:
    """The message that the program wrote for SageMaker, without a traceback."""
    path = base_dir / (TRAINING_FAILURE_FILE if step_type == "Training" else PROCESSING_FAILURE_FILE)
    try:
        text = path.read_text(errors="replace").strip()
    except OSError:
        return None
    if "Traceback (most recent call last)" in text:
        text = text.splitlines()[-1].strip()
    return shorten(text) or None


def exit_reason(code: int, lines: tuple[str, ...]) -> str:
    """Why a program ended, from its exit code (negative: a signal) and the last line of its log."""
    if code < 0:
        end = f"ended by signal {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            end += ", which the system sends when memory runs out"
    else:
        end = f"exit code {code}"
    return shorten(f"{end}: {lines[-1].strip()}") if lines else f"{end}, and no output"


def last_lines(path: Path, count: int, start: int = 0) -> tuple[str, ...]:
    """The last lines that are not empty of a log, from byte `start` on; at most its last 64 KiB are read."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(start, size - 65536))
            text = log.read().decode(errors="replace")
    except FileNotFoundError:
        return ()
    return tuple([line.rstrip() for line in text.splitlines() if line.strip()][-count:])
