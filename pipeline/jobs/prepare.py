"""Prepare: raw files -> validated rows -> features; says whether anything is new.

in   processing/input/data/*.csv|csv.gz|parquet      every row, labelled or to come (docs/data.md)
     processing/input/champion/champion.json         whether a version is in use: without one, new rows never wait
     processing/input/evaluated/last_evaluated.json  record of the last evaluated candidate
     processing/input/evaluated/registered.json      the registry has it; missing where it does not
out  processing/output/features/features.parquet     the labelled rows
     processing/output/features/state.parquet        what a server needs of the past, where the workload has it
     processing/output/features/results.parquet      what has happened: for a baseline that sees no features
     processing/output/upcoming/upcoming.parquet     rows to be predicted
     processing/output/report/prepared.json          has_new_data, why, fingerprint, data summary
     processing/output/report/quarantine.csv         bad rows with file, line, column, value, rule

python -m pipeline.jobs.prepare --as-of 2025-03-01 --training-config max_depth=3 learning_rate=0.05
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from pipeline.contract import names as c
from pipeline.contract.container import (
    StepError,
    code_version,
    json_text,
    processing_input,
    processing_output,
    public_path,
    read_record,
    run_step,
    with_any_value,
)
from pipeline.contract.parameters import parameters_of, parse_limits, snake_case
from pipeline.contract.reasons import counted
from pipeline.contract.spec import Spec
from pipeline.contract.workload import Workload, current_workload
from pipeline.evaluation.retrain_decision import RetrainInputs, read_last_registered, should_retrain
from pipeline.ingest.quarantine import BadData, count_rules, kinds
from pipeline.ingest.row_counts import took_no_part
from pipeline.ingest.spreadsheet_text import safe_columns
from pipeline.ingest.validated import LoadRequest, ValidatedRows, rows_digest
from pipeline.jobs.today import parse_as_of, today_in

EXAMPLES_OF_A_RULE = 2  # in the report; quarantine.csv holds every violation
MAX_ROW_GROUP = 16_384  # rows: a part that training can read by itself
MIN_ROW_GROUP = 256
MANY_ROW_GROUPS = 64  # so that every host of a training job has an equal share of them
LATE_LABEL_DAYS = 30  # a row that has had no label for longer is a known gap


def parse_arguments(spec: Spec, argv: Sequence[str]) -> argparse.Namespace:
    defaults = parameters_of(spec).defaults
    parser = argparse.ArgumentParser(prog="python -m pipeline.jobs.prepare", description=__doc__)
    parser.add_argument("--as-of", default="today", help="YYYY-MM-DD, or today in --time-zone")
    parser.add_argument("--time-zone", default=spec.time_zone, help="of the rows' days (IANA name)")
    for name in ("MaxBadRowShare", "MaxBadRowShareOfFile"):
        parser.add_argument(f"--{snake_case(name).replace('_', '-')}", type=float, default=defaults[name])
    parser.add_argument("--min-rows", type=int, default=defaults["MinRows"])
    parser.add_argument("--min-days-between-trainings", type=int, default=0, help="of runs that no person started")
    parser.add_argument("--trigger", default="manual", help="what started the run; a schedule and new data wait")
    parser.add_argument("--parameters", nargs="*", default=[], metavar="NAME=VALUE", help="the workload's own")
    parser.add_argument("--training-config", nargs="*", default=[], metavar="NAME=VALUE", help="what Train is told")
    parser.add_argument("--limits", nargs="*", default=[], metavar="NAME=VALUE", help="what candidates are held to")
    return parser.parse_args(with_any_value(argv, "--as-of", "--time-zone", "--trigger"))


def own_parameters(spec: Spec, given: Sequence[str]) -> dict[str, str]:
    """The workload's parameters that its features are told, with defaults for those not given."""
    defaults = {p.name: str(p.default) for p in spec.parameters if p.for_prepare}
    return {**defaults, **dict(item.split("=", 1) for item in given)}


def fingerprint(rows: str, training_config: Sequence[str], parameters: Mapping[str, str], code: str) -> str:
    """What a candidate is made of: rows, training config, parameters and code; equal ones give equal candidates."""
    parts = sorted(
        _canonical(item) for item in (*training_config, *(f"{name}={value}" for name, value in parameters.items()))
    )
    return hashlib.sha256("\n".join([rows, *parts, code]).encode()).hexdigest()


def _canonical(item: str) -> str:
    """`max_depth=3` and `max_depth=3.0` are one training config."""
    name, _, value = item.partition("=")
    try:
        return f"{name}={float(value)!r}"
    except ValueError:
        return item


def data_summary(
    spec: Spec, validated: ValidatedRows, labelled: pd.DataFrame, n_modelled: int, as_of: date
) -> dict[str, Any]:
    """Counts of the data report; JSON types only. `labelled` are the rows whose label is known."""
    quarantine = validated.quarantine
    rules = count_rules(quarantine)
    examples = quarantine.groupby(kinds(quarantine), sort=False).head(EXAMPLES_OF_A_RULE)
    newest = labelled[c.TIME].max().date()
    days = (as_of - newest).days
    late_since = as_of - timedelta(days=spec.label_delay_days + LATE_LABEL_DAYS)
    return {
        "files": [
            {
                "name": f.name,
                "lines": asdict(f.lines),
                "rows": f.rows,
                "kept_rows": f.kept,
                "replaced_rows": f.replaced,
                "bad_rows": f.bad_rows,
                "first_date": _text(f.first_date),
                "last_date": _text(f.last_date),
                "unused_columns": list(f.unused_columns),
            }
            for f in validated.files
        ],
        "took_no_part": took_no_part(validated.files, validated.left_out),
        "left_out": [{"name": item.name, "reason": item.reason} for item in validated.left_out],
        "n_rows_read": validated.n_rows_read,
        "n_rows": len(validated.rows),
        "n_labelled": len(labelled),
        "n_modelled": n_modelled,
        "n_upcoming": len(validated.rows) - len(labelled),
        "n_duplicates_collapsed": validated.n_duplicates_collapsed,
        "n_superseded": validated.n_superseded,
        "n_bad_rows": validated.n_bad_rows,
        "n_labels_hidden": validated.n_labels_hidden,
        "late_labels": [str(day) for day in validated.days_without_label if day >= late_since],
        "first_date": str(labelled[c.TIME].min().date()),
        "last_labelled_date": str(newest),
        "quarantine_rules": [{"rule": str(rule), "n_rows": int(n)} for rule, n in rules.items()],
        "quarantine_examples": examples.astype(str).to_dict("records"),
        "notes": [
            f"the newest labelled {spec.row} is of {newest}, {counted(days, 'day')} before the as-of date"
            + (f" (a label takes {spec.label_delay_days})" if spec.label_delay_days else ""),
            *validated.notes,
            *(f"{name} is a link to {target}, which is read too" for name, target in validated.linked.items()),
        ],
    }


def _text(day: date | None) -> str | None:
    return None if day is None else str(day)


def write_quarantine(folder: Path, quarantine: pd.DataFrame) -> None:
    """Every violation with file, line, column, value and rule; no cell is a formula."""
    table = safe_columns(pa.Table.from_pandas(quarantine, preserve_index=False))
    pyarrow.csv.write_csv(table, folder / c.QUARANTINE_FILE, pyarrow.csv.WriteOptions(quoting_style="needed"))


def write_features(path: Path, features: pa.Table, facts: Mapping[str, str]) -> None:
    """A Parquet file whose metadata carries the facts that Train needs for the model's card."""
    metadata = {**(features.schema.metadata or {}), **{key.encode(): value.encode() for key, value in facts.items()}}
    group = min(MAX_ROW_GROUP, max(MIN_ROW_GROUP, -(-features.num_rows // MANY_ROW_GROUPS)))
    pq.write_table(features.replace_schema_metadata(metadata), path, row_group_size=group)


def validate(workload: Workload, arguments: argparse.Namespace, as_of: date, today: date) -> ValidatedRows:
    """The validated rows; the quarantine is written either way. Raises StepError for data that must not be used."""
    report = processing_output(c.REPORT_CHANNEL)
    request = LoadRequest(
        processing_input(c.DATA_CHANNEL),
        as_of=as_of,
        today=today,
        max_bad_row_share=arguments.max_bad_row_share,
        max_bad_row_share_of_file=arguments.max_bad_row_share_of_file,
        min_rows=arguments.min_rows,
        time_zone=arguments.time_zone,
    )
    try:
        validated = workload.data.load(workload.spec, request)
    except BadData as error:
        write_quarantine(report, error.quarantine)
        reason = str(error).replace(c.QUARANTINE_FILE, public_path(report / c.QUARANTINE_FILE), 1)
        raise StepError(reason) from error
    write_quarantine(report, validated.quarantine)
    return validated


def main(argv: Sequence[str]) -> None:
    workload = current_workload()
    spec = workload.spec
    arguments = parse_arguments(spec, argv)
    for name in ("MaxBadRowShare", "MaxBadRowShareOfFile"):
        share = getattr(arguments, snake_case(name))
        if not 0 <= share <= 1:
            raise StepError(f"{name} {share:g} is not a share from 0 to 1")
    today = today_in(arguments.time_zone)
    as_of = parse_as_of(arguments.as_of, today, arguments.time_zone)
    validated = validate(workload, arguments, as_of, today)
    parameters = own_parameters(spec, arguments.parameters)
    tables = workload.features.features(spec, validated.rows, as_of, parameters)
    labelled = validated.rows[validated.rows[c.TARGET].notna()]
    rows = rows_digest(labelled)
    facts = {
        "as_of_date": str(as_of),
        "fingerprint": fingerprint(rows, arguments.training_config, parameters, code_version()),
        "training_config_fingerprint": fingerprint("", arguments.training_config, parameters, code_version()),
        "feature_signature": workload.features.signature(spec),
        "time_zone": arguments.time_zone,
        "label_delay_days": str(spec.label_delay_days),
    }
    last = read_record(processing_input(c.EVALUATED_CHANNEL), c.EVALUATED_FILE)
    retrain_inputs = RetrainInputs(
        facts,
        champion=read_record(processing_input(c.CHAMPION_CHANNEL), c.CHAMPION_FILE)["version"],
        trigger=arguments.trigger,
        min_days=arguments.min_days_between_trainings,
        limits=parse_limits(spec, arguments.limits),
        spec=spec,
    )
    retrain = should_retrain(last, read_last_registered(processing_input(c.EVALUATED_CHANNEL)), retrain_inputs)
    features = processing_output(c.FEATURES_CHANNEL)
    write_features(features / c.FEATURES_FILE, tables.labelled, facts)
    if tables.state:
        (features / c.STATE_FILE).write_bytes(tables.state)
    pq.write_table(workload.data.results(validated.rows), features / c.RESULTS_FILE)
    write_features(processing_output(c.UPCOMING_CHANNEL) / c.UPCOMING_FILE, tables.upcoming, facts)
    data = data_summary(spec, validated, labelled, tables.labelled.num_rows, as_of)
    data["notes"] += workload.data.join_inputs(validated.rows)
    own = {"simulated": False, "tables": []} | workload.data.summary(validated.rows, tables.labelled)
    prepared: dict[str, Any] = {
        "has_new_data": c.YES if retrain.train else c.NO,
        "reason": retrain.reason,
        **facts,
        "data_fingerprint": rows,
        "code_version": code_version(),
        "last_evaluated": last,
        "simulated": own["simulated"] or any(f.name.startswith("SIMULATED") for f in validated.files),
        "training_config": dict(item.split("=", 1) for item in arguments.training_config),
        "data": {**data, "tables": own["tables"]},
    }
    (processing_output(c.REPORT_CHANNEL) / c.PREPARED_FILE).write_text(json_text(prepared), encoding="utf-8")
    sys.stderr.write(
        f"{data['n_labelled']:,} {spec.rows} to {data['last_labelled_date']}, {data['n_upcoming']:,} upcoming, "
        f"{counted(validated.n_bad_rows, 'bad row')}; {retrain.reason}\n"
        + (f"took no part: {data['took_no_part']}\n" if data["took_no_part"] else "")
    )


if __name__ == "__main__":
    sys.exit(run_step(main, sys.argv[1:]))
