"""Moves objects between the store and a job's base directory, which is laid out as a SageMaker container's /opt/ml."""

from __future__ import annotations

import copy
import gzip
import json
import os
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.contract.names import DEFAULT_BASE_DIR, LOOPBACK_INTERFACE, PROCESSING_HOSTS_FILE, TRAINING_HOSTS_FILE
from pipeline.local.launch.hosts import host_count, host_names
from pipeline.local.plan.expressions import function_of
from pipeline.local.plan.parameters import PlanError
from pipeline.local.plan.plan import Step
from pipeline.local.store.store import Store, StoredObject, join_uri, remove

OUTPUT_ARCHIVE = "output.tar.gz"
MODEL_ARCHIVE = "model.tar.gz"


class StagingError(Exception):
    """An input or output that cannot be staged; the message is the reason the job fails with."""


@dataclass(frozen=True)
class Input:
    """An S3 prefix and the folder of the container that receives it."""

    name: str
    uri: str
    folder: str  # relative to the base directory


@dataclass(frozen=True)
class Output:
    """A folder of the container and the S3 location that receives it when the job has succeeded.

    `continuous`: it receives what a failed job has written as well.
    """

    name: str
    folder: str  # relative to the base directory
    uri: str
    archive: str | None = None  # the folder is sent as one archive of this name
    continuous: bool = False


@dataclass(frozen=True)
class Produced:
    """A file that a job has written to one of its outputs."""

    output: str
    relative: str
    path: Path


def check(step: Step) -> None:
    """Raises PlanError for what a job asks of its inputs and outputs and a local run cannot give."""
    arguments = step.arguments
    for entry in arguments.get("ProcessingInputs", []):
        what = f"step {step.name}: input {entry.get('InputName')}"
        if "S3Input" not in entry:
            raise PlanError(f"{what} is not an S3Input, the only kind that a local run stages")
        _check_source(entry["S3Input"], what)
        _check_folder(entry["S3Input"].get("LocalPath"), what)
    for entry in arguments.get("ProcessingOutputConfig", {}).get("Outputs", []):
        what = f"step {step.name}: output {entry.get('OutputName')}"
        if "S3Output" not in entry:
            raise PlanError(f"{what} is not an S3Output, the only kind that a local run stores")
        _check_folder(entry["S3Output"].get("LocalPath"), what)
    for entry in arguments.get("InputDataConfig", []):
        what = f"step {step.name}: channel {entry.get('ChannelName')}"
        _check_source(entry.get("DataSource", {}).get("S3DataSource", {}), what)
        if "Pipe" in (entry.get("InputMode"), arguments.get("AlgorithmSpecification", {}).get("TrainingInputMode")):
            raise PlanError(f"{what} uses InputMode Pipe; a local run stages files: use File or FastFile")


def _check_source(source: Mapping[str, Any], what: str) -> None:
    if source.get("S3DataType", "S3Prefix") != "S3Prefix":
        raise PlanError(f"{what} has S3DataType {source['S3DataType']}; a local run stages S3Prefix only")
    if source.get("S3CompressionType", "None") != "None":
        raise PlanError(f"{what} has S3CompressionType {source['S3CompressionType']}; a local run stages None only")


def _check_folder(path: object, what: str) -> None:
    if function_of(path) is None:
        if not isinstance(path, str) or not path.startswith(f"{DEFAULT_BASE_DIR}/"):
            raise PlanError(f"{what} has LocalPath {path!r}; it must be below {DEFAULT_BASE_DIR}")
        if ".." in path.split("/"):
            raise PlanError(f'{what} has LocalPath {path!r}; it cannot hold ".."')


def inputs_of(request: Mapping[str, Any]) -> tuple[Input, ...]:
    """The inputs of a resolved Processing or Training request."""
    processing = [
        Input(entry["InputName"], entry["S3Input"]["S3Uri"], _below_base(entry["S3Input"]["LocalPath"]))
        for entry in request.get("ProcessingInputs", [])
    ]
    channels = [
        Input(entry["ChannelName"], entry["DataSource"]["S3DataSource"]["S3Uri"], f"input/data/{entry['ChannelName']}")
        for entry in request.get("InputDataConfig", [])
    ]
    return (*processing, *channels)


def outputs_of(step_type: str, request: Mapping[str, Any], job_name: str) -> tuple[Output, ...]:
    """The outputs of a resolved request; those of a training job are archives below S3OutputPath/<job name>/output."""
    if step_type == "Training":
        uri = join_uri(request["OutputDataConfig"]["S3OutputPath"], job_name, "output")
        return (Output("model", "model", uri, MODEL_ARCHIVE), Output("output", "output/data", uri, OUTPUT_ARCHIVE))
    return tuple(
        Output(
            entry["OutputName"],
            _below_base(entry["S3Output"]["LocalPath"]),
            entry["S3Output"]["S3Uri"],
            continuous=entry["S3Output"].get("S3UploadMode") == "Continuous",
        )
        for entry in request.get("ProcessingOutputConfig", {}).get("Outputs", [])
    )


def _below_base(path: str) -> str:
    if not path.startswith(f"{DEFAULT_BASE_DIR}/") or ".." in path.split("/"):
        raise StagingError(f'LocalPath "{path}" is not below {DEFAULT_BASE_DIR}')
    return path.removeprefix(DEFAULT_BASE_DIR).strip("/")


def find_inputs(store: Store, inputs: tuple[Input, ...]) -> dict[str, tuple[StoredObject, ...]]:
    """The objects behind each input; raises StagingError for an input without any, as SageMaker fails the job."""
    found = {item.name: store.objects(item.uri) for item in inputs}
    for item in inputs:
        if not found[item.name]:
            raise StagingError(
                f"No S3 objects found under S3 URL {item.uri} (input {item.name}). "
                f"Locally it is {store.object_path(item.uri)}: put the files there, or point the input elsewhere"
            )
    return found


def stage(
    store: Store,
    base_dir: Path,
    *,
    job_name: str,
    request: Mapping[str, Any],
    found: Mapping[str, tuple[StoredObject, ...]],
    outputs: tuple[Output, ...],
) -> bool:
    """Makes a fresh base directory with copies of the inputs; false if an input changed in the store meanwhile."""
    remove(base_dir)
    if base_dir.exists():
        raise StagingError(f"cannot empty {base_dir}, which an earlier attempt has left; remove it and resume")
    inputs = inputs_of(request)
    for item in inputs:
        for source in found[item.name]:
            target = base_dir / item.folder / source.relative
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(source.path, target)
    for output in outputs:
        (base_dir / output.folder).mkdir(parents=True, exist_ok=True)
    (base_dir / "output").mkdir(parents=True, exist_ok=True)
    _write_config(store, base_dir, job_name, request)
    return all(store.objects(item.uri) == found[item.name] for item in inputs)


def _copy(source: Path, target: Path) -> None:
    """Copies the bytes: a link into the store would let a step change what other steps read."""
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        raise StagingError(f"the object {source} vanished while it was staged; run again") from None


def _write_config(store: Store, base_dir: Path, job_name: str, request: Mapping[str, Any]) -> None:
    """The files that SageMaker itself puts into a container."""
    training = "AlgorithmSpecification" in request
    hosts = base_dir / (TRAINING_HOSTS_FILE if training else PROCESSING_HOSTS_FILE)
    folder = hosts.parent
    folder.mkdir(parents=True, exist_ok=True)
    names = host_names(host_count(request))
    there = {"current_host": names[0], "hosts": names, "network_interface_name": LOOPBACK_INTERFACE}
    files: dict[str, object] = {hosts.name: there}
    if training:
        files["hyperparameters.json"] = request.get("HyperParameters", {})
        files["inputdataconfig.json"] = {
            entry["ChannelName"]: {
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
                **({"ContentType": entry["ContentType"]} if "ContentType" in entry else {}),
            }
            for entry in request.get("InputDataConfig", [])
        }
    else:
        files["processingjobconfig.json"] = {"ProcessingJobName": job_name, **_with_local_places(store, request)}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))


def _with_local_places(store: Store, request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with paths of this machine in place of S3 locations: a job names them in messages."""
    local: dict[str, Any] = copy.deepcopy(dict(request))
    entries = [entry["S3Input"] for entry in local.get("ProcessingInputs", [])]
    entries += [entry["S3Output"] for entry in local.get("ProcessingOutputConfig", {}).get("Outputs", [])]
    for entry in entries:
        entry["S3Uri"] = str(store.origin(entry["S3Uri"]))
    return local


def produced(base_dir: Path, outputs: tuple[Output, ...]) -> tuple[Produced, ...]:
    """What the job has written, sorted; an archived folder is packed first. Only regular files count."""
    files: list[Produced] = []
    for output in outputs:
        folder = base_dir / output.folder
        if output.archive is None:
            files.extend(Produced(output.name, relative, path) for relative, path in _regular_files(folder))
        elif output.archive == MODEL_ARCHIVE or _regular_files(folder):
            archive = base_dir / "archives" / output.archive
            pack(folder, archive)
            files.append(Produced(output.name, output.archive, archive))
    return tuple(files)


def _regular_files(folder: Path) -> list[tuple[str, Path]]:
    """Files below `folder` by their path relative to it; links are followed to files only."""
    paths = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return sorted((path.relative_to(folder).as_posix(), path) for path in paths if path.is_file())


def pack(folder: Path, archive: Path) -> None:
    """Packs a folder into a tar.gz of which each byte depends on the files' names and content alone."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    # Level 1: a model of a few megabytes stays on this diskand is not transferred.
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for relative, path in _regular_files(folder):
            member = tarfile.TarInfo(relative)
            member.size = path.stat().st_size
            with path.open("rb") as content:
                tar.addfile(member, content)
