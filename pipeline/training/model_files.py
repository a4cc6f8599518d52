"""The files of a model artifact, read in memory within bounds and compared with their digests before any is parsed.

SHA256SUMS is beside the files, in the form of coreutils (`sha256sum --check SHA256SUMS`), and names each of them:
XGBoost crashes on some damaged models, and answers wrongly with others, so it may see none.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import struct
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

from pipeline.contract import names as c
from pipeline.contract.code_version import file_digest

# The largest model that the hyperparameters' ranges allow, 5,000 full trees of depth 10, takes 390 MB.
MAX_UNPACKED_BYTES: Final = 512 * 1024 * 1024
MAX_MEMBERS: Final = 100
_CHUNK: Final = 1 << 20
Content = bytes | bytearray
_REQUIRED: Final = (c.MODEL_FILE, c.MODEL_CARD_FILE, c.WALK_FORWARD_FILE)
_KNOWN: Final = (*_REQUIRED, c.QUANTILE_MODEL_FILE, c.STATE_FILE, c.DIGESTS_FILE)
_LINE: Final = re.compile(r"([0-9a-f]{64}) [ *](\S+)")
# What archives and files that are none, or are damaged, raise; XGBoost's and some of Arrow's are ValueErrors.
UNREADABLE: Final = (
    *(OSError, EOFError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError),
    *(struct.error, tarfile.TarError, zlib.error),
)


def write_digests(folder: Path) -> None:
    """Write SHA256SUMS of all files of the folder."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != c.DIGESTS_FILE)
    lines = [f"{file_digest(folder / name)}  {name}\n" for name in names]
    (folder / c.DIGESTS_FILE).write_text("".join(lines), encoding="utf-8")


def files_of_archive(archive: Path) -> dict[str, Content]:
    """The model's files by name, from model.tar.gz; nothing of a foreign archive is unpacked to disk.

    Raises one of UNREADABLE, with a readable text, for an archive that is damaged, too large or not as it was
    written.
    """
    _check_unpacked_size(archive)  # and the archive's own checksum, before anything of it is kept
    with gzip.open(archive, "rb") as content, tarfile.open(fileobj=content, mode="r|") as tar:
        return _checked(_members(tar))


def files_of_folder(folder: Path) -> dict[str, Content]:
    """The same from a folder into which an archive was unpacked."""
    paths = [folder / name for name in _KNOWN if (folder / name).exists()]
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path.name} is not a file")
    if sum(path.stat().st_size for path in paths) > MAX_UNPACKED_BYTES:
        raise ValueError(_TOO_LARGE)
    return _checked({path.name: path.read_bytes() for path in paths})


_TOO_LARGE: Final = f"it is larger than {MAX_UNPACKED_BYTES >> 20} MiB unpacked"


def _check_unpacked_size(archive: Path) -> None:
    size = 0
    with gzip.open(archive, "rb") as content:
        while chunk := content.read(_CHUNK):
            size += len(chunk)
            if size > MAX_UNPACKED_BYTES:
                raise ValueError(_TOO_LARGE)


def _members(tar: tarfile.TarFile) -> dict[str, Content]:
    files: dict[str, Content] = {}
    for count, member in enumerate(tar, 1):
        name = member.name.removeprefix("./")
        if count > MAX_MEMBERS:
            raise ValueError(f"it has more than {MAX_MEMBERS} members")
        if name not in _KNOWN:
            continue
        if name in files:
            raise ValueError(f"{name} appears twice")
        if not member.isreg() or member.issparse() or member.size > MAX_UNPACKED_BYTES:
            raise ValueError(f"{name} is not a plain file of a possible size")
        files[name] = _content(tar.extractfile(member), member.size)
    return files


def _content(stream: IO[bytes] | None, size: int) -> bytearray:
    """Read in parts and in place: a model may take half of the memory that there is."""
    data, place = bytearray(size), 0
    while stream and (part := stream.read(_CHUNK)):
        data[place : place + len(part)] = part
        place += len(part)
    if place != size:
        raise ValueError("it ends too early")
    return data


def _checked(files: dict[str, Content]) -> dict[str, Content]:
    """The files but the digests; raises ValueError for one that is missing or is not what was written."""
    for name in (*_REQUIRED, c.DIGESTS_FILE):
        if name not in files:
            raise ValueError(f"no {name} in it")
    _compare(files, _parsed(files.pop(c.DIGESTS_FILE)))
    return files


def _parsed(sums: Content) -> dict[str, str]:
    matches = [_LINE.fullmatch(line) for line in sums.decode("ascii", errors="replace").splitlines()]
    if not all(matches) or not matches:
        raise ValueError(f"{c.DIGESTS_FILE} is not what was written")
    return {match[2]: match[1] for match in matches if match}


def _compare(files: Mapping[str, Content], digests: Mapping[str, str]) -> None:
    for name in sorted({*files, *digests}):
        if name not in files:
            raise ValueError(f"no {name} in it, which {c.DIGESTS_FILE} lists")
        if hashlib.sha256(files[name]).hexdigest() != digests.get(name):
            raise ValueError(f"{name} is not the file that was written: its SHA-256 differs from {c.DIGESTS_FILE}")
