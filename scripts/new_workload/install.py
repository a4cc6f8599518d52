"""A new folder of pipeline/workloads, whole or not at all: written and compiled elsewhere, then moved there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from scripts.new_workload.columns import Refusal

WORKLOADS: Final = Path("pipeline") / "workloads"
TESTS: Final = Path("tests") / "pipeline" / "workloads"


def install(root: Path, name: str, files: Mapping[str, str], test: str) -> list[Path]:
    """Write the workload and its test below `root`; returns their files. What was there is kept in .retrain/replaced.

    Raises Refusal where the definition cannot be compiled: then nothing has changed.
    """
    (root / ".retrain").mkdir(exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix="new-workload-", dir=root / ".retrain"))
    try:
        own, tests = _staged(root, staging, name, files), staging / TESTS / name
        tests.mkdir(parents=True)
        # Its own name: two files of one name, in folders that are no packages, are one module to pytest.
        (tests / f"test_{name}_contract.py").write_text(test, encoding="utf-8")
        for source, target in ((own, root / WORKLOADS / name), (tests, root / TESTS / name)):
            if target.exists():
                kept = root / ".retrain" / "replaced" / staging.name / target.relative_to(root)
                kept.parent.mkdir(parents=True)
                target.rename(kept)
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return sorted(path for folder in (WORKLOADS, TESTS) for path in (root / folder / name).glob("*.*"))


def _staged(root: Path, staging: Path, name: str, files: Mapping[str, str]) -> Path:
    """The workload's folder in a copy of the pipeline that has no other, with its compiled definition."""
    shutil.copytree(root / "pipeline", staging / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for other in filter(Path.is_dir, (staging / WORKLOADS).iterdir()):
        shutil.rmtree(other)
    own = staging / WORKLOADS / name
    own.mkdir()
    for file, text in {"__init__.py": "", **files}.items():
        (own / file).write_text(text, encoding="utf-8")
    variables = {key: value for key, value in os.environ.items() if key not in ("WORKLOAD", "PYTHONPATH")}
    command = [sys.executable, "-B", "-m", "pipeline.definition"]
    done = subprocess.run(command, cwd=staging, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refusal(f"the definition cannot be compiled: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")
    return own
