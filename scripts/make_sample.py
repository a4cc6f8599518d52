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
from scripts.output.command_line import FOLDER, command, workload_option

SAMPLE_SEED: Final = 20250301


@command
@click.argument("out", type=FOLDER)
@workload_option
@click.option("--as-of", default=SAMPLE_AS_OF, help="Morning to simulate up to.")
@click.option("--seed", default=SAMPLE_SEED, type=click.IntRange(min=0), help="Another world.")
def main(out: Path, workload: str | None, as_of: str, seed: int) -> None:
    """Write simulated rows into the folder OUT."""
    simulated = load_workload(workload or default_workload())
    try:
        folder = simulated.sample.write(out, date.fromisoformat(as_of), seed)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--as-of") from error
    click.echo(f"simulated {simulated.spec.rows} as of {as_of} are in {folder}", err=True)


if __name__ == "__main__":
    main()
