"""Shows the progress of a run: a live table in a terminal, plain lines elsewhere, nothing with --quiet."""

from __future__ import annotations

import sys
import time
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


class Listener:
    """Called at each change of a run, always from the thread that runs it; this one prints nothing."""

    def run_started(self, run: RunResult) -> None:
        """The run starts, or is resumed."""

    def step_changed(self, run: RunResult, step: StepResult) -> None:
        """A step has started, ended, or been skipped."""

    def run_ended(self, run: RunResult) -> None:
        """The run has Succeeded, Failed or been Stopped."""


class PlainProgress(Listener):
    """One plain line for each change, for pipes and logs."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def run_started(self, run: RunResult) -> None:
        """Names the run."""
        again = " (resumed)" if run.resumed else ""
        self._line(f"run {run.execution_id} of {run.pipeline_name}{again}")

    def step_changed(self, run: RunResult, step: StepResult) -> None:
        """Names the step, its status (or why it is not yet started) and, at its end, its time."""
        if step.status == EXECUTING:
            self._line(f"{step.name}: {step.reason or 'started'}")
        elif step.status != SKIPPED:
            self._line(f"{step.name}: {describe(step)}")

    def run_ended(self, run: RunResult) -> None:
        """Names the run's status and time."""
        self._line(f"run {run.execution_id} {run.status} after {_elapsed(run.started_at, run.ended_at)}")

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


class LiveProgress(Listener):
    """A table of the steps that is redrawn in place; it stays on the screen when the run has ended."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live: Live | None = None
        self._run: RunResult | None = None

    def run_started(self, run: RunResult) -> None:
        """Draws the table."""
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        self._run = run
        console = Console(file=self._stream)
        self._live = Live(get_renderable=self._table, console=console, refresh_per_second=8, transient=False)
        self._live.start()

    def step_changed(self, run: RunResult, step: StepResult) -> None:
        """Keeps the change for the next redraw."""
        self._run = run

    def run_ended(self, run: RunResult) -> None:
        """Draws the table for the last time."""
        self._run = run
        if self._live is not None:
            self._live.stop()

    def _table(self) -> Table:
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        run = self._run
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("step")
        table.add_column("status")
        table.add_column("time", justify="right")
        table.add_column("")
        for step in run.steps if run else ():
            untimed = step.started_at is None or step.outcome is not None
            time_taken = "" if untimed else _elapsed(step.started_at or 0.0, step.ended_at)
            note = _note(step, run)
            table.add_row(step.name, Text(_end(step), style=_STYLES[step.status]), time_taken, Text(note, style="dim"))
        return table


def describe(step: StepResult, run: RunResult | None = None) -> str:
    """A step's status, time and notes in one line; of a condition, its outcome.

    Without the reason of a failure, which is said once, at the end; with `run`, with that of a second step that failed.
    """
    note = _note(step, run)
    untimed = step.started_at is None or step.reused or step.outcome is not None
    taken = "" if untimed else f" in {_elapsed(step.started_at or 0.0, step.ended_at)}"
    return f"{_end(step)}{taken}{f' ({note})' if note else ''}"


def _end(step: StepResult) -> str:
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


def _elapsed(start: float, end: float | None) -> str:
    return f"{max(0.0, (end or time.time()) - start):.1f} s"


def listener_for(stream: TextIO | None = None, *, quiet: bool = False) -> Listener:
    """The listener that suits the stream (default: stderr)."""
    stream = stream or sys.stderr
    if quiet:
        return Listener()
    return LiveProgress(stream) if stream.isatty() else PlainProgress(stream)
