"""python -m scripts.new_workload: a workload from data files that trains at once, or one sentence why there is none."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from churn_files import churn_rows, write_churn
from click.testing import CliRunner

from scripts.new_workload.__main__ import main

NAME = "churn_by_plan"
OPTIONS = ("--id", "customer", "--time", "day", "--target", "churned", "--group", "plan")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_churn(tmp_path_factory.mktemp("customers") / "data")


@pytest.fixture(scope="module")
def clone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository with a workload of the name that somebody has begun."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("infra", "pipeline", "scripts"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "cdk.json", folder)
    begun = folder / "pipeline" / "workloads" / NAME
    begun.mkdir()
    (begun / "notes.txt").write_text("mine\n", encoding="utf-8")
    return folder


def start(clone: Path, *arguments: str) -> subprocess.Popen[str]:
    variables = {name: value for name, value in os.environ.items() if name != "WORKLOAD"}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *arguments], cwd=clone, env=variables, stdout=pipe, stderr=pipe, text=True)


def call(clone: Path, *arguments: str) -> str:
    process = start(clone, *arguments)
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stdout + stderr
    return stdout


def begun(clone: Path) -> dict[str, str]:
    folders = (clone / "pipeline" / "workloads" / NAME, clone / "tests")
    return {path.name: path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.*")}


def staging(clone: Path) -> list[Path]:
    return list((clone / ".retrain").glob("new-workload-*"))


def test_an_interrupted_command_leaves_what_was_there(clone: Path, data: Path) -> None:
    process = start(clone, "-m", "scripts.new_workload", NAME, "--from", str(data), *OPTIONS, "--force")
    while not staging(clone) and process.poll() is None:
        time.sleep(0.02)
    assert staging(clone), process.communicate()
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode != 0
    assert begun(clone) == {"notes.txt": "mine\n"}
    assert not staging(clone)


@pytest.fixture(scope="module")
def written(clone: Path, data: Path) -> dict[str, Any]:
    command = ("-m", "scripts.new_workload", NAME, "--from", str(data), *OPTIONS)
    refused = start(clone, *command)
    assert "choose another name, or replace it with --force" in refused.communicate()[1]
    assert refused.returncode == 2
    found: dict[str, Any] = json.loads(call(clone, *command, "--force", "--json"))
    return found


def test_what_the_data_say_is_inferred(written: dict[str, Any]) -> None:
    assert written["task"] == "binary"
    assert written["columns"] == {
        "customer": ["id", "text"],
        "day": ["time", "day"],
        "churned": ["target", "flag"],
        "plan": ["feature", "category"],
        "fee": ["feature", "number"],
        "tickets": ["feature", "integer"],
    }
    assert written["may_be_missing"] == ["plan", "tickets"]
    assert written["not_used"] == {
        "note": "texts with 1,620 different values, and a category has at most 50",
        "country": "one value only",
    }
    assert written["label_delay_days"] == 30
    assert written["unit"] == "day"
    assert written["baseline"] in ("the rate of churned by plan", "the rate of churned by tickets")


def test_the_folder_is_whole_and_what_it_replaced_is_kept(clone: Path, written: dict[str, Any]) -> None:
    assert set(begun(clone)) == {
        *("__init__.py", "spec.py", "baseline.py", "sample.py", "definition.json", f"test_{NAME}_contract.py")
    }
    (kept,) = (clone / ".retrain" / "replaced").rglob("notes.txt")
    assert kept.read_text(encoding="utf-8") == "mine\n"
    assert not staging(clone)


def test_the_files_are_formatted_and_typed_as_the_project_is(root: Path, clone: Path, written: dict[str, Any]) -> None:
    folder = clone / "pipeline" / "workloads" / NAME
    for check in (("ruff", "check"), ("ruff", "format", "--check")):
        call(root, "-m", *check, "--no-cache", "--config", str(root / "pyproject.toml"), str(folder))


@pytest.mark.parametrize("given", [True, False])
def test_a_run_trains_evaluates_and_registers_at_once(
    clone: Path, data: Path, written: dict[str, Any], given: bool
) -> None:
    """On the data, and on simulated rows of the same columns."""
    options = ("--data", str(data)) if given else ()
    done = json.loads(call(clone, "-m", "scripts.run_local", "--workload", NAME, "--quiet", "--json", *options))
    assert done["decision"] == "registered"
    assert done["metrics"]["candidate"]["log_loss"] < done["metrics"]["baseline"]["log_loss"]
    assert done["simulated"] is not given


def test_names_in_aws_have_no_underscore(clone: Path, written: dict[str, Any]) -> None:
    read = f"Settings.from_context({{'workload': '{NAME}'}})"
    program = f"from infra.settings.settings import Settings; s = {read}; print(s.pipeline_name, s.group_name)"
    assert call(clone, "-c", program).split() == ["retraining-churn-by-plan-dev", "churn-by-plan-dev"]


Change = Callable[[pd.DataFrame], pd.DataFrame]


def tampered(data: Path, change: Change) -> str:
    data.mkdir()
    change(churn_rows(days=200)).to_csv(data / "rows.csv", index=False)
    return str(data)


def told(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["churn2", *arguments, "--dry-run", "--json"])
    assert result.exit_code == 2, result.output
    return str(json.loads(result.stdout)["error"])


def put(column: str, value: Any) -> Change:
    return lambda rows: rows.assign(**{column: value})


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (
            lambda rows: rows,
            {"--time": "DYA"},
            '--time: there is no column "DYA"; did you mean "day"? there are customer, day',
        ),
        (lambda rows: rows, {"--target": "day"}, "name one column twice"),
        (lambda rows: rows, {"--task": "regression"}, '"no", "yes" are neither numbers nor true and false'),
        (
            put("customer", "C1"),
            {},
            '--id customer names a row, and customer "C1" is in 600 rows that differ: --id note w',
        ),
        (put("churned", "no"), {}, 'every row has the value "no": there is nothing to predict'),
        (put("plan", lambda rows: rows["churned"].map({"yes": "gone"})), {}, "column plan has one target for each"),
        (
            put("a bit", lambda rows: rows["churned"].map({"yes": 1, "no": 0})),
            {},
            "later than day, add --without 'a bit'",
        ),
        (put("fee", lambda rows: rows["churned"].map({"yes": 9.5, "no": 2.5}) + rows["fee"] / 99), {}, "column fee is"),
        (put("day", lambda rows: "on " + rows["day"]), {}, 'on 2024-01-01" is no time: write YYYY-MM-DD'),
        (put("day", lambda rows: "2" + rows["day"].str[1:].str.replace("024", "324")), {}, "are in the future"),
        (lambda rows: rows[["customer", "day", "note", "country", "churned"]], {}, "no column can be a feature (note:"),
        (lambda rows: rows[["customer", "day", "churned"]], {}, "no column can be a feature (there is no other): add"),
        (put("day", lambda rows: rows["day"].where(rows.index % 9 > 0)), {}, 'day "" is missing; correct the files'),
        (lambda rows: rows.head(450), {}, "are too few: 500 before"),
    ],
)
def test_data_that_cannot_work_are_refused_with_the_reason(
    change: Change, options: dict[str, str], words: str, tmp_path: Path
) -> None:
    chosen = {"--id": "customer", "--time": "day", "--target": "churned", **options}
    found = told("--from", tampered(tmp_path / "data", change), *(part for pair in chosen.items() for part in pair))
    assert words in found
    assert "\n" not in found
    assert "quarantine.csv" not in found, "only a run writes it"


def test_a_file_without_the_time_is_named(data: Path, tmp_path: Path) -> None:
    churn_rows().to_csv(tmp_path / "rows.csv", index=False)
    churn_rows(9)[["customer", "churned"]].to_csv(tmp_path / "more.csv", index=False)
    assert told("--from", str(tmp_path), *OPTIONS).startswith('more.csv: column "day" is missing; found: customer')


def test_lines_above_the_header_are_named(tmp_path: Path) -> None:
    rows = churn_rows(9).to_csv(index=False)
    (tmp_path / "rows.csv").write_text(f"customers, exported on Friday\n{rows}", encoding="utf-8")
    assert told("--from", str(tmp_path), *OPTIONS) == (
        "rows.csv, line 2: this seems to be the header: remove the lines above it"
    )


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 no more")
    assert told("--from", str(tmp_path), "--time", "day", "--target", "churned").startswith("rows.parquet is a trunc")


def test_a_folder_without_data_is_said_by_the_option_of_this_command(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("day,fee,churned\n", encoding="utf-8")
    found = told("--from", str(tmp_path), "--time", "day", "--target", "churned")
    assert "file under --from; put the data files there (rows.txt is no" in found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("my-flow", "use lower-case letters, digits and _"),
        ("class", "no word of Python"),
        ("nba", 'there is a workload "nba"'),
        ("simulated", '"simulated" is a module of core, which a workload of that name would hide'),
        ("x" * 27, "has 27 characters, and names in AWS leave 26"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(name: str, words: str, data: Path) -> None:
    result = CliRunner().invoke(main, [name, "--from", str(data), *OPTIONS, "--dry-run"])
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


def test_a_dry_run_prints_the_spec(data: Path) -> None:
    result = CliRunner().invoke(main, ["churn2", "--from", str(data), *OPTIONS, "--dry-run"])
    assert result.exit_code == 0, result.output
    names: dict[str, Any] = {}
    exec(result.stdout, names)  # noqa: S102 - it is what would be written
    assert names["SPEC"].name_of("target") == "churned"
    assert names["SPEC"].monitor.groups == {"plan": 1.0}
