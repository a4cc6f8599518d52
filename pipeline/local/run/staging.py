"""Moves objects between the store and a job's base directory, which is laid out as a SageMaker container's /opt/ml."""

from __future__ import annotations

import copy
import gzip
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.contract.names import LOOPBACK_INTERFACE
from pipeline.definition.service_rules.values import function_of
from pipeline.local.launch.hosts import host_count, host_names, hosts_file
from pipeline.local.launch.job import MODEL_ARCHIVE, Job, Output, below_base
from pipeline.local.plan.expressions import ExpressionError
from pipeline.local.plan.parameters import PlanError
from pipeline.local.plan.plan import Step
from pipeline.local.store.store import Store, StoredObject, join_uri, remove
from pipeline.local.store.store_errors import StoreError

Found = Mapping[str, tuple[StoredObject, ...]]  # the objects behind each input, by its name


@dataclass(frozen=True)
class Produced:
    """A file that a job has written to one of its outputs."""

    output: str
    relative: str
    path: Path


def check(step: Step) -> None:
    """Raises PlanError for what a job asks of its inputs and outputs and a local run cannot give."""
    arguments = step.arguments
    entries = [("Input", entry) for entry in arguments.get("ProcessingInputs", [])]
    entries += [("Output", entry) for entry in arguments.get("ProcessingOutputConfig", {}).get("Outputs", [])]
    for kind, entry in entries:
        what = f"step {step.name}: {kind.lower()} {entry.get(f'{kind}Name')}"
        if f"S3{kind}" not in entry:
            raise PlanError(f"{what} is not an S3{kind}, the only kind that a local run takes")
        _check_source(entry[f"S3{kind}"], what)
        _check_folder(entry[f"S3{kind}"].get("LocalPath"), what)
    for entry in arguments.get("InputDataConfig", []):
        what = f"step {step.name}: channel {entry.get('ChannelName')}"
        _check_source(entry.get("DataSource", {}).get("S3DataSource", {}), what)
        if "Pipe" in (entry.get("InputMode"), arguments.get("AlgorithmSpecification", {}).get("TrainingInputMode")):
            raise PlanError(f"{what} uses InputMode Pipe; a local run stages files: use File or FastFile")


def _check_source(source: Mapping[str, Any], what: str) -> None:
    for name, staged in (("S3DataType", "S3Prefix"), ("S3CompressionType", "None")):
        if source.get(name, staged) != staged:
            raise PlanError(f"{what} has {name} {source[name]}; a local run stages {staged} only")


def _check_folder(path: object, what: str) -> None:
    if function_of(path) is None:
        try:
            below_base(str(path))
        except ExpressionError as error:
            raise PlanError(f"{what}: {error}") from error


def find_inputs(store: Store, job: Job) -> Found:
    """The objects behind each input; raises StoreError for an input without any, as SageMaker fails the job."""
    found = {item.name: store.objects(item.uri) for item in job.inputs}
    for item in job.inputs:
        if not found[item.name]:
            raise StoreError(
                f"No S3 objects found under S3 URL {item.uri} (input {item.name}). "
                f"Locally it is {store.object_path(item.uri)}: put the files there, or point the input elsewhere"
            )
    return found


def stage(store: Store, job: Job, found: Found) -> bool:
    """Makes a fresh base directory with copies of the inputs; false if an input changed in the store meanwhile."""
    base_dir = job.base_dir
    remove(base_dir)
    if base_dir.exists():
        raise StoreError(f"cannot empty {base_dir}, which an earlier attempt has left; remove it and resume")
    for item in job.inputs:
        for source in found[item.name]:
            target = base_dir / item.folder / source.relative
            target.parent.mkdir(parents=True, exist_ok=True)
            try:  # copied: through a link a step could change what other steps read
                shutil.copyfile(source.path, target)
            except FileNotFoundError:
                raise StoreError(f"the object {source.path} vanished while it was staged; run again") from None
    for folder in ("output", *(output.folder for output in job.outputs)):
        (base_dir / folder).mkdir(parents=True, exist_ok=True)
    _write_config(store, job)
    return all(store.objects(item.uri) == found[item.name] for item in job.inputs)


def _write_config(store: Store, job: Job) -> None:
    """The files that SageMaker itself puts into a container."""
    request = job.request
    hosts = job.base_dir / hosts_file(request)
    hosts.parent.mkdir(parents=True, exist_ok=True)
    names = host_names(host_count(request))
    there = {"current_host": names[0], "hosts": names, "network_interface_name": LOOPBACK_INTERFACE}
    files: dict[str, object] = {hosts.name: there}
    if job.step.type == "Training":
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
        local = copy.deepcopy(dict(request))  # with paths of this machine as locations: a job names them in messages
        entries = [entry["S3Input"] for entry in local.get("ProcessingInputs", [])]
        entries += [entry["S3Output"] for entry in local.get("ProcessingOutputConfig", {}).get("Outputs", [])]
        for entry in entries:
            entry["S3Uri"] = str(store.origin(entry["S3Uri"]))
        files["processingjobconfig.json"] = {"ProcessingJobName": job.name, **local}
    for name, content in files.items():
        (hosts.parent / name).write_text(json.dumps(content))


def produced(job: Job, outputs: tuple[Output, ...]) -> tuple[Produced, ...]:
    """What the job has written to these outputs, sorted; an archived folder is packed. Only regular files count."""
    files: list[Produced] = []
    for output in outputs:
        folder = job.base_dir / output.folder
        if output.archive is None:
            files.extend(Produced(output.name, relative, path) for relative, path in _regular_files(folder))
        elif output.archive == MODEL_ARCHIVE or _regular_files(folder):
            archive = job.base_dir / "archives" / output.archive
            pack(folder, archive)
            files.append(Produced(output.name, output.archive, archive))
    return tuple(files)


def store_outputs(
    store: Store, job: Job, files: tuple[Produced, ...], put: Callable[[Path, Path], None]
) -> tuple[str, ...]:
    """Puts files where the job's outputs go, by moving or copying; returns the S3 locations."""
    places = {output.name: output.uri for output in job.outputs}
    written = []
    for file in files:
        uri = join_uri(places[file.output], file.relative)
        put(file.path, store.object_path(uri))
        written.append(uri)
    return tuple(written)


def _regular_files(folder: Path) -> list[tuple[str, Path]]:
    """Files below `folder` by their path relative to it; links are followed to files only."""
    paths = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return sorted((path.relative_to(folder).as_posix(), path) for path in paths if path.is_file())


def pack(folder: Path, archive: Path) -> None:
    """Packs a folder into a tar.gz of which each byte depends on the files' names and content alone."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    # Level 1: a model of a few megabytes stays on this disk and is not transferred.
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
