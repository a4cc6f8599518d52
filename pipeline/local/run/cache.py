"""Results of job steps by what they depend on: inputs' content, request, code and the day.

cache/<key>/entry.json          what the step produced, with the digest of each file
cache/<key>/files/<n>           the files
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.contract.code_version import file_digest
from pipeline.local.launch.hosts import host_count
from pipeline.local.launch.job import Job
from pipeline.local.run.staging import Found, Produced
from pipeline.local.store.store import Store, StoredObject, remove
from pipeline.local.store.store_errors import naming

# The day is part of a key, so that an entry cannot be found again after its day has ended everywhere.
_KEPT_SECONDS = 2 * 24 * 3600.0

# Permissions, resources, time limits and output locations: they do not change a result on this machine.
_EXCLUDED = {
    "RoleArn",
    "Tags",
    "StoppingCondition",
    "ExperimentConfig",
    "NetworkConfig",
    "VpcConfig",
    "OutputDataConfig",
    "ProcessingInputs",
    "ProcessingJobName",
    "TrainingJobName",
    "ProcessingResources",
    "ResourceConfig",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
}


@dataclass(frozen=True)
class CacheEntry:
    """What a successful job left: its message, if it wrote one, and its files."""

    message: str | None
    files: tuple[Produced, ...]


def cache_key(job: Job, found: Found, *, code: str, day: str) -> str:
    """The key of a job. S3 locations of inputs count by their content and those of outputs not at all.

    `code` is the digest of the code that steps run, and `day` that of the run's time zone, which a step may look at.
    """
    visible = {name: value for name, value in job.request.items() if name not in _EXCLUDED}
    inputs = [(item.name, item.folder, _digest_of_all(found[item.name])) for item in job.inputs]
    visible["InputDataConfig"] = [
        {name: value for name, value in channel.items() if name != "DataSource"}
        for channel in job.request.get("InputDataConfig", [])
    ]
    visible["ProcessingOutputConfig"] = [(output.name, output.folder) for output in job.outputs]
    if (count := host_count(job.request)) > 1:  # their sums are rounded in another order
        visible["InstanceCount"] = count
    material = json.dumps([job.step.type, visible, inputs, code, day], sort_keys=True)
    return hashlib.sha256(material.encode()).hexdigest()


def _digest_of_all(objects: Iterable[StoredObject]) -> str:
    whole = hashlib.sha256()
    for item in objects:
        whole.update(f"{item.relative}\0{file_digest(item.path)}\n".encode())
    return whole.hexdigest()


class Cache:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._root = store.root / "cache"

    def find(self, key: str) -> CacheEntry | None:
        """The entry of a key; None if there is none or if any byte of it is not what was stored."""
        folder = self._root / key
        try:
            stored = json.loads((folder / "entry.json").read_bytes())
            files = []
            for n, item in enumerate(stored["files"]):
                files.append(Produced(item["output"], item["relative"], folder / "files" / str(n)))
                if file_digest(files[n].path) != item["sha256"]:
                    return None
            return CacheEntry(stored["message"], tuple(files))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, key: str, entry: CacheEntry) -> None:
        """Stores copies of a job's files; the entry appears whole. An existing entry is replaced."""
        building, outgoing = self._store.temporary(), self._store.temporary()
        try:
            self._build(building, entry)
            with suppress(FileNotFoundError):
                (self._root / key).rename(outgoing)
            try:
                building.rename(self._root / key)
            except OSError:
                remove(building)  # another run was quicker with the same result
        except OSError:
            remove(building)  # the disk may be full: it must not hold unreachable files
            raise
        remove(outgoing)

    def _build(self, building: Path, entry: CacheEntry) -> None:
        files = []
        for n, item in enumerate(entry.files):
            path = building / "files" / str(n)
            self._store.copy(item.path, path)
            files.append({"output": item.output, "relative": item.relative, "sha256": file_digest(path)})
        path = building / "entry.json"
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"message": entry.message, "files": files}, indent=1) + "\n")

    def prune(self) -> None:
        oldest = time.time() - _KEPT_SECONDS
        for folder in list(self._root.iterdir()):
            with suppress(OSError):
                if folder.is_dir() and folder.stat().st_mtime < oldest:
                    remove(folder)
