"""Which files run in a step, and one digest of them: the code version of a deployed pipeline. Standard library only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parent
SHARED: Final = ("contract.py", "gates.py", "parameters.py", "requirements.txt")


def step_files(package: Path = PACKAGE) -> tuple[Path, ...]:
    """What runs in a step, sorted: the steps' sources, the names they share and the locked packages."""
    sources = [path for path in (package / "steps").iterdir() if path.is_file() and path.suffix != ".pyc"]
    return tuple(sorted([*sources, *(package / name for name in SHARED)]))


def code_version(files: Iterable[Path] | None = None, package: Path = PACKAGE) -> str:
    """SHA-256 of the files by path below `package` and content; the same on every machine that has the same files."""
    whole = hashlib.sha256()
    for path in step_files(package) if files is None else files:
        whole.update(f"\n{path.relative_to(package).as_posix()}\0".encode())
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()
