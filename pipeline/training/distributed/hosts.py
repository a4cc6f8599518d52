"""The hosts of a training job, as SageMaker names them in input/config/resourceconfig.json."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from typing import Any, Final

from pipeline.contract import names as c
from pipeline.contract.container import StepError, base_dir

_LOOPBACK: Final = "127.0.0.1"
_ONLY_HOST: Final = "algo-1"


@dataclass(frozen=True)
class Hosts:
    """All hosts of a job in SageMaker's order, and which of them this is. The first writes the model."""

    names: tuple[str, ...] = (_ONLY_HOST,)
    current: str = _ONLY_HOST
    interface: str = "eth0"

    @property
    def rank(self) -> int:
        """This host's position, from 0."""
        return self.names.index(self.current)

    @property
    def first(self) -> str:
        return self.names[0]

    @property
    def others(self) -> tuple[str, ...]:
        return self.names[1:]

    @property
    def local(self) -> bool:
        """Whether all hosts are processes of one instance."""
        return self.interface == c.LOOPBACK_INTERFACE

    def address(self, name: str) -> str:
        """A host's address by DNS; raises OSError where it has none (yet)."""
        if self.local:
            return _LOOPBACK
        return str(socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])


def read_hosts() -> Hosts:
    """The job's hosts; a single one where the file is missing. Raises StepError for a file that is invalid."""
    path = base_dir() / c.TRAINING_HOSTS_FILE
    if not path.exists():
        return Hosts()
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        hosts = Hosts(
            tuple(str(name) for name in found["hosts"]),
            str(found["current_host"]),
            str(found.get("network_interface_name", Hosts.interface)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refusal(f"{type(error).__name__}: {error}") from error
    if len(set(hosts.names)) != len(hosts.names):
        raise _refusal("a host appears twice")
    if hosts.current not in hosts.names:
        raise _refusal(f'current_host "{hosts.current}" is not among the hosts {", ".join(hosts.names)}')
    return hosts


def _refusal(problem: str) -> StepError:
    return StepError(
        f"{c.TRAINING_HOSTS_FILE} is invalid ({problem}): what starts the job writes it, "
        "with current_host, hosts and network_interface_name"
    )


def number_from(variable: str, default: float, low: float = 0.1, high: float = 86_400) -> float:
    """A number (of seconds) from an environment variable; raises StepError that names it."""
    text = os.environ.get(variable) or f"{default:g}"
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise StepError(f'environment variable {variable} "{text}" is not a number from {low:g} to {high:g}')
    return number
