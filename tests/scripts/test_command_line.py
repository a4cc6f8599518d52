"""What no command leaves to a traceback: files, Ctrl-C, the project's own errors, AWS."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import botocore.exceptions as known
import click
import pytest
from click.testing import CliRunner

import app
from pipeline.local.plan.parameters import PlanError
from scripts.output.command_line import Command, Number, command
from scripts.writers.reference import commands


def refused(code: str, message: str = "m") -> known.ClientError:
    return known.ClientError({"Error": {"Code": code, "Message": message}}, "Any")


def raising(error: BaseException) -> Command:
    @command
    @click.option("--json", is_flag=True)
    def main(json: bool) -> None:
        raise error

    return main


def test_every_command_is_one_of_these() -> None:
    assert [name for name, one in commands().items() if not isinstance(one, Command)] == []


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PermissionError(13, "Permission denied", "a/b"), 2, "a/b: permission denied; let this user"),
        (FileNotFoundError("games: give a folder"), 2, "games: give a folder"),
        (PlanError("no such parameter"), 2, "no such parameter"),
        (type("OfTheCommand", (Exception,), {"__module__": "__main__"})("of python -m"), 2, "of python -m"),
        (ModuleNotFoundError("No module named 'yaml'", name="yaml"), 2, "yaml is not installed: make setup"),
        (click.ClickException("it failed"), 1, "it failed"),
        (known.NoRegionError(), 2, "give --region, or set AWS_REGION"),
        (known.NoCredentialsError(), 2, "sign in (aws sso login)"),
        (known.EndpointConnectionError(endpoint_url="u"), 2, "check the network, and --region"),
        (refused("ExpiredTokenException"), 2, "sign in (aws sso login)"),
        (refused("AccessDenied"), 2, "Ask for the permission"),
        (refused("403"), 2, "Ask for the permission"),
        (refused("ThrottlingException"), 2, "try again in a minute"),
        (refused("SlowDown"), 2, "try again in a minute"),
        (refused("ValidationException", "no such run"), 2, "AWS refuses (ValidationException): no such run"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_stops_a_command_is_one_sentence_and_with_json_an_object(error: Exception, code: int, said: str) -> None:
    done = CliRunner().invoke(raising(error), ["--json"])
    assert (done.exit_code, done.stderr.count(said)) == (code, 1)
    assert said in json.loads(done.stdout)["error"]
    assert CliRunner().invoke(raising(error)).stdout == ""


def test_a_wrong_option_is_an_object_too() -> None:
    done = CliRunner().invoke(raising(ValueError()), ["--json", "--nosuch"])
    assert (done.exit_code, "No such option" in json.loads(done.stdout)["error"]) == (2, True)


def test_an_error_of_the_code_keeps_its_traceback_and_ctrl_c_has_its_code() -> None:
    assert isinstance(CliRunner().invoke(raising(KeyError("x"))).exception, KeyError)
    assert CliRunner().invoke(raising(ModuleNotFoundError("x", name="scripts.x"))).exit_code == 1
    done = CliRunner().invoke(raising(KeyboardInterrupt()))
    assert (done.exit_code, done.stderr.strip()) == (130, "interrupted")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"context": {"workload": "nba"},}', "cdk.json is not JSON: Expecting property name"),
        (b"\xff", "cdk.json is not JSON"),
        (b"[]", 'cdk.json has no object "context"'),
        (b'{"context": []}', 'cdk.json has no object "context"'),
        (b'{"context": {}}', 'there is no workload "": there are'),
    ],
)
def test_a_cdk_json_that_was_edited_wrongly(
    content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration = tmp_path / "cdk.json"
    configuration.write_bytes(content)
    monkeypatch.setattr("pipeline.contract.workload.CONFIGURATION", configuration)
    monkeypatch.delenv("WORKLOAD", raising=False)
    for name in ("run_local", "check_definition", "promote_model --from dev --to prod --version 1"):
        module, *given = name.split()
        done = CliRunner().invoke(commands()[f"scripts.{module}"], given)
        assert (done.exit_code, said in done.stderr) == (2, True), done.output
    if "context" in said or "JSON" in said:
        assert app.main(["-o", str(tmp_path)]) == 2
        assert said in capsys.readouterr().err


def test_no_command_reads_cdk_json_while_it_is_imported(tmp_path: Path, root: Path) -> None:
    """Its errors would be tracebacks."""
    modules = [f"scripts.{path.stem}" for path in (root / "scripts").glob("*.py") if path.stem != "__init__"]
    code = (
        "import pipeline.contract.workload as w, pathlib, importlib, sys; w.CONFIGURATION = pathlib.Path(sys.argv[1])"
    )
    (tmp_path / "cdk.json").touch()
    command = [
        sys.executable,
        "-c",
        f"{code}; [*map(importlib.import_module, sys.argv[2:])]",
        str(tmp_path / "cdk.json"),
    ]
    subprocess.run([*command, *modules, "scripts.check_deployment.__main__"], cwd=root, check=True)


def test_ctrl_c_while_a_command_is_still_imported_is_no_traceback(tmp_path: Path, root: Path) -> None:
    (tmp_path / "own.py").write_text("import scripts, sys\nraise (KeyboardInterrupt, ValueError)[int(sys.argv[1])]\n")
    code = "import sys; sys.argv[0] = '-m'; sys.path[:0] = sys.argv[2:]; import own"
    done = [
        subprocess.run(
            [sys.executable, "-c", code, n, str(root), str(tmp_path)], capture_output=True, text=True, check=False
        )
        for n in "01"
    ]
    assert done[0].stderr == "interrupted\n"
    assert done[0].returncode != 0
    assert "Traceback" in done[1].stderr


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "x"])
def test_an_option_for_a_number_takes_numbers_only(value: str) -> None:
    numbers = {
        (name, option.name): option.type
        for name, one in commands().items()
        for sub in (one, *(one.commands.values() if isinstance(one, click.Group) else ()))
        for option in sub.params
        if isinstance(option.type, click.types.FloatParamType)
    }
    assert len(numbers) >= 6
    for name, kind in numbers.items():
        assert isinstance(kind, Number), name
        with pytest.raises(click.BadParameter):
            kind.convert(value, None, None)


@pytest.mark.parametrize("content", [b"\xff\xfe{", b"[" * 100_000, b"[]"], ids=["bytes", "deep", "other"])
def test_a_definition_that_is_none(content: bytes, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a file, and where git has it."""
    path = tmp_path / "file.json"
    path.write_bytes(content)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        subprocess.run([*git, *arguments], check=True)
    monkeypatch.setattr("scripts.versions.ROOT", tmp_path)
    for module, *given in (
        ("scripts.check_definition", str(path)),
        ("scripts.versions", "diff", str(path)),
        ("scripts.versions", "diff", "HEAD:file.json"),
    ):
        done = CliRunner().invoke(commands()[module], given)
        assert isinstance(done.exception, SystemExit), done.exception
        assert (done.exit_code, "Error: " in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["scripts.make_sample", "scripts.versions diff"])
def test_where_nothing_can_be_written_or_read(name: str, tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_bytes(b"\xff\xfe{")
    module, *arguments = name.split()
    done = CliRunner().invoke(commands()[module], [*arguments, str(file / "x" if not arguments else file)])
    assert isinstance(done.exception, SystemExit), done.exception
    assert (done.exit_code, "Error: " in done.stderr) == (2, True)
