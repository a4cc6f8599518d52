"""The entry point of the targets' image: one of the project's commands, on mounted folders.

docker run IMAGE run --data /data --store /store             a whole run (scripts.run_local): its record and exit code
docker run IMAGE review approve --store /store --version 1   scripts.review_model
docker run IMAGE runs list --store /store                    scripts.runs: what ran, and why
docker run IMAGE clean --store /store                        scripts.clean
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pipeline.jobs.entrypoint import USAGE_ERROR, supervise

COMMANDS: Final = {
    "run": "scripts.run_local",
    "review": "scripts.review_model",
    "runs": "scripts.runs",
    "clean": "scripts.clean",
}


def main(argv: Sequence[str]) -> int:
    """Run a command; returns its exit code, 2 for an unknown one and for a store that is another user's."""
    if not argv or argv[0] not in COMMANDS:
        sys.stderr.write(f"name a command: {', '.join(COMMANDS)} (each explains itself with --help)\n")
        return USAGE_ERROR
    if os.getpid() == 1:  # a container's first process: signals must reach the program, and orphans be reaped
        return supervise(argv, os.geteuid(), ("-m", "targets"))
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    options.add_argument("--store", type=Path)
    store = options.parse_known_args(argv)[0].store
    if store and (problem := foreign(store)):
        sys.stderr.write(f"Error: {problem}\n")
        return USAGE_ERROR
    sys.argv = [COMMANDS[argv[0]], *argv[1:]]
    runpy.run_module(COMMANDS[argv[0]], run_name="__main__", alter_sys=True)
    return 0


def foreign(store: Path) -> str | None:
    """Why this user cannot write a store that another user has made, and what to do; None where they can."""
    for path in [store, *(sorted(store.iterdir()) if os.access(store, os.R_OK | os.X_OK) else [])]:
        if path.is_dir() and path.stat().st_uid != os.geteuid() and not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            owner, here = path.stat(), f"{os.geteuid()}:{os.getegid()}"
            return (
                f"{path} belongs to user {owner.st_uid}:{owner.st_gid}, and this container runs as {here}, which may "
                f"not write there: start it as that user (docker run --user {owner.st_uid}:{owner.st_gid}; in "
                f"Kubernetes runAsUser and fsGroup), or give the mounted folder to this one (chown -R {here})"
            )
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
