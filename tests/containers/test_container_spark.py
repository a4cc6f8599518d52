"""AggregateOnSpark in containers: a Spark cluster whose workers are the hosts of one job in SageMaker local mode."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from containers import Nights, containers_of, write_events
from containers import run as docker_run

from pipeline.contract.code_version import all_steps, image_content
from pipeline.contract.workload import read_definition
from pipeline.local import local_deployment
from pipeline.local.launch.launch_docker import DockerLauncher
from pipeline.local.plan.plan import load_plan
from pipeline.local.run.runner import run
from pipeline.local.store.run_record import RunResult
from pipeline.local.store.store import Store
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.play_by_play.aggregate import main as aggregate

STEP = "AggregateOnSpark"


@pytest.fixture()
def store(store: Store) -> Store:
    local_deployment.seed(store)
    local_deployment.put_spark_code(store)
    return store


def end_of(image: str, spark_image: str, store: Store, events: Path) -> RunResult:
    """The step of the committed definition on two hosts, and no other step."""
    definition = read_definition("nba")
    (step,) = [step for step in all_steps(definition["Steps"]) if step["Name"] == STEP]
    chosen: dict[str, Any] = {"EventsPrefix": "events", "AggregateInstanceCount": 2}
    local_deployment.put_data(store, events, "events")
    constants = local_deployment.constants(image, spark_image).items()
    used = {name: value for name, value in constants if f"${{{name}}}" in json.dumps(step)}
    plan = load_plan({**definition, "Steps": [step]}, used, chosen)
    launcher = DockerLauncher(image, content=image_content("nba"), grace_seconds=1)
    return run(plan, store, launcher, use_cache=False)


def test_two_workers_share_the_work_and_write_what_duckdb_writes(
    world: Path, in_containers: Nights, tmp_path: Path
) -> None:
    """In a container as a user whom the image does not know: Hadoop refuses to start for one without a name."""
    store = Store(in_containers.store)
    aggregate(["--input", str(world / "events"), "--output", str(tmp_path)])
    written = store.object_path(f"s3://artifacts/team_games/{nba.TEAM_GAMES_FILE}")
    assert written.read_bytes() == (tmp_path / nba.TEAM_GAMES_FILE).read_bytes()
    assert len(written.read_text().splitlines()) > 2 * 10
    assert json.loads(written.with_name(nba.AGGREGATED_FILE).read_text())["engine"] == "spark"
    log = store.step_folder(in_containers.printed["no-new-data"]["execution_id"], STEP) / "logs" / "job.log"
    (line,) = [line for line in log.read_text().splitlines() if line.startswith("Spark's tasks by host: ")]
    tasks = dict(part.split() for part in line.partition(": ")[2].split(", "))
    assert set(tasks) == {"algo-1", "algo-2"}
    assert all(int(n.replace(",", "")) > 0 for n in tasks.values()), line
    assert containers_of(store.root) == []


def test_a_worker_that_is_killed_fails_the_job_by_name(
    image: str, spark_image: str, store: Store, tmp_path: Path
) -> None:
    killed: list[float] = []

    def kill() -> None:
        """End the second host when the cluster stands."""
        for _ in range(1200):
            logs = list(store.root.glob("runs/*/steps/*/logs/job.log"))
            found = [name for name in containers_of(store.root) if name.endswith("-algo-2")]
            if found and logs and "a Spark cluster of 2 workers" in logs[0].read_text():
                subprocess.run(["docker", "kill", found[0]], capture_output=True, check=True)
                killed.append(time.monotonic())
                return
            time.sleep(0.1)

    killer = threading.Thread(target=kill)
    killer.start()
    result = end_of(image, spark_image, store, write_events(tmp_path / "events", 4))
    killer.join()
    assert killed
    assert time.monotonic() - killed[0] < 60
    assert result.failure.reason.startswith("algo-2: ended by signal SIGKILL")
    assert not store.object_path(f"s3://artifacts/team_games/{nba.TEAM_GAMES_FILE}").exists()
    assert containers_of(store.root) == []


def test_the_image_holds_what_stands_in_for_smspark_submit_and_no_code_of_the_step(spark_image: str) -> None:
    script = (
        "command -v smspark-submit; java -version 2>&1 | head -1; python3 -c 'import pyarrow' 2>&1 | tail -1; id -u"
    )
    done = docker_run("--entrypoint", "sh", spark_image, "-c", script)
    where, java, arrow, _ = done.stdout.splitlines()
    assert where == "/usr/local/bin/smspark-submit"
    assert '"17.' in java
    assert "No module named 'pyarrow'" in arrow
