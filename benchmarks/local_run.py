"""How long a local run takes, where the time goes, and what the runner itself adds.

python -m benchmarks.local_run [--data FOLDER] [--repeat N]

Prints, all from one session on one machine: a warm run in which every step runs, the same run with every step cached,
the share of each step, what the runner adds to a step (against the same program started by hand on the same inputs), and
ratios to the time that this Python needs to import the steps' libraries (the reference: machines differ and are noisy).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REAL_GAMES = ROOT.parent / "shared" / "data" / "games"
JOBS = ("Prepare", "Predict", "Train", "Evaluate")


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


def by_hand(store: Path, outcome: dict[str, Any], step: str) -> float:
    """Seconds of a step's own program on the inputs that the runner gave it, started without the runner."""
    base = store / "runs" / outcome["execution_id"] / "steps" / step / "base"
    arguments: list[str] = []
    if step in ("Prepare", "Evaluate"):
        definition = json.loads((ROOT / "pipeline" / "definition.json").read_text(encoding="utf-8"))
        defaults = {p["Name"]: p["DefaultValue"] for p in definition["Parameters"]}
        request = find(definition["Steps"], step)["Arguments"]["AppSpecification"]
        arguments = [resolve(part, defaults) for part in request["ContainerArguments"]]
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(base)}
    command = [sys.executable, "-m", f"pipeline.steps.{step.lower()}", *arguments]
    return statistics.median(timed(command, environment)[0] for _ in range(3))


def find(steps: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """A step of the definition by name, in branches too."""
    for step in steps:
        if step["Name"] == name:
            return step
        if step["Type"] == "Condition":
            for branch in ("IfSteps", "ElseSteps"):
                if found := find(step["Arguments"][branch], name):
                    return found
    return {}


def resolve(part: Any, defaults: dict[str, Any]) -> str:  # noqa: ANN401 - JSON
    """A container argument with the parameters' defaults."""
    if isinstance(part, str):
        return part
    if "Get" in part:
        return str(defaults[part["Get"].removeprefix("Parameters.")])
    return str(part["Std:Join"]["On"]).join(resolve(value, defaults) for value in part["Std:Join"]["Values"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=REAL_GAMES if REAL_GAMES.is_dir() else None)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    data = ["--data", str(options.data)] if options.data else []
    forced = ("--param", "ForceTraining=true")
    imports = [sys.executable, "-c", "import pandas, pandera.pandas, pyarrow, xgboost, matplotlib.figure"]
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        run_local(store, data, *forced)  # warms the file cache, and makes the marker that the next runs read
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
        print(f"{'what the runner adds':<28}{'in a run':>9}{'by hand':>12}{'added':>13}")
        for name in JOBS:
            own = by_hand(store, outcome, name)
            print(f"{'  ' + name:<28}{steps[name]:>9.2f}{own:>12.2f}{steps[name] - own:>13.2f}")
        print("(Predict and Train share the processors while both run, so their difference holds that too)")


if __name__ == "__main__":
    main()
