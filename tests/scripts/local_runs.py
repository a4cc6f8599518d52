"""Runs the command line as a user does: child processes, a small simulated league, a store of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Three seasons are enough for the gates with a record of 600 games, and a run takes seconds.
SMALL = {"WalkForwardRows": "600", "MinEvaluatedRows": "400", "BoostingRounds": "20", "AsOfDate": "2025-03-01"}


@dataclass(frozen=True)
class Command:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output as JSON."""
        return json.loads(self.out)


def run_command(root: Path, cwd: Path, module: str, *arguments: str) -> Command:
    """`python -m module arguments` in `cwd`."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=240,
    )
    return Command(done.returncode, done.stdout, done.stderr)


def run_local(root: Path, store: Path, data: Path, *arguments: str, **parameters: str) -> Command:
    """`run_local --json` on small settings, overridden by `parameters`."""
    return run_command(root, store.parent, "scripts.run_local", *_arguments(store, data, *arguments, **parameters))


def start_local(root: Path, store: Path, data: Path, *arguments: str, **parameters: str) -> subprocess.Popen[str]:
    """The same, not waited for."""
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.run_local", *_arguments(store, data, *arguments, **parameters)],
        cwd=store.parent,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _arguments(store: Path, data: Path, *arguments: str, **parameters: str) -> list[str]:
    chosen = [part for name, value in {**SMALL, **parameters}.items() for part in ("--param", f"{name}={value}")]
    return ["--data", str(data), "--store", str(store), "--json", *chosen, *arguments]
