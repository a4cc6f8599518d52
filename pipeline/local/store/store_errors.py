"""Errors of the file system in a sentence: path, reason, remedy."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pipeline.contract.names import REASON_CHARACTERS

_FREE_SPACE: Final = "free disk space (python -m scripts.clean removes what no version needs) and run the command again"
_ALLOW: Final = "let this user read and write it, or use another path (--store, --data)"
_REMEDIES: Final[Mapping[int, str]] = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "use a writable path (--store)",
    errno.EACCES: _ALLOW,
    errno.EPERM: _ALLOW,
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.EILSEQ: "give it a name in UTF-8",
    errno.EINVAL: "give it a name that this file system takes",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close other programs: this machine has no open file left",
    errno.EIO: "look at the disk (dmesg), and use another path (--store)",
    errno.ENOENT: "restore it, or omit it",
    errno.ENOTDIR: "a part of this path is a file: move that file away",
    errno.EISDIR: "it is a folder where a file should be: move it away",
    errno.ELOOP: "a link leads to itself there: remove it",
    errno.ESTALE: "mount the network drive again",
}
_OTHERWISE: Final = "see that it can be read and written, then run the command again"


class StoreError(Exception):
    """A location or file that the store cannot hold, read or write; the message says which, why and what to do."""


class StoreLostError(StoreError):
    """The same while a run was under way; the run can be resumed."""


def explain(error: OSError | StoreError, path: Path | None = None) -> str:
    """The error in one sentence: path (or `path`, where the error has none), reason, remedy."""
    if isinstance(error, StoreError):
        return str(error)
    name = error.filename2 or error.filename or path
    where = f"{shown(name)}: " if isinstance(name, str | bytes | os.PathLike) else ""
    reason = (error.strerror or type(error).__name__).lower()
    return f"{where}{reason}; {_REMEDIES.get(error.errno or 0, _OTHERWISE)}"


def shown(name: str | bytes | os.PathLike[str]) -> str:
    """A path as it can be printed anywhere: bytes that are no text, and control characters, are escaped."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    printable = "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
    return printable if len(printable) <= REASON_CHARACTERS // 3 else f"{printable[: REASON_CHARACTERS // 3]}..."


def is_text(name: str | os.PathLike[str]) -> bool:
    """Whether a path is UTF-8, as keys of S3 are."""
    try:
        os.fspath(name).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Says in an error which path was being written where it names none, or the file that was to become it."""
    try:
        yield
    except OSError as error:
        if error.filename is None or str(temporary) in (error.filename, error.filename2):
            error.filename, error.filename2 = str(path), None
        raise
