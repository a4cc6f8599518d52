"""How much memory this process may still use, and what says so."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")
_STATUS: Final = Path("/proc/self/status")
_MACHINE: Final = Path("/proc/meminfo")
# folder below, limit, in use, and what of that is cached files that the kernel gives up when asked
_VERSION_2: Final = ("memory.max", "memory.current", ("inactive_file", "active_file"))
_VERSION_1: Final = ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file"))


@dataclass(frozen=True)
class Usable:
    """Bytes of memory, and which limit is that narrow."""

    n_bytes: int
    why: str


def usable_memory(sharing: int = 1) -> Usable:
    """The least that a limit leaves: control group, resource limits, or the machine's free memory.

    `sharing` processes of one machine have an equal part of what belongs to all of them.
    """
    shared = [Usable(found.n_bytes // sharing, found.why) for found in (*_control_groups(), *_machine())]
    return min((*shared, *_resource_limits()), key=lambda found: found.n_bytes)


def _control_groups() -> Iterator[Usable]:
    own = _own_control_group()
    folders = [(_CGROUP / part, _VERSION_2) for part in (own, *own.parents)]
    for folder, (limit_file, used_file, cached) in (*folders, (_CGROUP / "memory", _VERSION_1)):
        limit, used = _number(folder / limit_file), _number(folder / used_file)
        if limit is not None and used is not None:
            reclaimable = sum(_fields(folder / "memory.stat").get(name, 0) for name in cached)
            yield Usable(max(0, limit - used + reclaimable), "the container's limit")


def _own_control_group() -> Path:
    """Below the root of control groups; in a container that is the root itself."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return Path()
    return next((Path(line[3:].strip("/")) for line in lines if line.startswith("0::")), Path())


def _resource_limits() -> Iterator[Usable]:
    status = _fields(_STATUS)
    for limit, used, why in (
        (resource.RLIMIT_AS, "VmSize", "the limit of address space, ulimit -v"),
        (resource.RLIMIT_DATA, "VmData", "the limit of data, ulimit -d"),
    ):
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY:
            yield Usable(max(0, soft - status.get(used, 0)), why)


def _machine() -> Iterator[Usable]:
    available = _fields(_MACHINE).get("MemAvailable")
    if available is None:  # not Linux
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    yield Usable(available, "the machine's free memory")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no such file, or "max"
        return None


def _fields(path: Path) -> dict[str, int]:
    """Lines `name value` or `name: value kB`, in bytes."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    words = [line.replace(":", " ").split() for line in lines]
    return {
        word[0]: int(word[1]) * (1024 if word[2:] == ["kB"] else 1) for word in words if word[1:2] and word[1].isdigit()
    }
