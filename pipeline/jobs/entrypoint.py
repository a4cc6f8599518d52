"""The image's one entry point: runs a step or serves, and says why it failed where SageMaker reads it.

python -m pipeline.jobs.entrypoint prepare --as-of today ...    a processing job: prepare, predict, evaluate
python -m pipeline.jobs.entrypoint train                        a training job
python -m pipeline.jobs.entrypoint serve                        an endpoint

SageMaker starts containers as root, with folders that belong to root ("Create your container so that it uses only root
users", docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html). So the image names an unprivileged
user instead (`RUN_AS`): the first process hands the folders to it, starts the program as that user, forwards signals to
it, and writes the reason down if the program died without doing so. Standard library only.
"""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import signal
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

from pipeline.contract import names as c
from pipeline.contract.container import StepError, base_dir
from pipeline.contract.reasons import readable, shorten, unexpected

COMMANDS: Final = {
    "prepare": "pipeline.jobs.prepare",
    "predict": "pipeline.jobs.predict",
    "train": "pipeline.jobs.train",
    "evaluate": "pipeline.jobs.evaluate",
    "serve": "pipeline.serving.server",
}
RUN_AS: Final = "RUN_AS"  # set in the image only: the user id that programs run with where the container starts as root
FORWARDED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
USAGE_ERROR: Final = 2


def main(argv: Sequence[str]) -> int:
    """Run a command; returns the exit code, 2 for an unknown command, or an invalid workload."""
    try:
        known = known_commands()
        given = f"unknown command {argv[0]!r}" if argv else "no command was given"
        reason = "" if argv and argv[0] in known else f"{given}: this image knows {', '.join(known)}"
    except StepError as error:
        reason = str(error)
    if reason:
        sys.stderr.write(f"{reason}\n")
        if argv:
            write_failure(argv[0], reason)
        return USAGE_ERROR
    user = os.environ.pop(RUN_AS, "")
    if user:
        return supervise(argv, int(user))
    return run(argv[0], argv[1:])


def known_commands() -> dict[str, str]:
    """Command -> module: core's, and those of the workload's extra steps."""
    # Not above: SageMaker's Spark image has Python 3.9, and imports this file to supervise its step.
    from pipeline.contract.workload import current_workload, workload_names  # noqa: PLC0415

    return {**COMMANDS, **(current_workload().spec.commands if workload_names() else {})}


def run(command: str, arguments: Sequence[str]) -> int:
    """Run a command's module in this process, as `python -m` would; a failure to even load it is written down."""
    module, found = known_commands()[command], None
    if command == "serve":  # replaces this process: a server may start workers, which import its main module again
        with suppress(ModuleNotFoundError):  # its package is missing
            found = importlib.util.find_spec(module)
        if not found:
            sys.stderr.write(f"this image was built without {module}: there is nothing to serve with; build it again\n")
            return 1
        os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - no shell
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
            write_failure(command, end.code)
            return USAGE_ERROR
        return end.code or 0
    except BaseException as error:
        traceback.print_exc()
        write_failure(command, unexpected(error))
        return 1
    return 0


def supervise(argv: Sequence[str], user: int, program: Sequence[str] = ("-m", "pipeline.jobs.entrypoint")) -> int:
    """Run this entry point (or another `program`) as a child, unprivileged where we are root; returns its exit code.

    As the container's first process it reaps what the program leaves, and signals reach the program: the kernel
    would not let the default action of SIGTERM end process 1.
    """
    command = [sys.executable, *program, *argv]
    child = start_forwarding(lambda: _start(command, user))
    code = _reap(child.pid)
    if code != 0 and argv[0] != "serve":
        write_failure(argv[0], _ended(code))
        if argv[0] == "train":
            name_host()
    return 128 - code if code < 0 else code


def start_forwarding(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a program that gets the signals we get, those too that come while it is being started."""
    waiting: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def forward(number: int, _frame: FrameType | None) -> None:
        if child is None:
            waiting.append(number)
        else:
            with suppress(ProcessLookupError):
                os.kill(child.pid, number)

    for forwarded in FORWARDED:
        signal.signal(forwarded, forward)
    child = start()
    for number in waiting:
        forward(number, None)
    return child


def _start(command: list[str], user: int) -> subprocess.Popen[bytes]:
    if os.geteuid() != 0:
        return subprocess.Popen(command)
    hand_over(base_dir(), user)
    if not may_read(base_dir() / c.MODEL_CHANNEL, user):  # an endpoint's model is mounted read-only
        sys.stderr.write("running as root, because no other user may read the model's folder\n")
        return subprocess.Popen(command)
    try:
        return subprocess.Popen(command, user=user, group=user, extra_groups=[])
    except (PermissionError, subprocess.SubprocessError) as error:  # a container without the right to change its user
        sys.stderr.write(f"running as root, because this container cannot change its user ({error})\n")
        return subprocess.Popen(command)


def hand_over(folder: Path, user: int) -> None:
    """Make `user` the owner of everything at and below `folder`; what cannot be changed (read-only mounts) stays."""
    for parent, folders, files in os.walk(folder):
        for path in (parent, *(os.path.join(parent, name) for name in (*folders, *files))):  # noqa: PTH118 - plain text
            with suppress(OSError):
                os.chown(path, user, user, follow_symlinks=False)


def may_read(folder: Path, user: int) -> bool:
    """Whether the modes of `folder` and of all below it let `user` (in no group of theirs) read them."""
    paths = [folder, *folder.rglob("*")] if folder.exists() else []
    return all(_readable(path.lstat(), user) for path in paths)


def _readable(found: os.stat_result, user: int) -> bool:
    needed = 0o5 if stat.S_ISDIR(found.st_mode) else 0o4
    allowed = found.st_mode >> 6 if found.st_uid == user else found.st_mode
    return allowed & needed == needed


def _reap(pid: int) -> int:
    """Wait for `pid`, and for every orphan that ends before it; returns its exit code, negative for a signal."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def _ended(code: int) -> str:
    if code >= 0:
        return f"exit code {code}: the step's log says why"
    name = signal.Signals(-code).name
    memory = ", which the system sends when memory runs out: choose a larger instance" if name == "SIGKILL" else ""
    return f"ended by signal {name}{memory}"


def write_failure(command: str, reason: str) -> None:
    """Write the reason where SageMaker reads it, unless the step has written one; do nothing where it cannot."""
    path = base_dir() / (c.TRAINING_FAILURE_FILE if command == "train" else c.PROCESSING_FAILURE_FILE)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(readable(reason, base_dir()))


def name_host() -> None:
    """Put this host's name before the reason of a training job of several: only one host's reason reaches people."""
    path = base_dir() / c.TRAINING_FAILURE_FILE
    with suppress(OSError, ValueError, KeyError, TypeError):  # a file that is not SageMaker's changes no reason
        there = json.loads((base_dir() / c.TRAINING_HOSTS_FILE).read_text(encoding="utf-8"))
        if len(there["hosts"]) > 1:
            reason = f"{there['current_host']}: {path.read_text(encoding='utf-8')}"
            path.write_text(shorten(reason), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
