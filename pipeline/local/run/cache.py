"""Results of job steps by what they depend on: inputs' content, request, code and the day.

cache/<key>/entry.json          what the step produced, with the digest of each file
cache/<key>/files/<n>           the files
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.local.launch.hosts import host_count
from pipeline.local.run.staging import Output, Produced, inputs_of
from pipeline.local.store.digests import DigestMemory, file_digest
from pipeline.local.store.store import Store, StoredObject, join_uri, remove
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
    "ProcessingJobName",
    "TrainingJobName",
    "ProcessingResources",
    "ResourceConfig",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
}


@dataclass(frozen=True)
class CachedFile:
    """A file of an entry; its content is in files/<position>."""

    output: str
    relative: str
    size: int
    sha256: str


@dataclass(frozen=True)
class CacheEntry:
    """What a successful job left: its files, and its message if it wrote one."""

    folder: Path
    execution_id: str
    message: str | None
    files: tuple[CachedFile, ...]


def cache_key(
    *,
    step_type: str,
    request: Mapping[str, Any],
    found: Mapping[str, tuple[StoredObject, ...]],
    digests: DigestMemory,
    code: str,
    day: str,
) -> str:
    """The key of a job. S3 locations of inputs count by their content and those of outputs not at all.

    `code` is the digest of the code that steps run, and `day` the UTC date, because a step may look at the calendar.
    """
    visible = {name: value for name, value in request.items() if name not in _EXCLUDED}
    inputs = [(item.name, item.folder, digests.of_all(found[item.name])) for item in inputs_of(request)]
    visible.pop("ProcessingInputs", None)
    visible["InputDataConfig"] = [
        {name: value for name, value in channel.items() if name != "DataSource"}
        for channel in request.get("InputDataConfig", [])
    ]
    visible["ProcessingOutputConfig"] = [
        (output["OutputName"], output["S3Output"]["LocalPath"])
        for output in request.get("ProcessingOutputConfig", {}).get("Outputs", [])
    ]
    if (count := host_count(request)) > 1:  # their sums are rounded in another order
        visible["InstanceCount"] = count
    material = json.dumps([step_type, visible, inputs, code, day], sort_keys=True)
    return hashlib.sha256(material.encode()).hexdigest()


class Cache:
    """The cache of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._root = store.root / "cache"

    def find(self, key: str) -> CacheEntry | None:
        """The entry of a key; None if there is none or if any byte of it is not what was stored."""
        folder = self._root / key
        try:
            stored = json.loads((folder / "entry.json").read_bytes())
            files = tuple(CachedFile(**item) for item in stored["files"])
            entry = CacheEntry(folder, stored["execution_id"], stored["message"], files)
            intact = all(
                _content(entry, n).stat().st_size == file.size and file_digest(_content(entry, n)) == file.sha256
                for n, file in enumerate(files)
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return entry if intact else None

    def restore(self, entry: CacheEntry, outputs: tuple[Output, ...]) -> tuple[str, ...]:
        """Copies the files of an entry to the outputs of today's request; returns the objects written."""
        destinations = {output.name: output.uri for output in outputs}
        written = []
        for n, file in enumerate(entry.files):
            uri = join_uri(destinations[file.output], file.relative)
            self._store.copy(_content(entry, n), self._store.object_path(uri))
            written.append(uri)
        return tuple(written)

    def save(self, key: str, execution_id: str, message: str | None, produced: tuple[Produced, ...]) -> None:
        """Stores copies of a job's files; the entry appears whole. An existing entry is replaced."""
        building = self._store.temporary()
        try:
            self._build(building, execution_id, message, produced)
            self._publish(building, self._root / key)
        except OSError:
            remove(building)  # the disk may be full: it must not hold unreachable files
            raise

    def _build(self, building: Path, execution_id: str, message: str | None, produced: tuple[Produced, ...]) -> None:
        (building / "files").mkdir(parents=True)
        entry = CacheEntry(building, execution_id, message, ())
        files = []
        for n, item in enumerate(produced):
            self._store.copy(item.path, _content(entry, n))
            size, digest = item.path.stat().st_size, file_digest(_content(entry, n))
            files.append(CachedFile(item.output, item.relative, size, digest))
        content = {
            "execution_id": execution_id,
            "created_at": time.time(),
            "message": message,
            "files": [asdict(file) for file in files],
        }
        with naming(building / "entry.json"):
            (building / "entry.json").write_text(json.dumps(content, indent=1) + "\n")

    def _publish(self, building: Path, folder: Path) -> None:
        outgoing = self._store.temporary()
        with suppress(FileNotFoundError):
            folder.rename(outgoing)
        try:
            building.rename(folder)
        except OSError:
            remove(building)  # another run was quicker with the same result
        remove(outgoing)

    def prune(self) -> None:
        """Removes the entries of past days."""
        oldest = time.time() - _KEPT_SECONDS
        for folder in list(self._root.iterdir()):
            with suppress(OSError):
                if folder.is_dir() and folder.stat().st_mtime < oldest:
                    remove(folder)


def _content(entry: CacheEntry, n: int) -> Path:
    return entry.folder / "files" / str(n)
