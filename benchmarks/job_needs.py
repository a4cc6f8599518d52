"""What each job of the pipeline needs: wall and CPU seconds, peak memory, disk; and the machine that is enough for it.

python -m benchmarks.job_needs [--data FOLDER] [--events FOLDER] [--repeat N] [--write]

Runs the real pipeline on real games and a season of real play-by-play, each step's program under a parent that only
waits for it, and reads what the kernel counted for it (wait4). Prints the median of N runs, and beside it each machine
of pipeline/cost/prices.json that has twice the memory, cheapest first. `--write` commits the numbers as
pipeline/cost/job_needs.json, from which `scripts.estimate_cost` takes its defaults.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

from benchmarks.real_data import EVENTS, GAMES, require
from pipeline.contract.workload import read_definition
from pipeline.cost.prices import load_prices
from pipeline.cost.run_cost import NEEDS_FILE, JobNeeds, PipelineJob, job_cost, jobs
from pipeline.cost.run_limit import with_parameters
from pipeline.local import local_deployment
from pipeline.local.launch.job import Job, JobOutcome
from pipeline.local.launch.launch_process import ProcessLauncher
from pipeline.local.plan.plan import load_plan
from pipeline.local.run.runner import run
from pipeline.local.store.local_champion import promote
from pipeline.local.store.run_record import SUCCEEDED
from pipeline.local.store.store import Store

CHAMPION_DAY, RUN_DAY = "2023-03-01", "2023-03-15"
EVENTS_PREFIX = "play_by_play"
# What a start must ask for so that a step runs which the defaults leave out. AggregateOnSpark's programs run here in
# Spark's local mode, on the first host alone: its CPU seconds are those of all machines of a cluster together.
WITH_EVENTS = {
    "Aggregate": {"EventsPrefix": EVENTS_PREFIX},
    "AggregateOnSpark": {"EventsPrefix": EVENTS_PREFIX, "AggregateInstanceCount": "2"},
}
# The parent: starts the step's command, waits, leaves what the kernel counted.
PARENT = """
import json, os, sys, time
start = time.perf_counter()
process = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[2:]], os.environ)
_, status, usage = os.wait4(process, 0)
kib = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
with open(sys.argv[1], "w") as file:
    json.dump({"seconds": time.perf_counter() - start, "cpu_seconds": usage.ru_utime + usage.ru_stime,
               "peak_mib": kib / 1024}, file)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


class MeasuringLauncher(ProcessLauncher):
    """Launches as a local run does, and keeps what each step needed in `needs`."""

    def __init__(self, project_root: Path) -> None:
        super().__init__(project_root)
        self.needs: dict[str, JobNeeds] = {}

    def launch(self, job: Job) -> JobOutcome:
        """Run the job's program under the measuring parent."""
        key = "AppSpecification" if job.step.type == "Processing" else "AlgorithmSpecification"
        container = dict(job.request[key])
        _python, *arguments = container["ContainerEntrypoint"]
        with tempfile.TemporaryDirectory() as folder:
            counted = Path(folder) / "counted.json"
            container["ContainerEntrypoint"] = ["python", "-c", PARENT, str(counted), *arguments]
            request = {**job.request, key: container}
            if job.step.type == "Processing":  # of several hosts the first does the work here
                cluster = request["ProcessingResources"]["ClusterConfig"]
                request["ProcessingResources"] = {"ClusterConfig": {**cluster, "InstanceCount": 1}}
            outcome = super().launch(replace(job, request=request))
            disk = sum(path.stat().st_size for path in job.base_dir.rglob("*") if path.is_file()) / 2**20
            if counted.exists():
                self.needs[job.step.name] = JobNeeds(**json.loads(counted.read_text()), disk_mib=disk)
        return outcome


def measure(data: Path, events: Path, repeat: int) -> dict[str, JobNeeds]:
    """The median of some runs that train, in the middle of a season and with a champion of two weeks before."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        local_deployment.seed(store)
        local_deployment.put_data(store, data, "games")
        local_deployment.put_data(store, events, EVENTS_PREFIX)
        local_deployment.put_spark_code(store)
        run_once(store, AsOfDate=CHAMPION_DAY, ApprovalStatus="Approved")
        promote(store, local_deployment.MODEL_PACKAGE_GROUP, local_deployment.ARTIFACT_BUCKET)
        measured = [run_once(store, AsOfDate=RUN_DAY, ForceTraining="yes") for _ in range(repeat)]
        found = {step: median([needs[step] for needs in measured]) for step in measured[0]}
        for step, chosen in WITH_EVENTS.items():
            found[step] = median([run_once(store, AsOfDate=RUN_DAY, **chosen)[step] for _ in range(repeat)])
    return found


def run_once(store: Store, **chosen: str) -> dict[str, JobNeeds]:
    chosen = {"DataPrefix": "games", **chosen}
    plan = load_plan(read_definition("nba"), local_deployment.constants(), chosen, name=local_deployment.PIPELINE_NAME)
    launcher = MeasuringLauncher(local_deployment.ROOT)
    outcome = run(plan, store, launcher, use_cache=False)
    if outcome.status != SUCCEEDED:
        raise SystemExit(f"the run failed: {outcome.failure}")
    return launcher.needs


def median(needs: Sequence[JobNeeds]) -> JobNeeds:
    names = [field.name for field in fields(JobNeeds)]
    return JobNeeds(**{name: round(statistics.median(getattr(own, name) for own in needs), 2) for name in names})


def every_job() -> list[PipelineJob]:
    """The jobs of a run with the defaults, and those that WITH_EVENTS adds."""
    found = {job.step: job for job in jobs(read_definition("nba"))}
    for chosen in WITH_EVENTS.values():
        found |= {job.step: job for job in jobs(with_parameters(read_definition("nba"), chosen))}
    return list(found.values())


def show(needs: dict[str, JobNeeds]) -> None:
    """Print the table, and the machines that are enough."""
    prices = load_prices()
    print(
        f"{'step':<17}{'seconds':>9}{'cores':>7}{'peak MiB':>10}{'disk MiB':>10}   a job with start-up, cheapest first"
    )
    for job in every_job():
        own = needs[job.step]
        enough = [
            m for m in prices.instances.values() if m.memory_gib * 1024 >= 2 * own.peak_mib and job.kind in m.hourly
        ]
        costs = sorted(
            (job_cost(replace(job, instance=m.name), own.cpu_seconds, prices).dollars, m.name) for m in enough
        )
        choice = ", ".join(f"{name} ${dollars:.4f}" for dollars, name in costs[:3])
        print(
            f"{job.step:<17}{own.seconds:>9.2f}{own.cpu_seconds / own.seconds:>7.1f}{own.peak_mib:>10.0f}"
            f"{own.disk_mib:>10.1f}   {choice}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=GAMES)
    parser.add_argument("--events", type=Path, default=EVENTS)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="keep the numbers in pipeline/cost/job_needs.json")
    options = parser.parse_args()
    needs = measure(require(options.data), require(options.events), options.repeat)
    show(needs)
    if options.write:
        content = {
            "command": "python -m benchmarks.job_needs --write",
            "measured_on": (
                "2 cores of a shared virtual machine, 73,357 real games, 1947 to 2023, and play-by-play of one season"
            ),
            "steps": {step: asdict(own) for step, own in needs.items()},
        }
        NEEDS_FILE.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        print(f"wrote {NEEDS_FILE.relative_to(local_deployment.ROOT)}")


if __name__ == "__main__":
    main()
