"""Write a workload's simulated sample: SIMULATED, no row in it is real.

    python -m scripts.make_sample OUT [--workload NAME] [--as-of 2025-03-01] [--seed 20250301]

The past never changes: a later as-of date gives the same rows, and more of them.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

import click

from pipeline.contract.names import SAMPLE_AS_OF
from pipeline.contract.workload import default_workload, load_workload
from scripts.command_line import command

SAMPLE_SEED: Final = 20250301


@command
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--workload", "name", metavar="NAME", help="Folder of pipeline/workloads. Default: that of cdk.json.")
@click.option("--as-of", default=SAMPLE_AS_OF, show_default=True, help="Morning to simulate up to.")
@click.option("--seed", default=SAMPLE_SEED, show_default=True, type=click.IntRange(min=0), help="Another world.")
def main(out: Path, name: str | None, as_of: str, seed: int) -> None:
    """Write simulated rows into the folder OUT."""
    workload = load_workload(name or default_workload())
    try:
        folder = workload.sample.write(out, date.fromisoformat(as_of), seed)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--as-of") from error
    click.echo(f"simulated {workload.spec.rows} as of {as_of} are in {folder}", err=True)


if __name__ == "__main__":
    main()
