"""The hosts of a job: their names, and what each of them has on this machine."""

from __future__ import annotations

import filecmp
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.contract.names import PROCESSING_HOSTS_FILE, TRAINING_HOSTS_FILE
from pipeline.contract.reasons import shorten
from pipeline.local.launch.exit_reason import last_lines
from pipeline.local.store.store import remove

if TYPE_CHECKING:
    from pipeline.local.launch.job import Job

_LINES_OF_ANOTHER_HOST: Final = 20


@dataclass(frozen=True)
class Host:
    """One of a job's hosts; the first has the job's own folder and log."""

    name: str
    base_dir: Path
    log_path: Path


@dataclass(frozen=True)
class HostsResult:
    """How the hosts of a job ended.

    `cause` is "stopped", "timeout", "failed" (of containers: a host has, and the others were stopped) or None; `failed`
    the host that failed first; `fault` an error of the SDK.
    """

    cause: str | None
    failed: Host | None
    fault: Exception | None = None


def host_count(request: Mapping[str, Any]) -> int:
    """How many hosts a resolved request asks for."""
    return int(_cluster(request).get("InstanceCount", 1))


def _cluster(request: Mapping[str, Any]) -> Mapping[str, Any]:
    cluster: Mapping[str, Any] = (
        request.get("ResourceConfig") or (request.get("ProcessingResources") or {}).get("ClusterConfig") or {}
    )
    return cluster


def host_names(count: int) -> tuple[str, ...]:
    """The names that SageMaker gives."""
    return tuple(f"algo-{number}" for number in range(1, count + 1))


def hosts_of(job: Job) -> tuple[Host, ...]:
    """The hosts of a job, the first one first."""
    first, *others = host_names(host_count(job.request))
    base, log = job.base_dir, job.log_path
    return (
        Host(first, base, log),
        *(
            Host(name, base.with_name(f"{base.name}-{name}"), log.with_name(f"{log.stem}-{name}.log"))
            for name in others
        ),
    )


def lay_out(job: Job, hosts: tuple[Host, ...]) -> None:
    """Gives each further host a copy of the first one's folder, and the file that says who is there."""
    first, *others = hosts
    for host in others:
        remove(host.base_dir)
        shutil.copytree(first.base_dir, host.base_dir)
        path = host.base_dir / (TRAINING_HOSTS_FILE if job.step_type == "Training" else PROCESSING_HOSTS_FILE)
        path.write_text(json.dumps({**json.loads(path.read_text()), "current_host": host.name}))


def collect(hosts: tuple[Host, ...], folders: Iterable[str]) -> str | None:
    """Moves what further hosts wrote to the first one's folders; returns an error where two wrote one file differently.

    In SageMaker all hosts write to one place, and which of two files stays is chance.
    """
    first, *others = hosts
    for host in others:
        for folder in folders:
            source = host.base_dir / folder
            for path in sorted(p for p in source.rglob("*") if p.is_file()):
                target = first.base_dir / folder / path.relative_to(source)
                if target.exists() and not filecmp.cmp(path, target, shallow=False):
                    file = f"{folder}/{path.relative_to(source)}"
                    both = f"{first.name} and {host.name} both wrote {file}, and not the same"
                    return f"{both}: let one host write it, or give each its own name"
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
        remove(host.base_dir)
    return None


def show_log(host: Host, first: Host) -> None:
    """Appends the end of another host's log to the first one's, where people look for the reason."""
    lines = last_lines(host.log_path, _LINES_OF_ANOTHER_HOST)
    if host is not first and lines:
        with first.log_path.open("a", encoding="utf-8") as log:
            log.write("\n".join([f"the last lines of {host.name} (whole log: {host.log_path.name}):", *lines, ""]))


def with_host_name(host: Host, hosts: tuple[Host, ...], reason: str) -> str:
    """The reason with the name of the host that gave it, where there are several; a container may have put it there."""
    name = f"{host.name}: "
    return shorten(f"{name}{reason.removeprefix(name)}") if len(hosts) > 1 else reason


def log_size(path: Path) -> int:
    """Where a host's log ends now, in bytes: what an attempt says comes after that."""
    return path.stat().st_size if path.exists() else 0
