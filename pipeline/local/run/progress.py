"""Shows the progress of a run: a live table in a terminal, plain lines elsewhere, nothing with --quiet."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from pipeline.local.store.run_record import (
    EXECUTING,
    FAILED,
    NOT_STARTED,
    SKIPPED,
    STOPPED,
    SUCCEEDED,
    RunResult,
    StepResult,
)

if TYPE_CHECKING:  # rich takes longer to import than a cached run takes
    from rich.live import Live
    from rich.table import Table

_STYLES = {
    EXECUTING: "cyan",
    SUCCEEDED: "green",
    FAILED: "bold red",
    STOPPED: "yellow",
    NOT_STARTED: "dim",
    SKIPPED: "dim",
}


# Called at each change of a run, always from the thread that runs it: with the step that has started, ended, or been
# skipped; with None when the run itself starts, or has ended.
Listener = Callable[[RunResult, StepResult | None], None]


class PlainProgress:
    """One plain line for each change, for pipes and logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, run: RunResult, step: StepResult | None) -> None:
        if step is None and run.ended_at is None:
            text = f"run {run.execution_id} of {run.pipeline_name}{' (resumed)' if run.resumed else ''}"
        elif step is None:
            text = f"run {run.execution_id} {run.status} after {_elapsed(run.started_at, run.ended_at)}"
        elif step.status == SKIPPED:
            return
        else:
            text = f"{step.name}: {(step.reason or 'started') if step.status == EXECUTING else describe(step)}"
        self._stream.write(text + "\n")
        self._stream.flush()


class LiveProgress:
    """A table of the steps that is redrawn in place; it stays on the screen when the run has ended."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live: Live | None = None

    def __call__(self, run: RunResult, step: StepResult | None) -> None:
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        self._run = run  # for the next redraw
        if self._live is None:
            console = Console(file=self._stream)
            self._live = Live(get_renderable=self._table, console=console, refresh_per_second=8, transient=False)
            self._live.start()
        if run.ended_at is not None:
            self._live.stop()

    def _table(self) -> Table:
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("step")
        table.add_column("status")
        table.add_column("time", justify="right")
        table.add_column("")
        for step in self._run.steps:
            status = Text(_status(step), style=_STYLES[step.status])
            table.add_row(step.name, status, _time(step), Text(_note(step, self._run), style="dim"))
        return table


def describe(step: StepResult, run: RunResult | None = None) -> str:
    """A step's status, time and notes in one line; of a condition, its outcome.

    Without the reason of a failure, which is said once, at the end; with `run`, with that of a second step that failed.
    """
    note, time_taken = _note(step, run), "" if step.reused else _time(step)
    return f"{_status(step)}{time_taken and f' in {time_taken}'}{note and f' ({note})'}"


def _status(step: StepResult) -> str:
    return step.status if step.outcome is None else "true" if step.outcome else "false"


def _note(step: StepResult, run: RunResult | None) -> str:
    notes = []
    if step.reused:
        notes.append("reused")
    if step.cached:
        notes.append("cached")
    if step.attempts > 1:
        notes.append(f"{step.attempts} attempts")
    failed_too = step.status == FAILED and run is not None and (run.failure is None or run.failure.step != step.name)
    if step.reason and (step.status in {EXECUTING, STOPPED} or failed_too):
        notes.append(step.reason)
    return ", ".join(notes)


def _time(step: StepResult) -> str:
    untimed = step.started_at is None or step.outcome is not None
    return "" if untimed else _elapsed(step.started_at or 0.0, step.ended_at)


def _elapsed(start: float, end: float | None) -> str:
    return f"{max(0.0, (end or time.time()) - start):.1f} s"


def listener_for(stream: TextIO | None = None, *, quiet: bool = False) -> Listener:
    """The listener that suits the stream (default: stderr)."""
    stream = stream or sys.stderr
    if quiet:
        return lambda *_: None
    redrawn = stream.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
    return LiveProgress(stream) if redrawn else PlainProgress(stream)
