"""The image's entry point as a child process: commands, reasons of failures, signals, what it does where it is root."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract.names import BASE_DIR_VARIABLE
from pipeline.jobs.entrypoint import FORWARDED, RUN_AS, known_commands, main, may_read, start_forwarding

MESSAGE, FAILURE = "output/message", "output/failure"
ANOTHER_USER = 12345


@pytest.fixture()
def program(root: Path, tmp_path: Path) -> Path:
    """A copy of the entry point with steps of the test's own: prepare reads its program from the environment."""
    package = tmp_path / "pipeline"
    for folder in ("jobs", "workloads"):
        (package / folder).mkdir(parents=True)
    shutil.copytree(root / "pipeline" / "contract", package / "contract")
    for name in ("__init__.py", "jobs/__init__.py", "jobs/entrypoint.py", "workloads/__init__.py"):
        shutil.copy(root / "pipeline" / name, package / name)
    for step in ("prepare", "train"):
        (package / "jobs" / f"{step}.py").write_text("import os\nexec(os.environ['STEP'])\n")
    tmp_path.chmod(0o755)
    return tmp_path


def start(program: Path, *arguments: str, step: str = "", **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.jobs.entrypoint", *arguments],
        cwd=program,
        env={**os.environ, "STEP": step, "SAGEMAKER_BASE_DIR": str(program / "ml"), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(program: Path, *arguments: str, step: str = "", **environment: str) -> tuple[int, str, str]:
    process = start(program, *arguments, step=step, **environment)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def test_every_job_of_the_definition_is_a_command(definition: dict[str, Any]) -> None:
    def jobs(steps: list[dict[str, Any]]) -> list[list[str]]:
        found = []
        for step in steps:
            arguments = step["Arguments"]
            for key in ("AppSpecification", "AlgorithmSpecification"):
                found += [arguments[key]["ContainerEntrypoint"]] if key in arguments else []
            found += jobs([*arguments.get("IfSteps", []), *arguments.get("ElseSteps", [])])
        return found

    found = jobs(definition["Steps"])
    entrypoints = [e for e in found if e[0] == "python"]
    assert [e[0] for e in found if e not in entrypoints] == ["python3"]  # the archive of AggregateOnSpark
    assert all(e[:3] == ["python", "-m", "pipeline.jobs.entrypoint"] and e[3:] == [e[-1]] for e in entrypoints)
    assert {e[-1] for e in entrypoints} | {"serve"} == set(known_commands())


def test_a_wrong_command_says_what_exists(program: Path) -> None:
    code, _, err = ended(program, "tarin")
    assert code == 2
    assert err == "unknown command 'tarin': this image knows prepare, predict, train, evaluate, serve\n"
    assert (program / "ml" / MESSAGE).read_text() == err.strip()
    assert ended(program)[0] == 2


@pytest.mark.parametrize(("command", "file"), [("prepare", MESSAGE), ("train", FAILURE)])
def test_a_workload_that_cannot_be_loaded_is_the_reason(
    root: Path, tmp_path: Path, command: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an image of another workload than the definition's."""
    monkeypatch.setenv(BASE_DIR_VARIABLE, str(tmp_path))
    monkeypatch.setenv("WORKLOAD", "rain")
    assert main([command]) == 2
    assert (tmp_path / file).read_text().startswith('there is no workload "rain": there are ')


def test_serving_that_is_not_in_the_image_is_said(program: Path) -> None:
    code, _, err = ended(program, "serve")
    assert code == 1
    assert err.startswith("this image was built without pipeline.serving.server")


def test_a_step_gets_its_arguments_and_its_exit_code_counts(program: Path) -> None:
    step = "import sys; print(sys.argv[1:], __name__); sys.exit(7)"
    assert ended(program, "prepare", "--as-of", "today", step=step)[:2] == (7, "['--as-of', 'today'] __main__\n")


@pytest.mark.parametrize(("command", "file"), [("prepare", MESSAGE), ("train", FAILURE)])
def test_what_cannot_even_be_loaded_is_written_where_sagemaker_reads_it(program: Path, command: str, file: str) -> None:
    code, _, err = ended(program, command, step="import no_such_library")
    assert code == 1
    assert "Traceback" in err
    assert (program / "ml" / file).read_text().startswith("ModuleNotFoundError: No module named 'no_such_library'")


@pytest.mark.parametrize(
    ("step", "code", "reason"),
    [
        ("os.kill(os.getpid(), 9)", 137, "ended by signal SIGKILL, which the system sends when memory runs out"),
        ("os.abort()", 134, "ended by signal SIGABRT"),
        ("os._exit(3)", 3, "exit code 3"),
    ],
)
def test_a_program_that_dies_without_a_word_is_explained(program: Path, step: str, code: int, reason: str) -> None:
    assert ended(program, "prepare", step=step, RUN_AS=str(os.geteuid()))[0] == code
    assert (program / "ml" / MESSAGE).read_text().startswith(reason)


def test_a_reason_that_the_step_wrote_itself_is_kept(program: Path) -> None:
    step = "import pathlib; f = pathlib.Path('ml/output/failure'); f.parent.mkdir(parents=True); f.write_text('mine')"
    assert ended(program, "train", step=f"{step}; os._exit(1)", RUN_AS=str(os.geteuid()))[0] == 1
    assert (program / "ml" / FAILURE).read_text() == "mine"


@pytest.mark.parametrize(("hosts", "named"), [(["algo-1"], ""), (["algo-1", "algo-2"], "algo-1: ")])
@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("os.kill(os.getpid(), 9)", "ended by signal SIGKILL"),
        ("import sys; sys.exit('bad usage')", "bad usage"),
    ],
)
def test_of_several_hosts_the_one_that_failed_is_named(
    program: Path, step: str, reason: str, hosts: list[str], named: str
) -> None:
    there = program / "ml" / "input/config/resourceconfig.json"
    there.parent.mkdir(parents=True)
    there.write_text(json.dumps({"current_host": "algo-1", "hosts": hosts, "network_interface_name": "eth0"}))
    assert ended(program, "train", step=step, RUN_AS=str(os.geteuid()))[0] != 0
    assert (program / "ml" / FAILURE).read_text().startswith(f"{named}{reason}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_program(program: Path, number: signal.Signals) -> None:
    step = (
        f"import signal, sys, time; signal.signal({int(number)}, lambda *_: sys.exit(42)); "
        "print('ready', flush=True); time.sleep(30)"
    )
    process = start(program, "train", step=step, RUN_AS=str(os.geteuid()))
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.wait(timeout=10) == 42
    process.communicate()


def test_a_signal_while_the_program_is_being_started_reaches_it() -> None:
    def start() -> subprocess.Popen[bytes]:
        os.kill(os.getpid(), signal.SIGTERM)
        return subprocess.Popen(["sleep", "30"])

    before = {number: signal.getsignal(number) for number in FORWARDED}
    try:
        assert start_forwarding(start).wait(timeout=10) == -signal.SIGTERM
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_children_that_the_program_leaves_do_not_keep_it_from_ending(program: Path) -> None:
    step = "import subprocess; subprocess.Popen(['sleep', '20'], stdout=-3, stderr=-3)"
    before = time.monotonic()
    assert ended(program, "prepare", step=step, RUN_AS=str(os.geteuid()))[0] == 0
    assert time.monotonic() - before < 15


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_where_it_is_root_the_program_is_not_and_may_write_to_roots_folders(program: Path) -> None:
    """As in SageMaker: the folders are root's. The interpreter must be one that another user can read."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no Python outside this user's home")
    (program / "ml" / "processing" / "output").mkdir(parents=True, mode=0o755)
    inputs = program / "ml" / "processing" / "input"
    inputs.mkdir()
    (inputs / "games.csv").write_text("x")
    (inputs / "games.csv").chmod(0o600)
    for folder in program.parents:
        if folder.is_relative_to(tempfile.gettempdir()) and not folder.samefile(tempfile.gettempdir()):
            folder.chmod(folder.stat().st_mode | 0o055)
    step = (
        "import pathlib; pathlib.Path('ml/processing/output/made').write_text(pathlib.Path('ml/processing/input/"
        "games.csv').read_text()); print(os.getuid(), os.getgid(), os.getgroups(), os.environ.get('RUN_AS'))"
    )
    done = subprocess.run(
        [python, "-m", "pipeline.jobs.entrypoint", "prepare"],
        cwd=program,
        env={"STEP": step, "SAGEMAKER_BASE_DIR": str(program / "ml"), RUN_AS: str(ANOTHER_USER)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{ANOTHER_USER} {ANOTHER_USER} [] None\n"
    assert (program / "ml/processing/output/made").stat().st_uid == ANOTHER_USER


@pytest.mark.parametrize(
    ("folder", "file", "others", "owner"),
    [(0o755, 0o644, True, True), (0o700, 0o644, False, True), (0o755, 0o600, False, True), (0o755, 0o244, True, False)],
)
def test_who_may_read_a_folder(tmp_path: Path, folder: int, file: int, others: bool, owner: bool) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.ubj").touch(file)
    (model / "model.ubj").chmod(file)
    model.chmod(folder)
    try:
        assert may_read(model, os.getuid()) == owner
        assert may_read(model, ANOTHER_USER) == others
    finally:
        model.chmod(0o755)
