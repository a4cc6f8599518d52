"""CPU seconds of a list of 1,000 runs, as a ratio to `--help` of the same command: the start of Python and imports.

Once from the lines of the history, and once from the runs' own records, as a store of an earlier release has them.

python -m benchmarks.runs_list
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.real_data import ROOT
from benchmarks.timed_process import timed
from pipeline.local.local_deployment import ARTIFACT_BUCKET
from pipeline.local.store.history import HISTORY_FILE, append, entry_of
from pipeline.local.store.run_record import RunResult, StepResult, save_run
from pipeline.local.store.store import Store

N_RUNS: Final = 1_000
REPEATS: Final = 5


def fill(store: Store, n: int) -> None:
    """Runs as they are: a record with eleven steps, prepared.json and a line."""
    lines = []
    for number in range(n):
        run_id = f"{number:012x}"
        uri = f"s3://{ARTIFACT_BUCKET}/runs/{run_id}/report"
        outputs = {"ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": {"S3Uri": uri}}]}}
        data = {"first_date": "2004-11-02", "last_labelled_date": "2025-02-28", "n_labelled": 25_000 + number}
        prepared = {"data": {**data, "notes": ["x" * 80] * 100}, "data_fingerprint": f"{number:064x}", "reason": "new"}
        store.object_path(f"{uri}/x").parent.mkdir(parents=True)
        store.object_path(f"{uri}/prepared.json").write_text(str(prepared).replace("'", '"'), encoding="utf-8")
        steps = [StepResult("Prepare", "Processing", "Succeeded", 1, 2, job_name="j", properties=outputs)]
        steps += [
            StepResult(f"S{i}", "Processing", "Succeeded", 1, 2, properties={"a": "x" * 1_500}) for i in range(10)
        ]
        parameters = {f"Parameter{i}": f"value {i}" for i in range(40)}
        run = RunResult(
            run_id, "p", "d" * 64, {}, parameters, float(number), "Succeeded", number + 5.0, steps=tuple(steps)
        )
        save_run(store, run)
        lines.append(entry_of(store, run).line)
    append(store.root / HISTORY_FILE, "".join(lines))


def seconds(*arguments: str) -> float:
    """CPU seconds of the command, the median of several runs: other programs make it wait, and not work."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "scripts.runs", *arguments]
    return statistics.median(timed(command, environment=environment).cpu_seconds for _ in range(REPEATS))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        fill(store, N_RUNS)
        given = ("list", "--limit", str(N_RUNS), "--json", "--store", str(store.root))
        reference, lines = seconds("list", "--help"), seconds(*given)
        (store.root / HISTORY_FILE).unlink()
        records = seconds(*given)
    print(f"{'reference: list --help':<36}{reference:>7.2f} s")
    for name, value in ((f"list of {N_RUNS:,} runs, lines", lines), (f"list of {N_RUNS:,} runs, records", records)):
        print(f"{name:<36}{value:>7.2f} s   {value / reference:.1f} times the reference")


if __name__ == "__main__":
    main()
