"""SageMaker local mode: one job in real containers, one a host, through the SDK's own local session. No AWS, no S3.

Imports the SageMaker SDK (4 to 5 s), so only the Docker launcher imports this module, when a job has to run. The SDK
writes a compose file and runs `docker compose up`; what a job in SageMaker has and the SDK leaves out is added to it.
"""

from __future__ import annotations

import copy
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

# The SDK makes clients when it is imported, and they want a region.
REGION: Final = "us-east-1"
os.environ.setdefault("AWS_DEFAULT_REGION", REGION)

import boto3
import yaml
from sagemaker.core.local import image as sdk_image
from sagemaker.core.local import local_session as sdk_session
from sagemaker.core.local.local_session import LocalSession

from pipeline.local.launch.hosts import host_names

_DEFAULTS: Final = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
_NETWORK: Final = "sagemaker-local"  # the SDK's one network of all jobs, which it never removes
_COMPOSE_LOG: Final = "compose.log"
_ENDED_WELL: Final = (0, 130)  # as the SDK has it: 130 is an interrupted compose


@dataclass(frozen=True)
class ContainerSettings:
    """What the containers of a job, one for each of its hosts, get beside its request."""

    names: tuple[str, ...]  # of the containers; the first one's is that of their network, too
    output_dirs: tuple[Path, ...]  # where /opt/ml/output of each container goes
    base_dir: Path  # of the job's inputs and outputs; no character that compose gives a meaning
    labels: Mapping[str, str]
    user: str | None  # "uid:gid"; None: as the image starts
    environment: tuple[str, ...] = ()
    isolated: bool = True  # EnableNetworkIsolation
    peers: bool = False  # isolated from all but each other, as SageMaker has it in a training job


def adapted(content: Mapping[str, Any], settings: ContainerSettings) -> dict[str, Any]:
    """The SDK's compose file with the job's names, user and labels, and without its network if it is isolated."""
    changed: dict[str, Any] = copy.deepcopy(dict(content))
    alone = settings.isolated and not settings.peers
    for name, service in zip(settings.names, changed["services"].values(), strict=True):
        service.update(container_name=name, labels=dict(settings.labels), tty=False, stdin_open=False)
        service["environment"] = [*service["environment"], *settings.environment]
        if settings.user:
            service["user"] = settings.user
        if alone:
            del service["networks"]
            service["network_mode"] = "none"
    if alone:
        del changed["networks"]
    else:  # a separate network can be removed with the job
        network = {"name": settings.names[0], "labels": dict(settings.labels), "internal": settings.isolated}
        changed["networks"][_NETWORK] = network
    return changed


_keys = boto3.Session(region_name=REGION, aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106
_making_clients = threading.Lock()  # a session of boto3 is not for several threads at a time


class JobSession(LocalSession):  # type: ignore[misc] # the SDK is not typed
    """A local session for one job; its keys open nothing."""

    def __init__(self, settings: ContainerSettings) -> None:
        with _making_clients:
            super().__init__(boto_session=_keys, default_bucket="none", sagemaker_config=_DEFAULTS)
        self.settings = settings
        root = settings.base_dir / "local-mode"
        root.mkdir(parents=True, exist_ok=True)
        self.config = {"local": {"local_code": True, "container_root": str(root)}}


class JobContainer(sdk_image._SageMakerContainer):  # type: ignore[misc]
    """The SDK's containers of a job, with a job's settings, and with their output folders kept."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.hosts = list(host_names(self.instance_count))  # the SDK's have a suffix, for its network of all jobs

    def _compose(self, detached: bool = False) -> list[str]:
        command: list[str] = super()._compose(detached)
        if self.instance_count > 1:  # a host may be done before the others; the launcher ends them if one fails
            command.remove("--abort-on-container-exit")
        return command

    def _generate_compose_file(self, *arguments: Any, **options: Any) -> Any:
        content = super()._generate_compose_file(*arguments, **options)
        for service in content["services"].values():
            for volume in service["volumes"]:  # what is not there, the engine would make, and as root
                Path(volume.split(":")[0]).mkdir(parents=True, exist_ok=True)
        text = yaml.dump(adapted(content, self.sagemaker_session.settings))
        path = Path(self.container_root, sdk_image.DOCKER_COMPOSE_FILENAME)
        path.write_text(text.replace("$", "$$"), encoding="utf-8")  # compose would take $NAME for a variable
        return content

    def _cleanup(self, dirs_to_delete: Any = None) -> None:
        settings, root = self.sagemaker_session.settings, Path(self.container_root)
        for host, folder in zip(self.hosts, settings.output_dirs, strict=True):
            # It has the reason of a failure, and the SDK would delete it.
            shutil.copytree(root / host / "output", folder, dirs_exist_ok=True)
        if (root / "model").is_dir():  # one folder, which all hosts see
            shutil.copytree(root / "model", settings.base_dir / "model", dirs_exist_ok=True)
        super()._cleanup(dirs_to_delete)


def _keep_output(process: subprocess.Popen[bytes]) -> int:
    """What compose says goes to a file beside its own: the SDK's function prints it, and may lose the last lines."""
    arguments = process.args
    assert isinstance(arguments, list)  # noqa: S101 - the SDK's
    log = Path(arguments[arguments.index("-f") + 1]).with_name(_COMPOSE_LOG)
    assert process.stdout is not None  # noqa: S101 - the SDK's
    with log.open("wb") as file:
        shutil.copyfileobj(process.stdout, file)
    code = process.wait()
    if code not in _ENDED_WELL:
        raise RuntimeError(f"docker compose ended with exit code {code}")
    return code


# The client makes containers of this name; its jobs have no other way to be given one.
sdk_session._SageMakerContainer = JobContainer
sdk_image._stream_output = _keep_output
logging.getLogger("sagemaker").setLevel(logging.ERROR)  # it narrates; what matters is in the job's log


def run_job(step_type: str, name: str, request: Mapping[str, Any], settings: ContainerSettings) -> None:
    """Run a Processing or Training job whose request has file:// URIs to its end; raises RuntimeError if it failed.

    Its outputs, its model and its output folder are then in `settings.base_dir`.
    """
    client = JobSession(settings).sagemaker_client
    if step_type == "Training":
        client.create_training_job(TrainingJobName=name, **request)
    else:
        client.create_processing_job(ProcessingJobName=name, **request)


def compose_said(settings: ContainerSettings) -> str:
    """The last line that compose wrote for a job; empty if it did not get that far."""
    for log in (settings.base_dir / "local-mode").glob(f"*/{_COMPOSE_LOG}"):
        with suppress(OSError):
            lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
            return lines[-1] if lines else ""
    return ""
