"""The folder that replaces S3, the model registry and the run history of a local run.

    objects/<bucket>/<key>           what S3 would hold
    registry/<group>/<version>.json  model packages
    runs/<execution id>/             run.json, lock, steps/<Step>/{base,logs}
    history.jsonl                    a line for each run that has ended
    executing/<execution id>         a marker for each run that has not ended
    cache/                           content-addressed step results
    tmp/                             files on their way to one of the others

Every write is complete or absent: it happens in tmp/ and is then renamed, so a killed run leaves nothing half-written.
Records, the registry, the champion and what jobs write are on the disk before they have their names, also if power
fails. Copies of data and the cache are not: those are compared with their sources, the cache with its digests.
"""

from __future__ import annotations

import filecmp
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.local.store.store_errors import StoreError, naming

ORIGINS_FILE = "origins.json"

JsonObject = dict[str, Any]

# A temporary file older than this belongs to a run that was killed: no single write takes a day.
STALE_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class StoredObject:
    """One object below a prefix, with what tells whether its content has changed."""

    relative: str  # where it goes below the folder that receives the prefix
    path: Path
    size: int
    mtime_ns: int
    inode: int


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`; raises StoreError for anything else."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise StoreError(f'"{uri}" is not an S3 location; write s3://bucket/key')
    if any(part in {".", ".."} for part in (bucket, *key.split("/"))):
        raise StoreError(f'"{uri}" has a "." or ".." part, which a folder cannot hold as a name')
    return bucket, key


def join_uri(prefix: str, *parts: str) -> str:
    """One S3 location below another, without doubled slashes."""
    return "/".join([prefix.rstrip("/"), *(part.strip("/") for part in parts)])


class Store:
    """A store in `root`, which is created when it is missing."""

    _serial = itertools.count()

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        for name in ("objects", "registry", "runs", "executing", "cache", "tmp"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    # --- writing ------------------------------------------------------------------------------------------------------
    def temporary(self) -> Path:
        """A unique path in tmp/; nothing exists there yet."""
        return self.root / "tmp" / f"{os.getpid()}-{time.time_ns():x}-{next(self._serial)}"

    def write(self, path: Path, data: bytes, *, durable: bool = False) -> None:
        """Replaces the content of `path` in one step; if `durable`, the new one is what a power failure leaves."""
        with self._new_file(path) as temporary:
            temporary.write_bytes(data)
            sync(temporary)
            self._rename(temporary, path)
            if durable:
                sync(path.parent)

    def write_json(self, path: Path, value: object, *, durable: bool = False) -> None:
        self.write(path, (json.dumps(value, indent=1) + "\n").encode(), durable=durable)

    def copy(self, source: Path, path: Path, *, durable: bool = False) -> None:
        """Replaces the content of `path` with that of `source` in one step, if `durable` as `move` does.

        The two share nothing afterwards.
        """
        with self._new_file(path) as temporary:
            shutil.copyfile(source, temporary)
            if durable:
                sync(temporary)
            self._rename(temporary, path)

    @contextmanager
    def _new_file(self, path: Path) -> Iterator[Path]:
        """A temporary file that is to become `path`: removed where it cannot, and an error says which path."""
        temporary = self.temporary()
        try:
            with naming(path, temporary):
                yield temporary
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise

    def move(self, source: Path, path: Path) -> None:
        """Moves a file of the same store, whose content is then on the disk, to `path` in one step.

        A symbolic link is followed and copied.
        """
        if source.is_symlink():
            self.copy(source, path, durable=True)
        else:
            with naming(path):
                sync(source)
            self._rename(source, path)

    @staticmethod
    def _rename(source: Path, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            source.replace(path)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise StoreError(f"{path}: a file and a folder of one name cannot both exist in the local store") from error

    def sweep_temporary(self) -> None:
        """Removes what killed runs left in tmp/."""
        oldest = time.time() - STALE_SECONDS
        for entry in list(os.scandir(self.root / "tmp")):
            try:
                if entry.stat(follow_symlinks=False).st_mtime < oldest:
                    remove(Path(entry.path))
            except OSError:
                continue  # another run removed it first, or it is another user's

    # --- objects ------------------------------------------------------------------------------------------------------
    def object_path(self, uri: str) -> Path:
        """The file that holds the object `s3://bucket/key`, whether or not it exists."""
        bucket, key = split_uri(uri)
        return self.root / "objects" / bucket / key.strip("/")

    def origin(self, uri: str) -> Path:
        """The file or folder that the user gave for `uri`; the one in the store where that is not there (any more)."""
        given = self._origins().get(uri.rstrip("/"))
        return Path(given) if isinstance(given, str) and os.access(given, os.F_OK) else self.object_path(uri)

    def note_origin(self, uri: str, source: Path) -> None:
        """Record what the user gave for `uri`, so that messages can name it."""
        given = self._origins()
        if given.get(uri) != str(source):
            self.write_json(self.root / ORIGINS_FILE, {**given, uri: str(source)})

    def _origins(self) -> JsonObject:
        try:
            given = parsed_json((self.root / ORIGINS_FILE).read_bytes())
        except (OSError, ValueError):
            given = None
        return given if isinstance(given, dict) else {}

    def objects(self, uri: str) -> tuple[StoredObject, ...]:
        """The objects whose key starts with that of `uri`, as S3Prefix selects them, sorted.

        An object below the folder `uri` is placed relative to that folder; one whose own name is (or starts with) the
        last part of `uri` is placed relative to the folder above.
        """
        path = self.object_path(uri)
        found = list(_files_below(path, path)) if path.is_dir() else []
        if not uri.endswith("/") and split_uri(uri)[1] and path.parent.is_dir():
            for sibling in path.parent.iterdir():
                if sibling.name.startswith(path.name) and sibling.is_dir() and sibling != path:
                    found.extend(_files_below(sibling, path.parent))
                elif sibling.name.startswith(path.name) and sibling.is_file():
                    found.append(_stored(sibling, path.parent))
        return tuple(sorted(found, key=lambda item: item.relative))

    def read_json(self, uri: str) -> object:
        """The parsed JSON object at `uri`; raises FileNotFoundError, or ValueError for content that is not JSON."""
        return parsed_json(self.object_path(uri).read_bytes())

    def readable_json(self, uri: str | None) -> JsonObject | None:
        """The JSON object at `uri`; None where there is none that can be read."""
        try:
            content = self.read_json(uri) if uri else None
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    # --- runs ---------------------------------------------------------------------------------------------------------
    def run_folder(self, execution_id: str) -> Path:
        """Where a run keeps its record, logs and working folders."""
        return self.root / "runs" / execution_id

    def step_folder(self, execution_id: str, step: str) -> Path:
        """Where a step of a run keeps its base directory and its logs."""
        return self.run_folder(execution_id) / "steps" / step


def parsed_json(data: bytes) -> object:
    """The value of a JSON document; raises ValueError for what is none, or is nested too deeply."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def sync(path: Path) -> None:
    """Puts the content of a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Removes a file or a folder, as far as possible; another run may be removing it too."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _files_below(folder: Path, base: Path) -> Iterator[StoredObject]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield _stored(Path(parent, name), base)


def _stored(path: Path, base: Path) -> StoredObject:
    status = path.stat()
    relative = path.relative_to(base).as_posix()
    return StoredObject(relative, path, status.st_size, status.st_mtime_ns, status.st_ino)


def same_content(source: Path, target: Path) -> bool:
    """Whether two files have the same bytes; `target` may be missing."""
    return target.is_file() and filecmp.cmp(source, target, shallow=False)
