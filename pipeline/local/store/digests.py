"""Content digests of files, remembered between runs for files that are costly to read."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pipeline.local.store.store import Store, StoredObject

# Smaller files are read faster than a memory of them pays for.
_REMEMBERED_BYTES = 1 << 20
_REMEMBERED_FILES = 2000
# A file changed so recently could change again within one tick of the file system's clock.
_SETTLED_NS = 2_000_000_000


class DigestMemory:
    """SHA-256 of files by path, size, modification time and inode; kept in cache/digests.json."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = store.root / "cache" / "digests.json"
        self._known = _load(self._path)
        self._changed = False

    def of(self, item: StoredObject) -> str:
        """The digest of one object."""
        if item.size < _REMEMBERED_BYTES:
            return file_digest(item.path)
        key = f"{item.path}|{item.size}|{item.mtime_ns}|{item.inode}"
        known = self._known.pop(key, None)
        digest = known or file_digest(item.path)
        if time.time_ns() - item.mtime_ns > _SETTLED_NS:
            self._known[key] = digest  # the last used are last, and are kept longest
            self._changed = self._changed or known is None
        return digest

    def of_all(self, objects: Iterable[StoredObject]) -> str:
        """One digest of names and content of several objects, in their order."""
        whole = hashlib.sha256()
        for item in objects:
            whole.update(f"{item.relative}\0{self.of(item)}\n".encode())
        return whole.hexdigest()

    def save(self) -> None:
        """Writes what was learnt; of two runs that save at once one is kept, which costs the other a second look."""
        if self._changed:
            recent = dict(list(self._known.items())[-_REMEMBERED_FILES:])
            with suppress(OSError):  # what is not remembered is read again
                self._store.write_json(self._path, recent)


def _load(path: Path) -> dict[str, str]:
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def code_digest(files: Iterable[Path], root: Path) -> str:
    """One digest of the code that steps run: the given files (sources, lock file) and Python's version.

    Files count by content and by path relative to `root`.
    """
    whole = hashlib.sha256(sys.version.encode())
    for path in sorted(files):
        whole.update(f"\n{path.relative_to(root).as_posix()}\0{file_digest(path)}".encode())
    return whole.hexdigest()
