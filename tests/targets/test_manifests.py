"""The examples of docs/targets.md: understood by their readers, and with what a security review asks for."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from scripts.run_local import main as run_local


def blocks(root: Path, language: str) -> list[str]:
    page = (root / "docs" / "targets.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def options(arguments: list[str]) -> list[str]:
    """The arguments after the command `run`, which the local run understands."""
    given = arguments[arguments.index("run") + 1 :]
    used = {argument for argument in given if argument.startswith("--")}
    assert used <= {name for parameter in run_local.params for name in parameter.opts}
    return given


def test_the_cron_job_is_what_a_security_review_wants(root: Path) -> None:
    cron, policy = yaml.safe_load_all(blocks(root, "yaml")[0])
    assert (cron["apiVersion"], cron["kind"]) == ("batch/v1", "CronJob")
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    job = cron["spec"]["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    assert (job["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    assert pod["automountServiceAccountToken"] is False
    (user,) = re.findall(r"^USER (\d+):", (root / "targets" / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        **dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), int(user)),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]) == {"requests", "limits"}
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    places = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {value for value in options(["", *container["args"]]) if value.startswith("/")} < places
    assert policy["spec"]["podSelector"]["matchLabels"] == job["template"]["metadata"]["labels"]
    assert not {"ingress", "egress"} & set(policy["spec"])  # no rule: nothing is let in or out


def test_the_systemd_units_are_understood(root: Path, tmp_path: Path) -> None:
    service, timer = blocks(root, "ini")
    start = re.search(r"ExecStart=((?:.*\\\n)*.*)", service)
    assert start
    _, _, arguments = start[1].replace("\\\n", "").partition("retraining-targets:local")
    assert options(shlex.split(arguments))
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here: apt-get install systemd")
    docker = tmp_path / "docker"  # what a unit starts must be there
    docker.write_text("#!/bin/sh\n")
    docker.chmod(0o755)
    (tmp_path / "docker.service").write_text(f"[Service]\nExecStart={docker}\n")
    (tmp_path / "retraining-churn.service").write_text(service.replace("/usr/bin/docker", str(docker)))
    (tmp_path / "retraining-churn.timer").write_text(timer)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "retraining-churn.timer")],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    about_ours = [line for line in done.stderr.splitlines() if "retraining-churn" in line]
    assert (done.returncode, about_ours) == (0, []), done.stderr
