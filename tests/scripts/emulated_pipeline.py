"""A deployed pipeline on an emulated AWS on localhost, and commands that talk to it as child processes."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from local_runs import Command
from moto.backends import get_backend
from moto.server import ThreadedMotoServer
from sagemaker_emulation import ACCOUNT, REGION, taught

from pipeline.local.plan.parameters import bind_constants

PIPELINE = "retraining-dev"
GROUP = "nba-home-win-dev"
BUCKET = "artifacts"
CONSTANTS = {
    "ExecutionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/jobs",
    "ImageUri": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/retraining:1",
    "DataBucket": "games-in",
    "ArtifactBucket": BUCKET,
    "KmsKeyId": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k",
    "ModelPackageGroupName": GROUP,
    "CodeVersion": "code1",
    "GitRevision": "abc1234",
    "DefinitionHash": "hash1",
    "SparkImageUri": "173754725891.dkr.ecr.us-east-1.amazonaws.com/sagemaker-spark-processing:3.5-cpu",
    "SparkCodeUri": "s3://assets-bucket/c0de.zip",
    "SparkCodeFile": "c0de.zip",
}

_client = functools.cache(boto3.client)


@dataclass(frozen=True)
class Cloud:
    """The emulated AWS."""

    endpoint: str
    root: Path
    folder: Path

    def client(self, service: str) -> Any:
        """A client of it."""
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        return _client(service, endpoint_url=self.endpoint, region_name=REGION, **keys)

    def environment(self, **changed: str | None) -> dict[str, str]:
        """A user's environment: nothing of this machine's AWS configuration."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        signed_in = {
            "PYTHONPATH": str(self.root),
            "HOME": str(self.folder),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return {k: v for k, v in {**own, **signed_in, **changed}.items() if v is not None}

    def start(self, module: str, *arguments: str, **environment: str | None) -> subprocess.Popen[str]:
        """`python -m scripts.<module> <arguments>`, under way."""
        return subprocess.Popen(
            [sys.executable, "-m", f"scripts.{module}", *arguments],
            cwd=self.root,
            env=self.environment(**environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, module: str, *arguments: str, answer: str = "", **environment: str | None) -> Command:
        """The same to its end; `answer` is typed into it."""
        process = self.start(module, *arguments, **environment)
        out, err = process.communicate(answer, timeout=120)
        assert "Traceback" not in err, err
        return Command(process.returncode, out, err)


def deployed_definition(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The definition with constants bound, as CloudFormation deploys it."""
    return bind_constants(definition, CONSTANTS)


@contextmanager
def emulated(root: Path, folder: Path, definition: Mapping[str, Any] | None) -> Iterator[Cloud]:
    """An empty emulated AWS, with the pipeline deployed if there is a definition."""
    with taught():
        yield from _emulated(root, folder, definition)


def _emulated(root: Path, folder: Path, definition: Mapping[str, Any] | None) -> Iterator[Cloud]:
    for service in ("sagemaker", "s3", "sns"):
        for backend in get_backend(service)[ACCOUNT].values():
            backend.reset()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    cloud = Cloud(f"http://{host}:{port}", root, folder)
    if definition:
        cloud.client("sagemaker").create_pipeline(
            PipelineName=PIPELINE,
            PipelineDefinition=json.dumps(deployed_definition(definition)),
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/pipeline",
            PipelineDescription="as deployed",
            ClientRequestToken="t" * 32,
        )
    try:
        yield cloud
    finally:
        server.stop()
