"""Teaches moto what services do of their own accord: deliver events, run functions, tell of a changed model package.

- EventBridge delivers to Step Functions and Lambda, in the shape that a rule's target wants
- Lambda runs the code that was uploaded, in a process for each call (moto's own way needs Docker)
- SageMaker tells EventBridge of an endpoint that changed its state, and of a model package that was registered,
  approved or rejected, and refuses to make a group twice, to delete a
  group that still holds one, or a pipeline that runs; an event about a run, put by a test, is also what the run then is
- Step Functions interprets a stack's workflows
"""

from __future__ import annotations

import functools
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import moto.stepfunctions.models
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from iam_emulation.account import keys_of
from iam_emulation.enforcement import ask_for_service
from iam_emulation.policies import Request
from jsonata_in_moto import teach_jsonata
from moto.awslambda.models import LambdaFunction
from moto.core.config import default_user_config
from moto.core.responses import ActionResult
from moto.events.models import EventsBackend, Rule
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import SageMakerModelBackend
from moto.sagemaker.responses import SageMakerResponse
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_aws_sdk,
    state_task_service_sns,
)
from moto.stepfunctions.parser.models import StepFunctionsParserBackend, stepfunctions_parser_backends
from sagemaker_emulation import Run

RUNTIME = Path(__file__).with_name("lambda_runtime.py")
_SECONDS = 120
DELETION_SECONDS = 6.0  # of an endpoint: more than CloudFormation takes here to delete what comes next


def teach() -> None:
    """Call once, after `sagemaker_emulation.teach`."""
    default_user_config["stepfunctions"]["execute_state_machine"] = True
    moto.stepfunctions.models.stepfunctions_backends = stepfunctions_parser_backends
    teach_jsonata()
    _wrap(StepFunctionsParserBackend, "start_execution", _start_execution)
    for module in (state_task_service_sns, state_task_service_aws_sdk, lambda_eval_utils):
        module.boto_client_for = functools.partial(_in_the_role_of_the_workflow, module.boto_client_for)
    Rule.send_to_targets = _send_to_targets
    LambdaFunction._invoke_lambda = _run_function
    _wrap(SageMakerModelBackend, "create_model_package_group", _create_model_package_group)
    SageMakerResponse.delete_model_package_group = _delete_model_package_group
    _wrap(SageMakerModelBackend, "delete_pipeline", _delete_pipeline)
    _wrap(EventsBackend, "put_events", _put_events)
    _wrap(SageMakerModelBackend, "create_model_package", _create_model_package)
    _wrap(SageMakerModelBackend, "update_model_package", _update_model_package)
    _wrap(SageMakerModelBackend, "create_endpoint", _change_endpoint)
    _wrap(SageMakerModelBackend, "delete_endpoint", _delete_endpoint)
    _wrap(SageMakerResponse, "update_endpoint", _update_endpoint)


def _wrap(owner: type, name: str, around: Callable[..., Any]) -> None:
    setattr(owner, name, functools.partialmethod(around, getattr(owner, name)))


# --- Step Functions ---------------------------------------------------------------------------------------------------
def _start_execution(
    self: StepFunctionsParserBackend, original: Callable[..., Any], machine: str, name: str | None, *given: Any
) -> Any:
    """An execution that is given no name gets one of its own (in moto all of them share one)."""
    return original(self, machine, name or str(uuid.uuid4()), *given)


def _in_the_role_of_the_workflow(
    original: Callable[..., Any], region: str, service: str, state_credentials: Any
) -> Any:
    """A client with the workflow's own role (moto's has keys of nobody)."""
    client = original(region=region, service=service, state_credentials=state_credentials)
    keys = keys_of(state_credentials.role_arn, "states")
    client._request_signer._credentials = Credentials(*keys.values())
    return client


# --- EventBridge ------------------------------------------------------------------------------------------------------
def _send_to_targets(self: Rule, original_event: Any, transform_input: bool = True) -> None:
    event = {name: value for name, value in original_event.items() if name != "ingestion-time"}
    if not isinstance(event["time"], str):
        event["time"] = datetime.fromtimestamp(event["time"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    has_pattern = bool(self.event_pattern.get_pattern())  # a rule with a schedule alone answers no event (moto: any)
    if self.state == "ENABLED" and has_pattern and self.event_pattern.matches_event(event):
        for target in self.targets:
            threading.Thread(target=_deliver, args=(target, event, self.region_name, self.arn)).start()


def _deliver(target: dict[str, Any], event: dict[str, Any], region: str, rule: str) -> None:
    """To a workflow or to a function; anything else fails loudly in the server's log."""
    body, (_, _, service, *_) = _input_of(target, event), target["Arn"].split(":")
    if service == "states":
        client = boto3.client("stepfunctions", region_name=region, **keys_of(target["RoleArn"], "events"))
        client.start_execution(stateMachineArn=target["Arn"], input=body)
    elif service == "lambda":
        ask_for_service("events", Request("lambda:InvokeFunction", target["Arn"], {"aws:sourcearn": rule}))
        client = boto3.client("lambda", region_name=region)
        client.invoke(FunctionName=target["Arn"], InvocationType="Event", Payload=body.encode())
    else:
        raise NotImplementedError(f"a rule's target {target['Arn']}")


def _input_of(target: dict[str, Any], event: dict[str, Any]) -> str:
    """The event, or what the target's input transformer makes of it; a value that is missing becomes an empty string.

    As documented it escapes no text: one with a quote in it makes a template no JSON.

    docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
    """
    transformer = target.get("InputTransformer")
    if not transformer:
        return str(target.get("Input") or json.dumps(event))

    def value(match: re.Match[str]) -> str:
        found: Any = event
        for part in transformer["InputPathsMap"][match[1]].removeprefix("$.").split("."):
            found = found.get(part, "") if isinstance(found, dict) else ""
        return f'"{found}"' if isinstance(found, str) else json.dumps(found)

    return re.sub("<([^>]+)>", value, transformer["InputTemplate"])


def _put_events(self: EventsBackend, original: Callable[..., Any], events: list[dict[str, Any]]) -> Any:
    """An event about a run or a step says what the run is: what a rule's target then asks SageMaker fits the event."""
    for event in events:
        detail = json.loads(event["Detail"])
        if event["Source"] == "aws.sagemaker" and "pipelineExecutionArn" in detail:
            Run(detail["pipelineExecutionArn"], self.region_name).follow(detail)
    return original(self, events)


# --- Lambda -----------------------------------------------------------------------------------------------------------
def _run_function(self: LambdaFunction, event: Any = None) -> tuple[str, bool, str]:
    """The handler's answer, whether it raised, and its log."""
    environment = {
        **self.environment_vars,
        **{name: os.environ[name] for name in ("PATH", "AWS_ENDPOINT_URL")},
        "AWS_ACCESS_KEY_ID": keys_of(self.role, "lambda")["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_REGION": self.region,
        "AWS_DEFAULT_REGION": self.region,
    }
    context = {
        "aws_request_id": str(uuid.uuid4()),
        "invoked_function_arn": self.function_arn,
        "seconds": int(self.timeout),
    }
    code = {"folder": _unpacked(self.code_bytes), "handler": str(self.handler)}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_SECONDS)
        connection.connect(_runtime())
        with connection.makefile("rw") as stream:
            stream.write(json.dumps({"environment": environment, **code, "event": event, "context": context}) + "\n")
            stream.flush()
            said = json.loads(stream.read())
    sys.stderr.write(said["log"])
    return said["answer"] or "", said["answer"] is None, said["log"]


_ONE_AT_A_TIME = threading.Lock()
_STARTED: list[subprocess.Popen[bytes]] = []  # whose stdin must stay open


def _once(make: Callable[..., str]) -> Callable[..., str]:
    """Functions run at the same time, and what they share is made by the first."""
    made = functools.cache(make)

    def locked(*arguments: Any) -> str:
        with _ONE_AT_A_TIME:
            return made(*arguments)

    return locked


@_once
def _unpacked(code: bytes) -> str:
    """The folder of a function's code; it keeps the bytecode, too."""
    folder = tempfile.mkdtemp(dir=os.environ["IAM_EMULATION_FOLDER"])
    zipfile.ZipFile(io.BytesIO(code)).extractall(folder)
    return folder


@_once
def _runtime() -> str:
    """The socket of the runtime, which ends with this process."""
    path = f"{tempfile.mkdtemp()}/lambda"  # short: a socket's path has 107 characters at most
    # -I: nothing of the project is on the path but what the archive holds
    command = [sys.executable, "-I", str(RUNTIME), path]
    _STARTED.append(subprocess.Popen(command, env={"PATH": os.environ["PATH"]}, stdin=subprocess.PIPE))
    while not Path(path).exists():
        time.sleep(0.05)
    return path


# --- SageMaker --------------------------------------------------------------------------------------------------------
def _create_model_package(self: SageMakerModelBackend, original: Callable[..., Any], **given: Any) -> Any:
    arn = original(self, **given)
    _tell_of_package(self, arn)
    return arn


def _update_model_package(self: SageMakerModelBackend, original: Callable[..., Any], **given: Any) -> Any:
    answer = original(self, **given)
    _tell_of_package(self, given["model_package_arn"])
    return answer


def _tell_of_package(backend: SageMakerModelBackend, arn: str) -> None:
    package = backend.describe_model_package(arn)
    detail = {
        "ModelPackageGroupName": package.model_package_group_name,
        "ModelPackageVersion": package.model_package_version,
        "ModelPackageArn": arn,
        "ModelPackageStatus": package.model_package_status,
        "ModelApprovalStatus": package.model_approval_status,
    }
    entry = {
        "Source": "aws.sagemaker",
        "DetailType": "SageMaker Model Package State Change",
        "Detail": json.dumps(detail),
        "Resources": [arn],
    }
    boto3.client("events", region_name=backend.region_name).put_events(Entries=[entry])


def _change_endpoint(self: SageMakerModelBackend, original: Callable[..., Any], *given: Any, **named: Any) -> Any:
    answer = original(self, *given, **named)
    _tell_of_endpoint(self, named.get("endpoint_name") or given[0])
    return answer


def _delete_endpoint(self: SageMakerModelBackend, original: Callable[..., Any], endpoint_name: str) -> None:
    """As the service does: it takes its time, and needs the endpoint's role as long."""
    if endpoint_name not in self.endpoints:
        original(self, endpoint_name)  # refuses
    endpoint = self.endpoints[endpoint_name]
    if endpoint.endpoint_status == "Deleting":
        raise ValidationError(f"Cannot update in-progress endpoint {endpoint_name}")
    endpoint.endpoint_status = "Deleting"
    variants = self.endpoint_configs[endpoint.endpoint_config_name].production_variants
    role = self._models[variants[0]["ModelName"]].execution_role_arn.rsplit("/", 1)[1]

    def finish() -> None:
        time.sleep(DELETION_SECONDS)
        try:
            policies = boto3.client("iam").list_role_policies(RoleName=role)["PolicyNames"]
        except ClientError:
            policies = []
        if policies:
            original(self, endpoint_name)
            _tell_of_endpoint(self, endpoint_name)
        else:
            endpoint.endpoint_status, endpoint.failure_reason = "Failed", f"role {role} was revoked before it was gone"

    threading.Thread(target=finish).start()


def _update_endpoint(self: SageMakerResponse, original: Callable[..., Any]) -> ActionResult:
    answer: ActionResult = original(self)
    _tell_of_endpoint(self.sagemaker_backend, self._get_param("EndpointName"))
    return answer


def _tell_of_endpoint(backend: SageMakerModelBackend, name: str) -> None:
    """But for its deletion, a change of moto's endpoints takes no time: each has one event, about its end."""
    status = "IN_SERVICE" if name in backend.endpoints else "DELETED"
    entry = {
        "Source": "aws.sagemaker",
        "DetailType": "SageMaker Endpoint State Change",
        "Detail": json.dumps({"EndpointName": name, "EndpointStatus": status}),
    }
    boto3.client("events", region_name=backend.region_name).put_events(Entries=[entry])


def _delete_pipeline(self: SageMakerModelBackend, original: Callable[..., Any], pipeline_name: str) -> Any:
    """As the service does: only one that does not run."""
    runs = self.pipelines[pipeline_name].pipeline_executions.values()
    if any(run.pipeline_execution_status in ("Executing", "Stopping") for run in runs):
        raise ValidationError(f"Pipeline {pipeline_name} has a run that goes on")
    return original(self, pipeline_name)


def _create_model_package_group(
    self: SageMakerModelBackend, original: Callable[..., Any], *given: Any, **named: Any
) -> Any:
    """As the service does: no second one of that name."""
    name = named.get("model_package_group_name") or given[0]
    if name in self.model_package_groups:
        raise ValidationError(f"Model Package Group already exists: {self.model_package_groups[name].arn}")
    return original(self, *given, **named)


def _delete_model_package_group(self: SageMakerResponse) -> ActionResult:
    """As the service does: only an empty one."""
    backend, name = self.sagemaker_backend, self._get_param("ModelPackageGroupName")
    if any(package.model_package_group_name == name for package in backend.model_packages.values()):
        raise ValidationError(f"Model package group {name} still holds model packages")
    del backend.model_package_groups[name]
    return ActionResult({})
