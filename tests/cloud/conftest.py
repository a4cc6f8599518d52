"""One emulated account for all tests of this folder, into which the stack is deployed once.

The files run in the order of their names: deploy, use, destroy.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments import ACCOUNT, REGION, STACK, Account, Cdk, Deployed

START_SECONDS = 60


@pytest.fixture(scope="session")
def account(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The account, in a process of its own."""
    folder = tmp_path_factory.mktemp("account")
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(root / "tests"),
        "HOME": str(folder),
        "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(Path.home() / ".cache" / "aws" / "jsii" / "package-cache"),
        "CDK_HOME": str(folder / "cdk"),  # whose cache of account ids the CLI else keeps where HOME has no say
        "NODE_OPTIONS": f"--require={_user_of_another_emulator(folder)}",
        "AWS_ENDPOINT_URL": f"http://localhost:{port}",
        "IAM_EMULATION_FOLDER": str(folder),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20",
        "CI": "true",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
    }
    log = folder / "server.log"
    with log.open("w") as sink:
        server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "cloud.emulated_account", str(port)],
            cwd=folder,
            env=environment,
            stdout=sink,
            stderr=sink,
        )
        try:
            _wait_for(server, port, log)
            yield Account(environment, log)
        finally:
            server.kill()
            server.wait()


def _user_of_another_emulator(folder: Path) -> Path:
    """A script for node after which the user's own folder is one in which the CDK knows the key `test` already."""
    home = folder / "home"
    cache = home / ".cdk" / "cache" / "accounts_partitions.json"
    cache.parent.mkdir(parents=True)
    cache.write_text(json.dumps({"test": {"accountId": "000000000000", "partition": "aws"}}), encoding="utf-8")
    script = folder / "user.js"
    script.write_text(
        "const os = require('os'); const entry = os.userInfo();"
        f" os.userInfo = () => ({{...entry, homedir: {json.dumps(str(home))}}});",
        encoding="utf-8",
    )
    return script


def _wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the emulated account does not answer:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="session")
def cdk(account: Account, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Cdk:
    """The project's CDK CLI; skips where it or node is missing."""
    binary = root / "node_modules" / ".bin" / "cdk"
    if not shutil.which("node"):
        pytest.skip("node is not installed: the CDK CLI needs it")
    if not binary.exists():
        pytest.skip("the CDK CLI is not installed: npm ci")
    return Cdk(account, binary, tmp_path_factory.mktemp("assemblies"))


@pytest.fixture(scope="session")
def deployed(account: Account, cdk: Cdk, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The account bootstrapped, and the stack of `dev` deployed from this checkout."""
    elsewhere = tmp_path_factory.mktemp("no-app")  # bootstrapping needs no synthesis
    assert "bootstrapped" in cdk(elsewhere, "bootstrap", f"aws://{ACCOUNT}/{REGION}")
    cdk.deploy(root)
    (stack,) = account.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    resources = account.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
    made = [resource for page in resources for resource in page["StackResourceSummaries"]]
    physical = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in made}
    (template,) = cdk.assembly(root).glob("*.template.json")
    people = {name: _person(account, name, outputs[f"{name}Policy"]) for name in ("Approver", "Operator")}
    return Deployed(
        account, outputs, stack["StackId"], physical, json.loads(template.read_text(encoding="utf-8")), people
    )


def _person(account: Account, name: str, policy: str) -> str:
    """The access key of a new person with a policy."""
    iam = account.client("iam")
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=policy)
    return str(iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"])


@pytest.fixture(scope="session")
def redeployed(cdk: Cdk, deployed: Deployed, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stack deployed again from a copy of the project in which one default is another, also in definition.json."""
    project = tmp_path_factory.mktemp("projects") / "changed"
    for part in ("infra", "pipeline"):
        shutil.copytree(root / part, project / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("app.py", "cdk.json"):
        shutil.copy2(root / part, project / part)
    file = project / "pipeline" / "workloads" / "nba" / "definition.json"
    definition = json.loads(file.read_text(encoding="utf-8"))
    depth = next(p for p in definition["Parameters"] if p["Name"] == "MaxDepth")
    depth["DefaultValue"] += 1
    spec = project / "pipeline" / "workloads" / "nba" / "spec.py"
    text, declared = spec.read_text(encoding="utf-8"), "    defaults={\n"
    assert declared in text
    spec.write_text(
        text.replace(declared, f'{declared}        "MaxDepth": {depth["DefaultValue"]},\n'), encoding="utf-8"
    )
    file.write_text(json.dumps(definition), encoding="utf-8")
    assert "(no changes)" not in cdk.deploy(project)
    return project
