"""Evaluate: candidate, champion and baseline on the same rows; report; last_evaluated.json.

in   processing/input/model/model.tar.gz              the candidate (Train)
     processing/input/features/features.parquet       (Prepare)
     processing/input/features/results.parquet        (Prepare); what the reference is made of
     processing/input/report/prepared.json            (Prepare)
     processing/input/champion/                       champion.json and, where a version is in use, its model.tar.gz
out  processing/output/evaluation/evaluation.json     what the gates compare
     processing/output/evaluation/report.html         what people read
     processing/output/evaluated/last_evaluated.json  written to a stable prefix: "new" means other than this, once
                                                      what it decides is done (pipeline.contract.retrain_policy)
     processing/output/evaluated/report.html          the newest report, for runs without new data

python -m pipeline.jobs.evaluate --trigger manual --limits MaxLogLoss=0.68 MaxAccuracy=0.73 ...
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq

from pipeline.contract import names as c
from pipeline.contract.code_version import file_digest
from pipeline.contract.container import (
    code_version,
    json_text,
    processing_input,
    processing_output,
    run_step,
    with_any_value,
)
from pipeline.contract.metrics import short
from pipeline.contract.parameters import parse_limits
from pipeline.contract.service_text import description, metadata_value
from pipeline.contract.workload import current_workload
from pipeline.evaluation.evaluation import evaluate
from pipeline.evaluation.report import render
from pipeline.training.artifact import read_artifact
from pipeline.training.champion import load_champion
from pipeline.training.lean_xgboost import xgb


def versions(feature_signature: str) -> dict[str, str]:
    """What made this evaluation: code, definition, libraries."""
    return {
        "code": code_version(),
        "git": os.environ.get("GIT_REVISION", "unknown"),
        "definition": os.environ.get("DEFINITION_HASH", "unknown"),
        "features": feature_signature,
        "python": platform.python_version(),
        "xgboost": xgb.__version__,
    }


def summarise(evaluation: Mapping[str, Any]) -> str:
    """One sentence for emails and lists: the number, what it is compared with, the decision and why."""
    metrics, key = evaluation["metrics"], evaluation["primary_metric"]
    who = c.CHAMPION if metrics[c.CHAMPION] else c.BASELINE
    champion = f"champion {evaluation['comparison']['champion_version']}"
    rows = evaluation["rows"]
    label = f"simulated {rows}: " if evaluation["simulated"] else ""
    candidate, other = (short(metrics[name][key]) for name in (c.CANDIDATE, who))
    return (
        f"{label}{evaluation['metric_words'][key]['label']} {candidate} on "
        f"{metrics[c.CANDIDATE][c.N_ROWS]:,} {rows} ({champion if who == c.CHAMPION else evaluation['baseline']}: "
        f"{other}), as of {evaluation['as_of_date']}; {evaluation['decision']}: {evaluation['reason']}"
    )


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.jobs.evaluate", description=__doc__)
    parser.add_argument("--trigger", default="manual", help="what started the run; shown in the report")
    parser.add_argument("--limits", nargs="*", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args(with_any_value(argv, "--trigger"))
    archive = processing_input(c.MODEL_CHANNEL) / c.MODEL_ARCHIVE
    candidate = read_artifact(archive)
    prepared = json.loads((processing_input(c.REPORT_CHANNEL) / c.PREPARED_FILE).read_text(encoding="utf-8"))
    workload = current_workload()
    numbers = evaluate(
        workload,
        candidate,
        load_champion(processing_input(c.CHAMPION_CHANNEL)),
        pq.read_table(processing_input(c.FEATURES_CHANNEL) / c.FEATURES_FILE),
        pq.read_table(processing_input(c.FEATURES_CHANNEL) / c.RESULTS_FILE),
        feature_signature=prepared["feature_signature"],
        limits=parse_limits(workload.spec, arguments.limits),
    )
    evaluation: dict[str, Any] = {
        "as_of_date": prepared["as_of_date"],
        "simulated": prepared["simulated"],
        "fingerprint": candidate.card.fingerprint,
        c.MODEL_SHA256: file_digest(archive),
        "trigger": arguments.trigger,
        "metadata": {"trigger": metadata_value(arguments.trigger)},  # as the registry takes it
        "versions": versions(candidate.card.feature_signature),
        "training_config": prepared["training_config"],
        **numbers,
        "data": prepared["data"],
    }
    evaluation["summary"] = description(summarise(evaluation))
    report = render(evaluation)
    output = processing_output(c.EVALUATION_CHANNEL)
    (output / c.EVALUATION_FILE).write_text(json_text(evaluation), encoding="utf-8")
    (output / c.REPORT_FILE).write_text(report, encoding="utf-8")
    kept = (
        *("primary_metric", "fingerprint", "as_of_date", "decision", "reason", "summary"),
        *("metrics", "quality", "comparison"),
    )
    last_evaluated = {
        "training_config_fingerprint": prepared["training_config_fingerprint"],
        **{key: evaluation[key] for key in kept},
    }
    evaluated = processing_output(c.EVALUATED_CHANNEL)
    (evaluated / c.EVALUATED_FILE).write_text(json_text(last_evaluated), encoding="utf-8")
    (evaluated / c.REPORT_FILE).write_text(report, encoding="utf-8")
    sys.stderr.write(f"{evaluation['summary']}\n")


if __name__ == "__main__":
    sys.exit(run_step(main, sys.argv[1:]))
