"""`python -m scripts.versions diff` as a child process, on files and on git revisions."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def versions(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.versions", *arguments], cwd=root, capture_output=True, text=True, check=False
    )


@pytest.fixture
def changed(tmp_path: Path, definition: dict[str, Any]) -> Path:
    other = json.loads(json.dumps(definition))
    other["Steps"][0]["Arguments"]["StoppingCondition"]["MaxRuntimeInSeconds"] = 60
    path = tmp_path / "other.json"
    path.write_text(json.dumps(other), encoding="utf-8")
    return path


def test_files_in_words_and_exit_codes(root: Path, changed: Path) -> None:
    same = versions(root, "diff", "pipeline/workloads/nba/definition.json", "pipeline/workloads/nba/definition.json")
    assert (same.returncode, same.stdout) == (0, "no difference\n")
    differs = versions(root, "diff", "pipeline/workloads/nba/definition.json", str(changed))
    assert differs.returncode == 1
    assert differs.stdout == "~ step Prepare: StoppingCondition.MaxRuntimeInSeconds: 3600 -> 60\n"


def test_json_output(root: Path, changed: Path) -> None:
    done = versions(root, "diff", "--json", "pipeline/workloads/nba/definition.json", str(changed))
    assert json.loads(done.stdout) == [
        {
            "kind": "changed",
            "subject": "step Prepare",
            "field": "StoppingCondition.MaxRuntimeInSeconds",
            "before": "3600",
            "after": "60",
        }
    ]


def test_git_revisions(root: Path, changed: Path, tmp_path: Path) -> None:
    """In a repository of its own: the committed file against the working tree."""
    copy = tmp_path / "copy"
    for folder in ("pipeline", "scripts"):
        shutil.copytree(root / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "cdk.json", copy)  # names the workload
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], cwd=copy, check=True)
    assert versions(copy, "diff").returncode == 0
    shutil.copy(changed, copy / "pipeline" / "workloads" / "nba" / "definition.json")
    done = versions(copy, "diff", "HEAD")
    assert (done.returncode, "3600 -> 60" in done.stdout) == (1, True)


def test_what_is_neither_is_refused_with_a_way_on(root: Path, tmp_path: Path) -> None:
    unknown = versions(root, "diff", "no-such-thing")
    assert unknown.returncode == 2
    assert "neither a file nor a git revision" in unknown.stderr
    assert "Traceback" not in unknown.stderr
    text = tmp_path / "text.json"
    text.write_text("not json", encoding="utf-8")
    assert "is not JSON" in versions(root, "diff", str(text)).stderr
    assert versions(root, "diff", "--", "--output=x").returncode == 2
