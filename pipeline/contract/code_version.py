"""Which files run in a step, one digest of them (the code version), which are in the image, and the git revision.

Standard library only.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

PACKAGE: Final = Path(__file__).resolve().parents[1]
# Folders whose code runs in a step: the code version covers them. The image holds them and the server besides.
STEP_FOLDERS: Final = ("contract", "evaluation", "ingest", "jobs", "monitoring", "training")
# Deployed beside the image: the definition and its parts. And what only a backtest reads.
_LEFT_OUT: Final = ("definition.json", "spark", "steps.py", "backtest.py")


def definition_file(workload: str, package: Path = PACKAGE) -> Path:
    return package / "workloads" / workload / "definition.json"


def all_steps(steps: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every step of a definition, including those in branches of conditions."""
    for step in steps:
        yield step
        for branch in ("IfSteps", "ElseSteps"):
            yield from all_steps(step.get("Arguments", {}).get(branch, ()))


def step_files(workload: str, package: Path = PACKAGE) -> tuple[Path, ...]:
    """What runs in a step of a workload, sorted: core's folders, the workload's, and the locked packages."""
    shared = (package / "__init__.py", package / "requirements.txt", package / "workloads" / "__init__.py")
    return tuple(sorted([*_files(package, (*STEP_FOLDERS, f"workloads/{workload}")), *shared]))


def image_files(workload: str, package: Path = PACKAGE) -> tuple[Path, ...]:
    """What the workload's image holds of this package, sorted."""
    return tuple(sorted([*step_files(workload, package), *_files(package, ("serving",))]))


def _files(package: Path, folders: Iterable[str]) -> list[Path]:
    found = [path for folder in folders for path in (package / folder).rglob("*") if path.is_file()]
    return [p for p in found if p.suffix != ".pyc" and not set(p.relative_to(package).parts) & set(_LEFT_OUT)]


def code_version(workload: str, package: Path = PACKAGE) -> str:
    """Digest of what runs in a step: another fingerprint of data wherever it differs."""
    return digest_of(step_files(workload, package), package)


def image_content(workload: str, package: Path = PACKAGE) -> str:
    return digest_of(image_files(workload, package), package)


def write_image_context(workload: str, folder: Path, package: Path = PACKAGE) -> None:
    """Copy into `folder` what an image of the workload is built from: its files and the Dockerfile."""
    for path in (*image_files(workload, package), package / "Dockerfile"):
        target = folder / path.relative_to(package)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (folder / ".dockerignore").write_text("Dockerfile\n.dockerignore\n", encoding="utf-8")  # sent, but not copied


def digest_of(files: Iterable[Path], package: Path) -> str:
    """SHA-256 of the files by path below `package` and content; the same on every machine that has the same files."""
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"\n{path.relative_to(package).as_posix()}\0".encode())
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal; the file is read in parts."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def git_revision() -> str:
    """The commit that is checked out; `unknown` outside git."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]  # git as the user's shell finds it
    try:
        return subprocess.check_output(command, cwd=PACKAGE, stderr=subprocess.DEVNULL, text=True).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
