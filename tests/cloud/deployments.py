"""The emulated account as tests see it, the CDK CLI at work on it, and what it deployed."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import boto3

T = TypeVar("T")
_client = functools.cache(boto3.client)  # to build a client takes longer than a hundred calls of it
ACCOUNT, REGION = "123456789012", "eu-west-1"
STACK = "retraining-dev"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/retraining@sha256:{'5' * 64}"
# What an operator might choose.
SETTINGS = {
    "image_uri": IMAGE,
    "enabled": "true",
    "schedule": "cron(30 4 * * ? *)",
    "time_zone": "America/New_York",
    "data_arrival": "true",
    "alert_emails": "oncall@example.com",
    "approver_emails": "lead@example.com",
    "monthly_budget_usd": "25",
    "max_run_usd": "2.50",
    "serving": "serverless",
}


@dataclass(frozen=True)
class Account:
    """The account: how to reach it, and the log of its server."""

    environment: dict[str, str]
    log: Path

    def client(self, service: str, **keys: str) -> Any:
        """boto3 of a service, for an administrator, or for whom the keys belong to."""
        own = keys or {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return _client(service, region_name=REGION, endpoint_url=self.environment["AWS_ENDPOINT_URL"], **own)

    def run(self, command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command that works on the account."""
        return subprocess.run(
            command,
            cwd=folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=180,
        )

    def operate(self, root: Path, module: str, *arguments: str, code: int = 0, key: str = "test") -> str:
        """`python -m module arguments`, as the person types it whose access key it is; what it said."""
        done = self.run([sys.executable, "-m", module, *arguments], root, AWS_ACCESS_KEY_ID=key)
        assert done.returncode == code, f"{module} {arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@dataclass(frozen=True)
class Cdk:
    """The project's own CDK CLI."""

    account: Account
    binary: Path
    outputs: Path  # where synthesised assemblies go
    synthesised: dict[Path, list[str]] = field(default_factory=dict)  # by the assembly that it left

    def __call__(self, folder: Path, *arguments: str, code: int = 0) -> str:
        """Run it in a folder; what it said."""
        done = self.account.run([str(self.binary), "--ci", "--no-notices", *arguments], folder)
        log = self.account.log.read_text(encoding="utf-8")[-6000:]
        assert done.returncode == code, f"cdk {arguments}\n{done.stdout}\n{done.stderr}\n{log}"
        return done.stdout + (done.stderr if code else "")

    def deploy(self, folder: Path, environment: str = "dev", code: int = 0, **others: str) -> str:
        """`cdk deploy` of the app in a folder, with `others` than the usual settings; the same is synthesised once."""
        settings = [part for name, value in {**SETTINGS, **others}.items() for part in ("-c", f"{name}={value}")]
        synthesis = ["--app", f"{sys.executable} app.py", "-c", f"env={environment}", *settings]
        assembly = self.assembly(folder, environment)
        if self.synthesised.get(assembly) == synthesis:
            app = ["--app", str(assembly)]
        else:
            app = [*synthesis, "--output", str(assembly)]
        self.synthesised[assembly] = synthesis
        return self(folder, "deploy", *app, "--require-approval", "never", code=code)

    def destroy(self, folder: Path, environment: str = "dev") -> str:
        """`cdk destroy` of what was deployed."""
        return self(folder, "destroy", "--app", str(self.assembly(folder, environment)), "--force")

    def assembly(self, folder: Path, environment: str = "dev") -> Path:
        """What the app in a folder was synthesised to."""
        return self.outputs / f"{folder.name}-{environment}"


@dataclass(frozen=True)
class Deployed:
    """The stack."""

    account: Account
    outputs: dict[str, str]
    stack_id: str
    physical: dict[str, str]  # logical id -> physical id
    template: dict[str, Any]
    people: dict[str, str]  # Approver, Operator -> access key of a person who has the stack's policy of that name

    def person(self, service: str, who: str) -> Any:
        """boto3 of a service for one of the people."""
        return self.client(service, aws_access_key_id=self.people[who], aws_secret_access_key="any")

    def client(self, service: str, **keys: str) -> Any:
        """boto3 of a service, for an administrator, or for whom the keys belong to."""
        return self.account.client(service, **keys)

    @property
    def pipeline(self) -> Any:
        """As SageMaker describes it."""
        return self.client("sagemaker").describe_pipeline(PipelineName=self.outputs["PipelineName"])

    def resource(self, kind: str, marked: str = "") -> str:
        """The physical id of the only resource of a type whose logical id contains `marked`."""
        found = self.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
        (physical,) = [
            r["PhysicalResourceId"] for r in found if r["ResourceType"] == kind and marked in r["LogicalResourceId"]
        ]
        return str(physical)

    def put_event(self, event: dict[str, Any]) -> None:
        """Put an event on the bus as its service does."""
        entry = {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
        entry |= {"Resources": event["resources"]} if event.get("resources") else {}
        self.client("events").put_events(Entries=[entry])

    def runs(self) -> list[dict[str, Any]]:
        """The pipeline's runs, newest first, each with its parameters."""
        client, name = self.client("sagemaker"), self.outputs["PipelineName"]
        runs = client.list_pipeline_executions(PipelineName=name, MaxResults=50)["PipelineExecutionSummaries"]
        for run in runs:
            given = client.list_pipeline_parameters_for_execution(PipelineExecutionArn=run["PipelineExecutionArn"])
            run["Parameters"] = {p["Name"]: p["Value"] for p in given.get("PipelineParameters", [])}
        return list(runs)

    def end_run(self, arn: str, status: str = "Succeeded") -> None:
        """Let a run end: the account takes it from SageMaker's own event."""
        detail = {"pipelineExecutionArn": arn, "pipelineArn": arn.partition("/execution")[0]}
        self.put_event(
            {
                "source": "aws.sagemaker",
                "detail-type": "SageMaker Model Building Pipeline Execution Status Change",
                "detail": {**detail, "currentPipelineExecutionStatus": status},
            }
        )


@dataclass(frozen=True)
class Mailbox:
    """A person's inbox, or with `protocol="sqs"` a queue that gets what programs get."""

    client: Any
    url: str

    @classmethod
    def subscribe(cls, account: Account, topic: str, name: str, protocol: str = "email") -> Mailbox:
        """A new subscriber."""
        sqs = account.client("sqs")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        sns, address = account.client("sns"), f"{name}@example.com"
        if protocol == "email":
            sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=address)
            sns.confirm_subscription(TopicArn=topic, Token=address)
        else:
            queue, raw = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}", {"RawMessageDelivery": "true"}
            sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=queue, Attributes=raw)
        return cls(sqs, url)

    def read(self) -> dict[str, Any] | None:
        """The next mail, with `Subject` and `Message`; None when there is none."""
        for message in self.client.receive_message(QueueUrl=self.url).get("Messages", []):
            self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
            mail: dict[str, Any] = json.loads(message["Body"])
            return mail
        return None

    def wait(self) -> dict[str, Any]:
        """The next mail, as soon as it is there."""
        return eventually(self.read)


def eventually(found: Callable[[], T | None], seconds: float = 60) -> T:
    """What `found` returns as soon as that is something: events are delivered when they are delivered."""
    until = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < until, f"not within {seconds} s: {found}"
        time.sleep(0.1)
    return value
