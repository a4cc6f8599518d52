"""--store and --aws mean the same to every command that reads runs or versions."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from scripts import review_model, runs

COMMANDS = {
    "runs list": (runs.main, ["list"]),
    "runs report": (runs.main, ["report"]),
    "runs export-mlflow": (runs.main, ["export-mlflow", "--mlflow", "http://127.0.0.1:9"]),
    "review_model list": (review_model.main, ["list"]),
    "review_model history": (review_model.main, ["history"]),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--pipeline", "retraining-prod"], "--pipeline, --region and --profile go with --aws"),
        (["--region", "eu-west-1"], "--pipeline, --region and --profile go with --aws"),
        (["--aws", "--store", "."], "give one of them"),
        (["--store", "."], "is no store of local runs: make one with make run, or give --store"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    command, arguments = COMMANDS[name]
    assert isinstance(command, click.Group)
    ended = CliRunner().invoke(command, [*arguments, *options])
    assert ended.exit_code == 2
    assert told in ended.output
