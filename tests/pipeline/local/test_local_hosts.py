"""Jobs on several hosts: a process each, with folders of its own, that find, fail and end together."""

from __future__ import annotations

import hashlib
import json
import signal
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from local_definitions import Json, Workbench, definition, end_of, get, parameter, processing, training
from test_local_stop import alive, wait_for

from pipeline.local.launch.hosts import Host, HostsEnd, wait_for_hosts
from pipeline.local.launch.job import StopSignal
from pipeline.local.plan.parameters import PlanError
from pipeline.local.store.run_record import RunResult

# What each host does: its argument holds the lines of Python to run, with `here` (its name), `hosts` and `base`.
HOST = """
import json, os, pathlib, signal, socket, sys, time
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
training = (base / "input").exists()
there = json.loads((base / ("input/config" if training else "config") / "resourceconfig.json").read_text())
here, hosts = there["current_host"], there["hosts"]
print(here, "begins", flush=True)
def pid_to(folder):
    path = pathlib.Path(folder, here)
    path.with_suffix(".new").write_text(str(os.getpid()))
    path.with_suffix(".new").rename(path)
def leave(text):
    path = base / ("output/failure" if training else "output/message")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    sys.exit(1)
exec(pathlib.Path(sys.argv[1]).read_text())
"""


ONE: Json = {"InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}


def on_hosts(bench: Workbench, count: Any, program: str, *, kind: str = "Processing", **options: Any) -> Json:
    """A step that runs lines of Python on several hosts."""
    (bench.project / "host.py").write_text(HOST)
    work = bench.project / f"work-{hashlib.sha256(program.encode()).hexdigest()[:8]}.py"
    work.write_text(program)
    entrypoint = ["python3", "-I", "-S", "host.py"]
    if kind == "Training":
        step = training("Job", [str(work)], **options)
        step["Arguments"]["AlgorithmSpecification"]["ContainerEntrypoint"] = entrypoint
        step["Arguments"]["ResourceConfig"] = {**ONE, "InstanceCount": count}
    else:
        step = processing("Job", [str(work)], entrypoint=entrypoint, **options)
        step["Arguments"]["ProcessingResources"] = {"ClusterConfig": {**ONE, "InstanceCount": count}}
    return step


def reason_of(result: RunResult) -> str:
    assert result.status == "Failed"
    assert result.failure is not None
    return result.failure.reason


def test_each_host_has_its_name_its_folder_and_the_same_port(bench: Workbench) -> None:
    program = """
out = base / "processing/out"
(out / (here + ".json")).write_text(json.dumps({**there, "base": str(base), "port": os.environ["CLUSTER_PORT"]}))
"""
    result = bench.run(definition(on_hosts(bench, 3, program, outputs={"out": "s3://artifacts/out"})))
    assert result.status == "Succeeded", result.failure
    seen = [json.loads(bench.text(f"s3://artifacts/out/algo-{n}.json")) for n in (1, 2, 3)]
    assert [host["current_host"] for host in seen] == ["algo-1", "algo-2", "algo-3"]
    assert all(host["hosts"] == ["algo-1", "algo-2", "algo-3"] for host in seen)
    assert all(host["network_interface_name"] == "lo" for host in seen)
    assert len({host["base"] for host in seen}) == 3
    assert len({host["port"] for host in seen}) == 1
    folder = bench.store.step_folder(result.execution_id, "Job")
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith("base")) == []
    assert (folder / "logs" / "job-algo-2.log").read_text() == "algo-2 begins\n"


def test_hosts_can_talk_over_the_port(bench: Workbench) -> None:
    """The others wait for the first one's word; the first one's model is the job's."""
    program = """
port = int(os.environ["CLUSTER_PORT"])
if here == hosts[0]:
    (base / "model").mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", port)) as server:
        names = []
        for _ in hosts[1:]:
            peer, _ = server.accept()
            names.append(peer.makefile().readline().strip())
    (base / "model" / "names").write_text(" ".join(sorted(names)))
else:
    while True:
        try:
            peer = socket.create_connection(("127.0.0.1", port))
            break
        except ConnectionRefusedError:
            time.sleep(0.01)
    peer.sendall(here.encode() + b"\\n")
"""
    result = bench.run(definition(on_hosts(bench, 3, program, kind="Training", output="s3://artifacts/train")))
    assert result.status == "Succeeded", result.failure
    (archive,) = [uri for uri in result.step("Job").outputs if uri.endswith("model.tar.gz")]
    with tarfile.open(bench.store.object_path(archive)) as model:
        names = model.extractfile("names")
        assert names is not None
        assert names.read() == b"algo-2 algo-3"


def test_a_step_cannot_change_what_another_host_reads(bench: Workbench) -> None:
    bench.put("s3://data/in/file", "as it was")
    program = """
file = base / "processing/in/file"
if here == "algo-1":
    file.write_text("changed")
    (base / "done").touch()
first = pathlib.Path(str(base).replace("-" + here, ""))
while here != "algo-1" and first.exists() and not (first / "done").exists():
    time.sleep(0.01)
(base / "processing/out" / here).write_text(file.read_text())
"""
    step = on_hosts(bench, 2, program, inputs={"in": "s3://data/in/"}, outputs={"out": "s3://artifacts/out"})
    assert bench.run(definition(step)).status == "Succeeded"
    assert bench.text("s3://artifacts/out/algo-2") == "as it was"
    assert bench.text("s3://data/in/file") == "as it was"


def test_one_host_that_fails_ends_the_job_and_is_named(bench: Workbench) -> None:
    pids = bench.folder / "pids"
    pids.mkdir()
    program = f"""
pid_to({str(pids)!r})
if here == "algo-2":
    while len(os.listdir({str(pids)!r})) < 3:
        time.sleep(0.01)
    print("bad day", flush=True)
    leave("no game has a score")
time.sleep(60)
"""
    begin = time.monotonic()
    result = bench.run(definition(on_hosts(bench, 3, program)))
    assert time.monotonic() - begin < 20
    assert reason_of(result) == "algo-2: no game has a score"
    assert result.failure.log_lines[-1] == "bad day"
    assert not any(alive(int(path.read_text())) for path in pids.iterdir())


def test_a_reason_that_names_its_host_already_is_left_as_it_is(bench: Workbench) -> None:
    """As the image's entry point writes it."""
    step = on_hosts(bench, 2, "leave('algo-2: no luck') if here == 'algo-2' else time.sleep(60)", kind="Training")
    assert reason_of(bench.run(definition(step))) == "algo-2: no luck"


@pytest.mark.parametrize("survivor", ["leave('host algo-2 is gone')", "time.sleep(60)"])
def test_a_host_that_is_killed_is_the_reason_and_not_those_that_notice(bench: Workbench, survivor: str) -> None:
    gone = bench.folder / "gone"
    program = f"""
if here == "algo-2":
    open({str(gone)!r}, "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
while not os.path.exists({str(gone)!r}):
    time.sleep(0.01)
{survivor}
"""
    result = bench.run(definition(on_hosts(bench, 2, program)))
    assert reason_of(result) == (
        "algo-2: ended by signal SIGKILL, which the system sends when memory runs out: algo-2 begins"
    )


def test_a_host_that_does_not_end_when_told_is_not_the_reason(bench: Workbench) -> None:
    pids = bench.folder / "pids"
    pids.mkdir()
    program = f"""
if here == "algo-2":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
pid_to({str(pids)!r})
while len(os.listdir({str(pids)!r})) < 2:
    time.sleep(0.01)
if here == "algo-1":
    leave("algo-2 has said nothing for 20 s")
time.sleep(60)
"""
    assert reason_of(bench.run(definition(on_hosts(bench, 2, program)))) == "algo-1: algo-2 has said nothing for 20 s"


def test_two_hosts_may_write_the_same_and_not_different_things_to_a_file(bench: Workbench) -> None:
    for text, status in (("'same'", "Succeeded"), ("here", "Failed")):
        program = f"(base / 'processing/out/file').write_text({text})"
        result = bench.run(definition(on_hosts(bench, 2, program, outputs={"out": "s3://artifacts/out"})))
        assert result.status == status
    assert reason_of(result) == (
        "algo-1 and algo-2 both wrote processing/out/file, and not the same: "
        "let one host write it, or give each its own name"
    )


def test_a_stop_and_the_time_limit_end_all_hosts(bench: Workbench) -> None:
    for number in (signal.SIGTERM, None):
        pids = bench.folder / f"pids {number}"
        pids.mkdir()
        step = on_hosts(bench, 3, f"pid_to({str(pids)!r}); time.sleep(60)", seconds=60 if number else 2)
        runner = bench.spawn(definition(step))
        for host in ("algo-1", "algo-2", "algo-3"):
            wait_for(pids / host)
        if number:
            runner.send_signal(number)
        assert end_of(runner)[1] == ("Stopped" if number else "Failed")
        assert not any(alive(int(path.read_text())) for path in pids.iterdir())


def test_the_hosts_of_a_killed_run_are_ended_by_the_next(bench: Workbench) -> None:
    pids = bench.folder / "pids"
    pids.mkdir()
    runner = bench.spawn(definition(on_hosts(bench, 3, f"pid_to({str(pids)!r}); time.sleep(60)")))
    found = [int(wait_for(pids / host)) for host in ("algo-1", "algo-2", "algo-3")]
    runner.kill()
    runner.communicate()
    assert all(alive(pid) for pid in found)
    assert bench.run(definition(processing("Other", []))).status == "Succeeded"
    assert not any(alive(pid) for pid in found)


@pytest.mark.parametrize("count", [0, -1, 101])
def test_a_number_of_hosts_that_cannot_be_is_refused_before_anything_runs(bench: Workbench, count: int) -> None:
    step = on_hosts(bench, get("Parameters.Hosts"), "pass")
    with pytest.raises(PlanError, match=f"InstanceCount: {count} is outside the range from 1 .*with Hosts"):
        bench.run(definition(step, parameters=[parameter("Hosts", "Integer", 1)]), {"Hosts": count})
    assert not list(Path(bench.store.root).glob("runs/*"))


def test_a_result_of_several_hosts_is_known_the_next_time(bench: Workbench) -> None:
    step = on_hosts(bench, 2, "(base / 'processing/out' / here).touch()", outputs={"out": "s3://artifacts/out"})
    assert [bench.run(definition(step)).step("Job").cached for _ in range(2)] == [False, True]
    assert bench.store.object_path("s3://artifacts/out/algo-2").exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_host_whose_end_cannot_be_learned_has_ended(tmp_path: Path) -> None:
    def lost() -> int:
        raise ValueError("the engine has answered nonsense")

    host = Host("algo-1", tmp_path, tmp_path / "log", 0)
    job: Any = SimpleNamespace(stop=StopSignal(), timeout_seconds=None)
    assert wait_for_hosts(job, {host: lost}, pytest.fail, 1.0) == HostsEnd(None, None, 0)
