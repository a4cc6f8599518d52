"""Time limits, and stopping by Ctrl-C and SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from local_definitions import Json, Workbench, definition, end_of, processing

from pipeline.local.store.history import read_history
from pipeline.local.store.run_record import RunError, load_run, recent_runs


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)
    return path.read_text()


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not collected yet does not."""
    try:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
    except subprocess.CalledProcessError:
        return False
    return not state.strip().startswith("Z")


# Notes its own process id and that of a child, then works for a long time; "deaf" ones do not hear SIGTERM.
STUBBORN = """
import os, signal, subprocess, sys, tempfile, time
folder = tempfile.mkdtemp(prefix="stubborn-")
if sys.argv[1] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"])
with open(sys.argv[2] + ".new", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[2] + ".new", sys.argv[2])
time.sleep(60)
"""


def temporary_folders(bench: Workbench) -> list[Path]:
    """What STUBBORN made and did not remove, there or where the system would have put it."""
    return [*bench.folder.rglob("stubborn-*"), *Path(tempfile.gettempdir()).glob("stubborn-*")]


def stubborn(bench: Workbench, hearing: str, **options: object) -> tuple[Json, Path]:
    (bench.project / "stubborn.py").write_text(STUBBORN)
    pids = bench.folder / "pids"
    entrypoint = ["python3", "-I", "-S", "stubborn.py", hearing, str(pids)]
    return processing("Slow", [], entrypoint=entrypoint, **options), pids


@pytest.mark.parametrize("hearing", ["hears", "deaf"])
def test_the_time_limit_ends_a_step_with_its_children(bench: Workbench, hearing: str) -> None:
    step, pids = stubborn(bench, hearing, seconds=1)
    begin = time.monotonic()
    result = bench.run(definition(step))
    assert time.monotonic() - begin < 10
    assert result.failure.reason == "stopped after its MaxRuntimeInSeconds of 1"
    assert not temporary_folders(bench)
    assert not any(alive(int(pid)) for pid in pids.read_text().split())


def test_children_that_a_step_leaves_behind_end_with_it(bench: Workbench) -> None:
    script = (
        "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)"
    )
    result = bench.run(definition(processing("A", [], entrypoint=["python3", "-c", script])))
    assert result.status == "Succeeded"
    pid = int((bench.store.root / str(result.steps[0].log_path)).read_text())
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_children_and_marks_the_run(bench: Workbench, number: signal.Signals) -> None:
    step, pids = stubborn(bench, "hears")
    after = processing("After", [f"count:{bench.counter('After')}"], depends_on=["Slow"])
    runner = bench.spawn(definition(step, after))
    children = [int(pid) for pid in wait_for(pids).split()]
    begin = time.monotonic()
    runner.send_signal(number)
    execution_id, status = end_of(runner)
    assert time.monotonic() - begin < 3
    assert status == "Stopped"
    run = load_run(bench.store, execution_id)
    assert (run.status, run.step("Slow").status, run.step("After").status) == ("Stopped", "Stopped", "NotStarted")
    assert run.ended_at is not None
    assert not any(alive(pid) for pid in children)
    assert bench.ran("After") == 0


def test_ctrl_c_in_a_terminal_reaches_the_runner_and_not_the_steps(bench: Workbench) -> None:
    step, pids = stubborn(bench, "hears")
    runner = bench.spawn(definition(step))
    leader = int(wait_for(pids).split()[0])
    assert os.getpgid(leader) == leader
    assert os.getsid(leader) != os.getsid(runner.pid)
    runner.send_signal(signal.SIGINT)
    assert end_of(runner)[1] == "Stopped"


def test_a_killed_run_is_marked_by_the_next_and_its_programs_are_ended(bench: Workbench) -> None:
    step, pids = stubborn(bench, "deaf")
    runner = bench.spawn(definition(step))
    children = [int(pid) for pid in wait_for(pids).split()]
    runner.kill()
    runner.communicate()
    killed = recent_runs(bench.store)[0]
    assert killed.status == "Executing"
    listed = read_history(bench.store)[0][killed.execution_id]
    assert (listed.status, listed.reason) == ("Stopped", "the runner was killed"), "before the next run marks it"
    assert alive(children[0])
    assert len(temporary_folders(bench)) == 1
    other = bench.run(definition(processing("Other", [])))
    assert other.status == "Succeeded"
    marked = load_run(bench.store, killed.execution_id)
    assert (marked.status, marked.steps[0].status, marked.steps[0].reason) == (
        "Stopped",
        "Stopped",
        "the runner was killed",
    )
    deadline = time.monotonic() + 5
    while alive(children[0]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(children[0])
    assert not temporary_folders(bench)
    assert list((bench.store.root / "executing").iterdir()) == []


def test_a_living_run_is_neither_marked_nor_resumed(bench: Workbench) -> None:
    step, pids = stubborn(bench, "hears")
    pipeline = definition(step)
    runner = bench.spawn(pipeline)
    wait_for(pids)
    bench.run(definition(processing("Other", [])))
    living = next(run for run in recent_runs(bench.store) if run.steps[0].name == "Slow")
    assert living.status == "Executing"
    assert read_history(bench.store)[0][living.execution_id].status == "Executing"
    with pytest.raises(RunError, match="still executing in another process"):
        bench.run(pipeline, resume=living.execution_id)
    runner.send_signal(signal.SIGTERM)
    assert end_of(runner) == (living.execution_id, "Stopped")


def test_a_run_outside_the_main_thread_leaves_signals_alone(bench: Workbench) -> None:
    import threading

    before = signal.getsignal(signal.SIGINT)
    results: list[str] = []
    pipeline = definition(processing("A", []))
    thread = threading.Thread(target=lambda: results.append(bench.run(pipeline).status))
    thread.start()
    thread.join()
    assert results == ["Succeeded"]
    assert signal.getsignal(signal.SIGINT) is before
    assert sys.version_info >= (3, 11)
