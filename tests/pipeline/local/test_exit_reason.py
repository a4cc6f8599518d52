"""A reason that is too long keeps its end, where it says what to do, wherever a local run shortens it."""

from __future__ import annotations

from pathlib import Path

import pytest
from local_definitions import Workbench, definition, fail, join, json_get, processing, run_prefix

from pipeline.contract import names as c
from pipeline.local.launch.hosts import Host, exit_reason, with_host_name, written_message

REMEDY = "; correct the file"
LONG = "a.csv, line 2: " + "x" * 5000 + REMEDY


@pytest.mark.parametrize(("step", "file"), [("Training", c.TRAINING_FAILURE_FILE), ("Processing", "output/message")])
def test_of_what_a_program_left(tmp_path: Path, step: str, file: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(LONG)
    reason = written_message(step, tmp_path)
    assert reason is not None
    fits(reason, c.REASON_CHARACTERS, "a.csv, line 2: x")


def test_of_its_last_words(tmp_path: Path) -> None:
    fits(exit_reason(3, ("before", LONG)), c.REASON_CHARACTERS, "exit code 3: a.csv")


@pytest.mark.parametrize(
    ("code", "end"),
    [(-15, "ended by signal SIGTERM"), (-40, "exit code 168"), (128 - 255, "exit code 255"), (3, "exit code 3")],
)
def test_of_an_exit_code_above_128_that_is_no_signals(code: int, end: str) -> None:
    assert exit_reason(code, ()) == f"{end}, and no output"


def test_of_one_of_several_hosts(tmp_path: Path) -> None:
    hosts = tuple(Host(f"algo-{n}", tmp_path, tmp_path / "log", 0) for n in (1, 2))
    fits(with_host_name(hosts[1], hosts, LONG), c.REASON_CHARACTERS, "algo-2: a.csv")


def test_of_a_step_that_fails_the_run(bench: Workbench) -> None:
    prepare = processing(
        "Prepare",
        [f'write:processing/report/why.json={{"why": "{"x" * 200}"}}'],
        outputs={"report": run_prefix("report")},
        property_files={"Report": ("report", "why.json")},
    )
    message = join("", "a.csv, line 2: ", *[json_get("Prepare", "Report", "why")] * 20, REMEDY)
    result = bench.run(definition(prepare, fail("Stop", message)))
    fits(result.failure.reason, c.FAIL_MESSAGE_CHARACTERS, "a.csv, line 2: x")


def fits(reason: str, limit: int, start: str) -> None:
    assert reason.startswith(start)
    assert reason.endswith("x" + REMEDY)
    assert len(reason) == limit
