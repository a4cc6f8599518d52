"""What every command has: -h, and one sentence instead of a traceback where it cannot do its work."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click

from pipeline.local.store.store_errors import explain
from scripts.cloud.connection import CommandError, aws_error

INTERRUPTED: Final = 130
_SETTINGS: Final = {"help_option_names": ["-h", "--help"], "show_default": True}
_OURS: Final = ("__main__", "infra", "pipeline", "scripts", "targets")  # the first: what `python -m` runs
FILE: Final = click.Path(dir_okay=False, path_type=Path)
FOLDER: Final = click.Path(file_okay=False, path_type=Path)
GIVEN: Final = click.Path(exists=True, path_type=Path)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
params_option = click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="Override a pipeline parameter."
)
workload_option = click.option(
    "--workload", metavar="NAME", help="Folder of pipeline/workloads. Default: that of cdk.json."
)


class Number(click.FloatRange):
    """A number from a range; also not NaN, which is outside no range, and not without end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        found: float = super().convert(value, param, ctx)
        return found if math.isfinite(found) else self.fail(f"{value!r} is not a number.", param, ctx)


class Command(click.Command):
    """Exit code 2 where it cannot do its work, 130 after Ctrl-C; with --json the reason is on stdout, too."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,  # noqa: ANN401 - click's own
    ) -> Any:  # noqa: ANN401
        given = sys.argv[1:] if args is None else list(args)
        if not standalone_mode:
            return super().main(given, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            sys.exit(super().main(given, prog_name, complete_var, standalone_mode=False, **extra))
        except click.Abort as aborted:  # by Ctrl-C, or where a question has no answer
            interrupted = isinstance(aborted.__cause__, KeyboardInterrupt)
            click.echo("interrupted" if interrupted else "no answer", err=True)
            sys.exit(INTERRUPTED if interrupted else 1)
        except Exception as error:
            refusal = error if isinstance(error, click.ClickException) else _refusal(error)
            if refusal is None:
                raise
        refusal.show()
        if "--json" in given:
            with suppress(OSError):  # of stdout
                click.echo(json.dumps({"error": refusal.format_message()}, indent=2))
        sys.exit(refusal.exit_code)


class Group(Command, click.Group):
    """The same for commands of commands."""


def command(function: Callable[..., None]) -> Command:
    return click.command(cls=Command, context_settings=_SETTINGS)(function)


def group(function: Callable[..., None]) -> Group:
    return click.group(cls=Group, context_settings=_SETTINGS)(function)


def _refusal(error: Exception) -> click.ClickException | None:
    """An error of this project's own classes, of the file system or of AWS in one sentence; None for any other."""
    if isinstance(error, OSError) and error.errno:
        return CommandError(explain(error))
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.partition(".")[0] not in _OURS:
        return CommandError(f"{error.name} is not installed: make setup")
    if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _OURS:
        return CommandError(str(error))
    return aws_error(error)
