#!/usr/bin/env python3
"""What stands in for `smspark-submit` of SageMaker's Spark image on this machine: in child processes and containers.

smspark-submit --py-files ARCHIVE FILE ARGUMENT...      on every host of a job

SageMaker's own makes a cluster with YARN, which is not in pyspark; this one makes Spark's standalone cluster: the first
host runs its master, every host a worker, and the file runs on the first host. Where all hosts are processes of one
machine (network interface "lo"), that machine is the cluster: the first host runs Spark's local mode, the others have
nothing to do. As with SageMaker's own, the other hosts wait until the first is gone, and a reason that the program has
left is replaced with the command that failed.

Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pwd
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

MASTER_PORT = 7077
PAGE_PORT = 8080  # of the master: its JSON says which workers are there
SECONDS_TO_COME = 60.0
LOOK_AGAIN_SECONDS = 0.5
LOOPBACK, LOOPBACK_ADDRESS = "lo", "127.0.0.1"
ON_LOOPBACK = {
    "SPARK_LOCAL_IP": LOOPBACK_ADDRESS,
    "SPARK_LOCAL_HOSTNAME": "localhost",  # the machine's name may lead nowhere
    "SPARK_LOCAL_DIRS": tempfile.gettempdir(),  # neither Spark nor Java looks at TMPDIR
    "SPARK_SUBMIT_OPTS": shlex.quote(f"-Djava.io.tmpdir={tempfile.gettempdir()}"),
}
BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
WRAPPER_LIBRARY = "libnss_wrapper.so"
# Of a Java that runs for seconds: its second compiler and its parallel collector would cost more than they gain.
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
SETTINGS = {
    "spark.driver.extraJavaOptions": SHORT_LIVED,
    "spark.executor.extraJavaOptions": SHORT_LIVED,
    "spark.sql.shuffle.partitions": "4",  # Spark's 200 are for more rows than one machine has
    "spark.ui.enabled": "false",  # its page is not used
    "spark.ui.showConsoleProgress": "false",
}
DAEMONS = {"SPARK_DAEMON_MEMORY": "512m", "SPARK_DAEMON_JAVA_OPTS": SHORT_LIVED}


class ClusterError(Exception):
    """The cluster did not come up, or a part of it died."""


@dataclass(frozen=True)
class SparkHosts:
    """Who takes part, as the job's resourceconfig.json says."""

    current: str
    all: tuple[str, ...]
    one_machine: bool

    @classmethod
    def read(cls) -> SparkHosts:
        """From the job's folder."""
        found = json.loads((BASE / "config" / "resourceconfig.json").read_text(encoding="utf-8"))
        return cls(
            found["current_host"], tuple(sorted(found["hosts"])), found.get("network_interface_name") == LOOPBACK
        )

    @property
    def first(self) -> str:
        """The host that drives."""
        return self.all[0]


def main(argv: Sequence[str]) -> int:
    """Run the file on a cluster of the job's hosts; returns its exit code on the first host, else 0."""
    parser = argparse.ArgumentParser(prog="smspark-submit", description=__doc__)
    parser.add_argument("--py-files", default="")
    parser.add_argument("file")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    given = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is ended
    hosts = SparkHosts.read()
    program = [*(["--py-files", given.py_files] if given.py_files else []), given.file, *given.arguments]
    try:
        if hosts.current != hosts.first:
            return 0 if hosts.one_machine else work(hosts)
        if hosts.one_machine:
            return submit("local[*]", LOOPBACK_ADDRESS, program, {**environment(), **ON_LOOPBACK})
        return drive(hosts, program)
    except (ClusterError, subprocess.CalledProcessError) as error:
        message = f"Algorithm Error: (caused by {type(error).__name__}): {error}"
        (BASE / "output").mkdir(parents=True, exist_ok=True)
        (BASE / "output" / "message").write_text(message[:1024], encoding="utf-8")
        sys.stderr.write(f"{message}\n")
        return error.returncode if isinstance(error, subprocess.CalledProcessError) else 1


def submit(
    master: str,
    address: str,
    program: Sequence[str],
    variables: dict[str, str],
    more: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """spark-submit to its end; raises CalledProcessError where it fails. Workers reach the driver at the address."""
    settings = {**SETTINGS, **more, "spark.driver.host": address, "spark.driver.bindAddress": address}
    options = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    command = ["spark-submit", "--master", master, "--deploy-mode", "client", *options, *program]
    sys.stderr.write(f"{shlex.join(command)}\n")
    code = subprocess.call(command, env=variables)
    if code != 0:
        raise subprocess.CalledProcessError(128 - code if code < 0 else code, shlex.join(command))
    return 0


def drive(hosts: SparkHosts, program: Sequence[str]) -> int:
    """The first host: master, worker, and the program once every worker is there."""
    variables = environment()
    with daemon("master", ["Master", "--host", hosts.first, "--port", str(MASTER_PORT)], variables) as master:
        wait_for(lambda: reachable(hosts.first, MASTER_PORT), "Spark's master did not start", master)
        with worker(hosts, variables):
            cores: dict[str, int] = {}

            def complete() -> bool:
                cores.update(workers(hosts.first))
                return set(cores) >= set(hosts.all)

            def missing() -> str:
                return f"these hosts did not join the Spark cluster: {', '.join(sorted(set(hosts.all) - set(cores)))}"

            wait_for(complete, missing)
            sys.stderr.write(f"a Spark cluster of {len(hosts.all)} workers: {', '.join(hosts.all)}\n")
            # The work begins when all of them are ready, or else the first to be so has all of it.
            all_cores = {
                "spark.cores.max": str(sum(cores.values())),
                "spark.scheduler.minRegisteredResourcesRatio": "1.0",
            }
            return submit(master_url(hosts), hosts.first, program, variables, all_cores)


def work(hosts: SparkHosts) -> int:
    """Another host: a worker, until the first host has gone."""
    wait_for(lambda: reachable(hosts.first, MASTER_PORT), f"host {hosts.first} did not start Spark's master")
    with worker(hosts, environment()) as process:
        while reachable(hosts.first, MASTER_PORT):
            if process.poll() is not None:
                raise ClusterError(f"Spark's worker on host {hosts.current} ended with exit code {process.returncode}")
            time.sleep(LOOK_AGAIN_SECONDS)
    return 0


def worker(hosts: SparkHosts, variables: dict[str, str]) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """A worker of this host."""
    return daemon("worker", ["Worker", "--host", hosts.current, master_url(hosts)], variables)


def master_url(hosts: SparkHosts) -> str:
    """Where workers and program find the master."""
    return f"spark://{hosts.first}:{MASTER_PORT}"


@contextlib.contextmanager
def daemon(kind: str, arguments: Sequence[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon of Spark in the foreground, ended with the block."""
    name = f"org.apache.spark.deploy.{kind}.{arguments[0]}"
    with tempfile.TemporaryDirectory() as folder:
        extra = ["--work-dir", folder] if kind == "worker" else []
        command = ["spark-class", name, *extra, *arguments[1:]]
        process = subprocess.Popen(command, env={**variables, **DAEMONS})
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(
    there: Callable[[], bool], what: str | Callable[[], str], process: subprocess.Popen[bytes] | None = None
) -> None:
    """Look until it is there; raises ClusterError with `what` after SECONDS_TO_COME, or when the process has ended."""
    end = time.monotonic() + SECONDS_TO_COME
    while not there():
        if time.monotonic() > end or (process is not None and process.poll() is not None):
            raise ClusterError(what if isinstance(what, str) else f"{what()} within {SECONDS_TO_COME:.0f} s")
        time.sleep(LOOK_AGAIN_SECONDS)


def reachable(host: str, port: int) -> bool:
    """Whether somebody listens there; the name may not be known yet."""
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def workers(first: str) -> dict[str, int]:
    """The cores of each host whose worker the master knows and hears of."""
    try:
        with urllib.request.urlopen(f"http://{first}:{PAGE_PORT}/json/", timeout=2) as page:
            found = json.load(page)["workers"]
    except (OSError, ValueError):
        return {}
    return {worker["host"]: int(worker["cores"]) for worker in found if worker["state"] == "ALIVE"}


def environment() -> dict[str, str]:
    """The environment of Spark's programs: a name for a user who has none (Hadoop refuses to start without one)."""
    variables = dict(os.environ)
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        users = Path(tempfile.gettempdir()) / f"passwd-{os.getuid()}"
        users.write_text(
            f"{Path('/etc/passwd').read_text(encoding='utf-8')}spark:x:{os.getuid()}:{os.getgid()}::/tmp:/bin/false\n",
            encoding="utf-8",
        )
        variables |= {
            "LD_PRELOAD": WRAPPER_LIBRARY,
            "NSS_WRAPPER_PASSWD": str(users),
            "NSS_WRAPPER_GROUP": "/etc/group",
        }
    return variables


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
