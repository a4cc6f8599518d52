"""How long a local run takes, where the time goes, and what the runner itself adds.

python -m benchmarks.local_run [--data FOLDER] [--repeat N]

Prints, all from one session: a warm run in which every step runs, the same run with every step cached,
the share of each step, what the runner adds to a step (against the same program started by hand), and ratios to the
time that this Python needs to import the steps' libraries (the reference: machines differ and are noisy). With an
engine and an image (make image), also the same run in containers, in turns with the embedded one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.real_data import GAMES, ROOT
from pipeline.contract.code_version import image_content
from pipeline.contract.workload import read_definition
from pipeline.local import local_deployment
from pipeline.local.launch.container_runtime import (
    IMAGE,
    ContainerRuntimeError,
    require_compose,
    require_container_runtime,
    require_image,
)
from pipeline.local.launch.launch_process import ProcessLauncher
from pipeline.local.plan.plan import load_plan
from pipeline.local.run.runner import run
from pipeline.local.store.store import Store

JOBS = ("Prepare", "Predict", "Train", "Evaluate")
IDLE = """
import os, pathlib
for folder in pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "processing/output").iterdir():
    (folder / "x").touch()
"""


def timed(command: list[str], environment: dict[str, str] | None = None) -> tuple[float, str]:
    """Wall seconds of a child process and its standard output; a failure raises CalledProcessError."""
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return time.perf_counter() - start, done.stdout


def run_local(store: Path, data: list[str], *options: str) -> tuple[float, dict[str, Any]]:
    """One whole command, and what it printed."""
    command = [sys.executable, "-m", "scripts.run_local", "--json", "--store", str(store), *data, *options]
    seconds, out = timed(command)
    outcome: dict[str, Any] = json.loads(out)
    return seconds, outcome


def runner_overhead(store: Path, repeat: int) -> tuple[float, float]:
    """Median seconds of Prepare in the runner if its program does nothing, and of the same program started by hand."""
    opened = Store(store)
    plan = load_plan(read_definition("nba"), local_deployment.constants(), {"DataPrefix": "data"})  # all the games
    prepare = plan.step("Prepare")
    idle = ["python", "-c", IDLE]
    arguments = {**prepare.arguments, "AppSpecification": {"ImageUri": "local", "ContainerEntrypoint": idle}}
    plan = replace(plan, steps=(replace(prepare, arguments=arguments),))
    launcher = ProcessLauncher(ROOT)
    steps = [run(plan, opened, launcher, use_cache=False).steps[0] for _ in range(repeat)]
    assert all(step.status == "Succeeded" for step in steps), steps[0].reason
    by_hand = [sys.executable, "-c", "import os, pathlib"]
    return statistics.median(s.seconds for s in steps), statistics.median(timed(by_hand)[0] for _ in range(repeat))


def beside_containers(folder: Path, data: list[str], repeat: int) -> None:
    """The same run embedded and in SageMaker local mode, in turns; says why not where containers cannot be run."""
    try:
        require_container_runtime()
        require_compose()
        require_image(IMAGE, image_content("nba"))
    except ContainerRuntimeError as error:
        print(f"in containers: not measured: {error}")
        return
    options = ("--no-cache", "--param", "ForceTraining=yes")
    seconds: dict[str, list[float]] = {"embedded": [], "local mode": []}
    steps: dict[str, list[float]] = {name: [] for name in seconds}
    for _ in range(repeat):
        for name, where in (("embedded", ()), ("local mode", ("--docker",))):
            taken, outcome = run_local(folder / name.replace(" ", "-"), data, *options, *where)
            seconds[name].append(taken)
            steps[name].append(sum(s["seconds"] for s in outcome["steps"] if s["name"] in JOBS))
    print("the same run in containers (SageMaker local mode), in turns with the embedded one")
    for name, taken_all in seconds.items():
        print(f"{'  ' + name:<28}{statistics.median(taken_all):>9.2f}")
    ratio = statistics.median(b / a for a, b in zip(*seconds.values(), strict=True))
    jobs = statistics.median(b / a for a, b in zip(*steps.values(), strict=True))
    print(f"{'  embedded : local mode':<28}{'1 : ':>9}{ratio:.1f}   (the jobs alone 1 : {jobs:.1f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=GAMES if GAMES.is_dir() else None)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    data = ["--data", str(options.data)] if options.data else []
    forced = ("--param", "ForceTraining=yes")
    imports = [sys.executable, "-c", "import pandas, pyarrow, xgboost, matplotlib.figure"]
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        run_local(store, data, *forced)  # warms the file cache, and writes last_evaluated.json for the next runs
        reference = statistics.median(timed(imports)[0] for _ in range(options.repeat))
        warm = [run_local(store, data, "--no-cache", *forced) for _ in range(options.repeat)]
        run_local(store, data, *forced)
        cached = [run_local(store, data, *forced) for _ in range(options.repeat)]
        assert all(s["cached"] for _, outcome in cached for s in outcome["steps"] if s["name"] in JOBS)
        seconds, outcome = sorted(warm, key=lambda item: item[0])[len(warm) // 2]
        cached_seconds = statistics.median(item[0] for item in cached)
        steps = {s["name"]: s["seconds"] for s in outcome["steps"] if s["name"] in JOBS}
        print(f"games: {outcome['data']['n_played']:,} played, {outcome['data']['n_modelled']:,} modelled")
        print(f"reference, importing the steps' libraries once: {reference:.2f} s\n")
        print(f"{'':<28}{'seconds':>9}{'of the run':>12}{'x reference':>13}")
        print(f"{'warm run, whole command':<28}{seconds:>9.2f}{'':>12}{seconds / reference:>13.1f}")
        for name in JOBS:
            print(f"{'  ' + name:<28}{steps[name]:>9.2f}{steps[name] / seconds:>12.0%}{steps[name] / reference:>13.1f}")
        chain = steps["Prepare"] + steps["Train"] + steps["Evaluate"]  # Predict runs beside Train
        print(f"{'  command and runner':<28}{seconds - chain:>9.2f}{(seconds - chain) / seconds:>12.0%}")
        print(f"{'same run, all cached':<28}{cached_seconds:>9.2f}{'':>12}{cached_seconds / reference:>13.1f}\n")
        idle, bare = runner_overhead(store, max(5, options.repeat))
        print("a step that does nothing, on the same games (an interpreter's start is its own work)")
        print(f"{'  in the runner':<28}{idle:>9.3f}")
        print(f"{'  started by hand':<28}{bare:>9.3f}")
        print(f"{'  the runner adds':<28}{idle - bare:>9.3f}{'':>12}{(idle - bare) / reference:>13.2f}\n")
        beside_containers(Path(folder), data, options.repeat)


if __name__ == "__main__":
    main()
