"""Which files run in a step, one digest of them (the code version), which are in the image, and the git revision.

Standard library only.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parent
SHARED: Final = (
    "contract.py",
    "due.py",
    "gates.py",
    "parameters.py",
    "reason_text.py",
    "registration.py",
    "requirements.txt",
    "service_text.py",
)


def step_files(package: Path = PACKAGE) -> tuple[Path, ...]:
    """What runs in a step, sorted: the steps' sources, the names they share and the locked packages."""
    folders = (package / "ingest", package / "steps")
    sources = [path for folder in folders for path in folder.iterdir() if path.is_file() and path.suffix != ".pyc"]
    return tuple(sorted([*sources, *(package / name for name in SHARED)]))


def image_files(package: Path = PACKAGE) -> tuple[Path, ...]:
    """What the container image holds of this package, sorted: what .dockerignore lets through."""
    serving = [p for p in (package / "serving").rglob("*") if p.is_file() and p.suffix != ".pyc"]
    return tuple(sorted([*step_files(package), *serving, package / "__init__.py", package / "entrypoint.py"]))


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
