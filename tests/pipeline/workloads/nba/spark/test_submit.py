"""The program above smspark-submit: the step's own reason reaches SageMaker, whatever happens below."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from pipeline.contract import names as c
from pipeline.local.launch.spark import spark_folder
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.spark.archive import write_archive


class Job:
    """A job's folder with one host's files, and the archive started in it."""

    def __init__(self, folder: Path, host: str = "algo-1") -> None:
        self.base = folder / "ml"
        (self.base / "config").mkdir(parents=True)
        (self.base / "processing" / "input" / nba.EVENTS_CHANNEL).mkdir(parents=True)
        hosts = {"current_host": host, "hosts": ["algo-1", "algo-2"], "network_interface_name": c.LOOPBACK_INTERFACE}
        (self.base / "config" / "resourceconfig.json").write_text(json.dumps(hosts))
        self.archive = folder / "code.zip"
        write_archive(self.archive)

    def start(self, commands: Path) -> subprocess.Popen[str]:
        """Run it with the programs of a folder."""
        path = os.pathsep.join([str(commands), str(Path(sys.executable).parent), "/usr/bin", "/bin"])
        environment = {"PATH": path, c.BASE_DIR_VARIABLE: str(self.base)}
        command = [sys.executable, str(self.archive), "--engine", "spark"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(self, commands: Path) -> tuple[int, str]:
        """Exit code, and the reason that SageMaker would read."""
        process = self.start(commands)
        said = process.communicate(timeout=120)[0]
        message = self.base / c.PROCESSING_FAILURE_FILE
        return process.returncode, message.read_text() if message.exists() else f"no reason; {said}"


def stand_in(folder: Path, script: str) -> Path:
    """A folder with a smspark-submit that does this."""
    folder.mkdir(exist_ok=True)
    program = folder / "smspark-submit"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return folder


def test_an_image_without_smspark_submit_is_named_as_that(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    code, reason = Job(tmp_path).end(tmp_path / "none")
    assert code == 1
    assert reason.startswith("this image has no smspark-submit, so it is not SageMaker's Spark image: correct spark_im")


def test_a_driver_that_is_killed_asks_for_larger_machines(tmp_path: Path) -> None:
    """As SageMaker's own program reports it: by the command and its exit status."""
    message = tmp_path / "ml" / c.PROCESSING_FAILURE_FILE
    script = f"mkdir -p {message.parent}; echo 'Algorithm Error: ... exit status 137.' > {message}; exit 137"
    code, reason = Job(tmp_path).end(stand_in(tmp_path / "bin", script))
    assert code == 137
    assert reason.startswith("Spark's driver was killed, which the system does when memory runs out: choose larger ins")


def test_what_smspark_submit_says_for_itself_is_kept(tmp_path: Path) -> None:
    message = tmp_path / "ml" / c.PROCESSING_FAILURE_FILE
    script = f"mkdir -p {message.parent}; echo 'error running Spark job: TimeoutError' > {message}; exit 1"
    assert Job(tmp_path).end(stand_in(tmp_path / "bin", script)) == (1, "error running Spark job: TimeoutError\n")


def test_a_program_that_says_nothing_is_named_with_its_exit_code(tmp_path: Path) -> None:
    code, reason = Job(tmp_path).end(stand_in(tmp_path / "bin", "exit 3"))
    assert (code, reason) == (3, "smspark-submit ended with exit code 3: the step's log says why")


def test_a_long_reason_of_the_step_keeps_its_remedy(tmp_path: Path) -> None:
    text = "a.csv: " + "x" * 3000 + "; correct the file"
    code, reason = Job(tmp_path).end(
        stand_in(tmp_path / "bin", f"printf '%s' '{text}' > ${c.REASON_FILE_VARIABLE}; exit 1")
    )
    assert (code, len(reason), reason[:8], reason[-19:]) == (1, c.REASON_CHARACTERS, "a.csv: x", "x; correct the file")


def test_a_stop_reaches_the_program(tmp_path: Path) -> None:
    started = tmp_path / "started"
    script = f"trap 'echo stopped > {tmp_path}/stopped; exit 143' TERM; touch {started}; while :; do sleep 0.1; done"
    process = Job(tmp_path).start(stand_in(tmp_path / "bin", script))
    while not started.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 143
    assert (tmp_path / "stopped").exists()


def test_another_host_of_the_same_machine_has_nothing_to_do(tmp_path: Path) -> None:
    code, reason = Job(tmp_path, host="algo-2").end(spark_folder() / "bin")
    assert code == 0
    assert reason.startswith("no reason")
