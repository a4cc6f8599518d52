"""The live table and its plain counterpart."""

from __future__ import annotations

import io
import os
import pty
import select
from dataclasses import replace

import pytest

from pipeline.local.run.progress import LiveProgress, PlainProgress, listener_for
from pipeline.local.store.run_record import RunResult, StepResult

RUN = RunResult(
    execution_id="abc",
    pipeline_name="nightly",
    definition_sha256="",
    constants={},
    parameters={},
    started_at=100.0,
    ended_at=103.0,
    status="Failed",
    steps=(
        StepResult("Prepare", "Processing", "Succeeded", 100.0, 101.25, cached=True),
        StepResult("Gate", "Condition", "Succeeded", 101.0, 101.0, outcome=False),
        StepResult("Train", "Training", "Failed", 101.0, 103.0, attempts=2, reason="no [bold]data[/bold]"),
        StepResult("Register", "RegisterModel", "NotStarted"),
    ),
)


def test_the_table_shows_step_status_time_and_notes_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(writer, "w") as terminal:
        listener = listener_for(terminal)
        assert isinstance(listener, LiveProgress)
        listener(replace(RUN, ended_at=None), None)
        listener(RUN, None)
        terminal.flush()
        shown = ""
        while select.select([reader], [], [], 0.2)[0]:
            shown += os.read(reader, 65536).decode()
    os.close(reader)
    for text in (
        "Prepare",
        "Succeeded",
        "1.2 s",
        "cached",
        "false",
        "no [bold]data[/bold]",
        "2 attempts",
        "NotStarted",
    ):
        assert text in shown


def test_a_terminal_that_cannot_redraw_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = pty.openpty()
    monkeypatch.setenv("TERM", "dumb")
    with os.fdopen(writer, "w") as terminal:
        assert isinstance(listener_for(terminal), PlainProgress)
    os.close(reader)


def test_a_pipe_gets_plain_lines() -> None:
    stream = io.StringIO()
    listener = listener_for(stream)
    assert isinstance(listener, PlainProgress)
    for step in RUN.steps[:3]:
        listener(RUN, step)
    listener(RUN, None)
    assert stream.getvalue() == (
        "Prepare: Succeeded in 1.2 s (cached)\n"
        "Gate: false\n"
        "Train: Failed in 2.0 s (2 attempts)\n"
        "run abc Failed after 3.0 s\n"
    )


def test_quiet_says_nothing() -> None:
    stream = io.StringIO()
    listener_for(stream, quiet=True)(RUN, None)
    assert stream.getvalue() == ""
