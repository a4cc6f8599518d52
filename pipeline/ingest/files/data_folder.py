"""What is below a folder of data: each entry is a file to read, or is named with the reason why it is not.

Links to folders are followed, each folder once, so that a cycle ends. Pipes and devices are never opened: reading one
could wait for ever. Standard library only, Python 3.9: the local run looks before it copies, a step before it reads,
and on a Spark cluster there is nothing else.
"""

from __future__ import annotations

import json
import os
import stat
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")
KINDS: Final = "*.csv, *.csv.gz or *.parquet"
# A file a day for 27 years. A link to the root of a machine has more, and would be copied for hours.
MAX_ENTRIES: Final = 10_000
# Written beside uploaded data: what its uploader saw and could not upload, so that the report names it too.
NOT_UPLOADED_FILE: Final = "_not_uploaded.json"

_HIDDEN: Final = 'is hidden: its name starts with "." or "_"'
_KINDS_OF_ENTRIES: Final = (
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
)


class FolderError(Exception):
    """A folder that cannot be read; the text says why and what to do."""


@dataclass(frozen=True)
class LeftOut:
    """An entry that is not read; `reason` completes the sentence that its name begins."""

    name: str
    reason: str


@dataclass(frozen=True)
class DataFile:
    """A regular file that can be opened; `name` is its path below the folder as people read it."""

    name: str
    path: Path

    @property
    def is_data(self) -> bool:
        """Whether its name says that it is one of KINDS."""
        return self.name.lower().endswith(SUFFIXES)


@dataclass
class DataFolder:
    """All that is below a folder, sorted by name. `linked`: folders elsewhere that a link leads to, by the link."""

    files: list[DataFile] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    linked: dict[str, str] = field(default_factory=dict)


def look_into(folder: Path) -> DataFolder:
    """Every entry below `folder`; raises FolderError where that is none, or holds more than MAX_ENTRIES."""
    if not folder.is_dir():
        raise FolderError(f"{printable(str(folder))} is not a folder; give the folder that holds the files")
    found = DataFolder()
    root = folder.resolve()
    seen = {_identity(above.stat()) for above in (root, *root.parents)}
    real, links = deque([(folder, "", _identity(root.stat()))]), deque[tuple[Path, str, tuple[int, int]]]()
    n_entries = 0
    while real or links:  # real folders first: a link to one of them leads to nothing new
        is_link = not real
        below, prefix, identity = (real or links).popleft()
        if is_link and identity in seen:
            found.left_out.append(LeftOut(prefix, "is a link to a folder that is read already, or that holds this one"))
            continue
        seen.add(identity)
        if is_link and not below.resolve().is_relative_to(root):
            found.linked[prefix] = printable(str(below.resolve()))
        try:
            with os.scandir(below) as listing:  # of millions, no more than it takes to refuse them
                entries = sorted(islice(listing, MAX_ENTRIES + 1), key=lambda entry: entry.name)
        except OSError as error:
            reason = f"cannot be looked into ({error.strerror}); check its permissions"
            found.left_out.append(LeftOut(prefix, reason))
            continue
        n_entries += len(entries)
        if n_entries > MAX_ENTRIES:
            raise FolderError(
                f"{printable(str(folder))} holds more than {MAX_ENTRIES:,} files and folders; "
                "give a folder that holds the data alone"
            )
        for entry in entries:
            name = prefix + printable(entry.name)
            if folder_status := _folder_status(entry, name, found):
                (links if entry.is_symlink() else real).append((Path(entry.path), f"{name}/", _identity(folder_status)))
    found.files.sort(key=lambda file: file.name)
    if twice := [name for name, n in Counter(file.name for file in found.files).items() if n > 1]:
        raise FolderError(f"two files are both written {twice[0]}, as their names hold what is not printed; rename one")
    found.left_out.sort(key=lambda left: left.name)
    return found


def data_files(folder: Path, prefix: str, reason: Callable[[DataFile], str]) -> DataFolder:
    """What is below `folder` with data files alone among the files: why another is left out is its `reason`.

    `prefix`: what people call the folder. Raises FolderError, also where there is no data file.
    """
    found = look_into(folder)
    not_uploaded, linked = read_not_uploaded(folder)
    others = [LeftOut(file.name, reason(file)) for file in found.files if not file.is_data]
    left_out = sorted([*found.left_out, *not_uploaded, *others], key=lambda left: left.name)
    files = [file for file in found.files if file.is_data]
    if not files:
        named = "; ".join(f"{left.name} {left.reason}" for left in left_out[:3])
        raise FolderError(f"there is no {KINDS} file under {prefix}" + (f" ({named})" if named else ""))
    return DataFolder(files, left_out, {**found.linked, **linked})


def printable(text: str) -> str:
    """The text without control characters, and without bytes of a name that are no text: each is written as `\\x1b`."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "replace").decode() for letter in text
    )


def _folder_status(entry: os.DirEntry[str], name: str, found: DataFolder) -> os.stat_result | None:
    """Of an entry to look into; what is no folder goes to where it belongs."""
    try:
        status = entry.stat()
    except FileNotFoundError:
        found.left_out.append(LeftOut(name, "is a link to nothing"))
        return None
    except OSError as error:
        found.left_out.append(LeftOut(name, f"cannot be looked at ({error.strerror})"))
        return None
    mode = status.st_mode
    if entry.name.startswith((".", "_")):
        if name != NOT_UPLOADED_FILE or not stat.S_ISREG(mode):
            found.left_out.append(LeftOut(f"{name}/" if stat.S_ISDIR(mode) else name, _HIDDEN))
    elif stat.S_ISDIR(mode):
        return status
    elif stat.S_ISREG(mode):
        found.files.append(DataFile(name, Path(entry.path)))
    else:
        kind = next((words for is_kind, words in _KINDS_OF_ENTRIES if is_kind(mode)), "is no regular file")
        found.left_out.append(LeftOut(name, kind))
    return None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


# --- what an uploader left out ----------------------------------------------------------------------------------------
def not_uploaded_as_json(left_out: Iterable[LeftOut], linked: dict[str, str]) -> str:
    """The content of NOT_UPLOADED_FILE."""
    return json.dumps({"left_out": [asdict(item) for item in left_out], "linked": linked}, indent=1) + "\n"


def read_not_uploaded(folder: Path) -> tuple[list[LeftOut], dict[str, str]]:
    """What NOT_UPLOADED_FILE says, if it is there; a file of that name that says something else is itself left out."""
    path = folder / NOT_UPLOADED_FILE
    if not path.is_file():  # a pipe, say, has been named with the other hidden entries
        return [], {}
    try:
        content = json.loads(path.read_bytes())
        left_out = [LeftOut(str(item["name"]), str(item["reason"])) for item in content["left_out"]]
        return left_out, {str(name): str(target) for name, target in content["linked"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return [LeftOut(NOT_UPLOADED_FILE, _HIDDEN)], {}
