"""A job on several hosts in SageMaker local mode: a container each, on a network of their own."""

from __future__ import annotations

import json
import subprocess
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

from containers import OUT, containers_of, end_of, job

from pipeline.local.store.store import Store

# What each host knows before its own lines of Python.
HOST = """
import json, os, pathlib, socket, sys, time
training = pathlib.Path("/opt/ml/input/config").exists()
there = json.loads(pathlib.Path("/opt/ml", "input" if training else "", "config/resourceconfig.json").read_text())
here, hosts = there["current_host"], there["hosts"]
print(here, "begins", flush=True)
"""
# The first host collects the names of the others, each of which looks it up by its name.
MEET = """
if here == hosts[0]:
    with socket.create_server(("", 9000)) as server:
        peers = [server.accept()[0].makefile().readline().strip() for _ in hosts[1:]]
    pathlib.Path(sys.argv[1], "met.json").write_text(json.dumps({**there, "peers": sorted(peers)}))
else:
    while True:
        try:
            peer = socket.create_connection((hosts[0], 9000))
            break
        except OSError:
            time.sleep(0.05)
    peer.sendall(here.encode() + b"\\n")
"""


def on_hosts(image: str, program: str, count: int, *, kind: str = "Training", seconds: int = 60) -> dict[str, Any]:
    """A step whose hosts run lines of Python; a training job has no way out."""
    training = kind == "Training"
    place = "/opt/ml/model" if training else OUT
    return job(image, HOST + program, place, kind=kind, count=count, isolated=training, seconds=seconds)


def internal_network(folder: Path) -> str:
    """Whether the network of the runs below a folder has no way out, as soon as there is one."""
    for _ in range(300):
        for name in containers_of(folder):
            inspect = ["docker", "network", "inspect", "--format", "{{.Internal}}", name]
            done = subprocess.run(inspect, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return done.stdout.strip()
        time.sleep(0.1)
    return "there was none"


def test_hosts_of_a_training_job_meet_and_have_no_way_out(image: str, store: Store) -> None:
    found: list[str] = []
    watcher = threading.Thread(target=lambda: found.append(internal_network(store.root)))
    watcher.start()
    result = end_of(image, store, on_hosts(image, MEET, 3))
    watcher.join()
    assert result.status == "Succeeded", result.failure
    assert found == ["true"]
    (archive,) = [uri for uri in result.step("Job").outputs if uri.endswith("model.tar.gz")]
    with tarfile.open(store.object_path(archive)) as model:
        met = json.load(model.extractfile("met.json"))  # type: ignore[arg-type]
    assert met["current_host"] == "algo-1"
    assert met["hosts"] == ["algo-1", "algo-2", "algo-3"]
    assert met["peers"] == ["algo-2", "algo-3"]
    logs = store.step_folder(result.execution_id, "Job") / "logs"
    assert (logs / "job-algo-3.log").read_text().splitlines()[0] == "algo-3 begins"
    assert containers_of(store.root) == []


def test_a_host_that_is_done_early_does_not_end_the_others(image: str, store: Store) -> None:
    program = "time.sleep(0 if here == 'algo-2' else 2); pathlib.Path(sys.argv[1], here).touch()"
    assert end_of(image, store, on_hosts(image, program, 2, kind="Processing")).status == "Succeeded"
    assert all(store.object_path(f"s3://artifacts/out/algo-{n}").exists() for n in (1, 2))
    assert containers_of(store.root) == []


def test_a_host_that_fails_ends_the_others_and_is_named(image: str, store: Store) -> None:
    program = """
if here == "algo-2":
    print("no luck", flush=True)
    sys.exit(1)
time.sleep(60)
"""
    begin = time.monotonic()
    result = end_of(image, store, on_hosts(image, program, 2))
    assert time.monotonic() - begin < 40
    assert result.failure.reason == "algo-2: exit code 1: no luck"
    assert result.failure.log_lines[-1] == "no luck"
    assert containers_of(store.root) == []
