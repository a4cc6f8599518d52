"""Which files run in a step, one digest of them (the code version), which are in the image, and the git revision.

Standard library only.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parents[1]
DEFINITION_FILE: Final = PACKAGE / "workloads" / "nba" / "definition.json"
# Folders whose code runs in a step: the code version covers them. The image holds them and the server besides.
STEP_FOLDERS: Final = ("contract", "evaluation", "ingest", "jobs", "monitoring", "training", "workloads")
_LEFT_OUT: Final = ("definition.json", "spark")  # deployed beside the image: the definition, the cluster's program


def step_files(package: Path = PACKAGE) -> tuple[Path, ...]:
    """What runs in a step, sorted: its folders and the locked packages."""
    return tuple(sorted([*_files(package, STEP_FOLDERS), package / "__init__.py", package / "requirements.txt"]))


def image_files(package: Path = PACKAGE) -> tuple[Path, ...]:
    """What the container image holds of this package, sorted: what .dockerignore lets through."""
    return tuple(sorted([*step_files(package), *_files(package, ("serving",))]))


def _files(package: Path, folders: Iterable[str]) -> list[Path]:
    found = [path for folder in folders for path in (package / folder).rglob("*") if path.is_file()]
    return [p for p in found if p.suffix != ".pyc" and not set(p.relative_to(package).parts) & set(_LEFT_OUT)]


def code_version(files: Iterable[Path] | None = None, package: Path = PACKAGE) -> str:
    """SHA-256 of the files by path below `package` and content; the same on every machine that has the same files."""
    whole = hashlib.sha256()
    for path in step_files(package) if files is None else files:
        whole.update(f"\n{path.relative_to(package).as_posix()}\0".encode())
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def git_revision() -> str:
    """The commit that is checked out; `unknown` outside git."""
    try:
        found = subprocess.run(  # a fixed command
            ["git", "rev-parse", "--short=12", "HEAD"],  # noqa: S607 - git as the user's shell finds it
            cwd=PACKAGE,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"
