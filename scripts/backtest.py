"""Backtest: what would each policy of retraining have done, run by run, with only what was known then?

python -m scripts.backtest                                          the simulated sample, its last 17 months
python -m scripts.backtest --data rows/ --from 2010-10-01 --to 2023-06-30
python -m scripts.backtest --data rows/ --inject leak@2015-01-10 --policies mine.yaml --report page.html
python -m scripts.backtest --workload river                         another workload's sample
"""

from __future__ import annotations

import os
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from pipeline.contract.names import SAMPLE_AS_OF
from pipeline.contract.workload import WORKLOAD_VARIABLE, current_workload, default_workload, load_spec
from pipeline.local import local_deployment
from scripts.output.command_line import FILE, FOLDER, GIVEN, command, json_option, params_option, workload_option

BACKTEST_STORE: Final = local_deployment.STORES / "backtest"
SAMPLE_SPAN: Final = (date(2023, 10, 1), date.fromisoformat(SAMPLE_AS_OF) - timedelta(days=1))
DAY: Final = click.DateTime(formats=["%Y-%m-%d"])


@command
@click.option("--data", type=GIVEN, help="Rows (CSV, gzipped CSV, Parquet). Default: a simulated sample.")
@click.option("--from", "first", type=DAY, help="First day. Default: 17 months before the sample's end.")
@click.option("--to", "last", type=DAY, help="Last day. Default: the sample's last day.")
@click.option("--policies", type=FILE, help="YAML. Default: pipeline/backtest/policies.yaml, with all fields.")
@click.option(
    "--inject",
    "injections",
    multiple=True,
    metavar="KIND@DATE[..DATE]",
    help="Inject a fault: bad-feed, leak, broken-fit or broken-weights; without an end it lasts two weeks.",
)
@params_option
@click.option(
    "--choose-until",
    type=int,
    metavar="PERIOD",
    help="Choose a policy on the periods (such as years) up to this one, score it on the later ones. Default: 2/3.",
)
@click.option("--store", type=FOLDER, default=BACKTEST_STORE, help="Keeps fits: the next backtest resumes there.")
@click.option("--report", type=FILE, help="HTML report. Default: in the store.")
@click.option("--jobs", type=click.IntRange(min=1), help="Fits at a time. Default: one a core.")
@workload_option
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@json_option
def main(
    data: Path | None,
    first: datetime | None,
    last: datetime | None,
    policies: Path | None,
    injections: tuple[str, ...],
    params: tuple[str, ...],
    choose_until: int | None,
    store: Path,
    report: Path | None,
    jobs: int | None,
    workload: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Simulate each nightly run of a span under many policies, with the pipeline's own code.

    Prints a table and writes an HTML report: what was in service and how good it was, against `never retrain`; runs,
    trainings, promotions, emails, hours, dollars; the bound that no schedule can beat. Exit code 0 when it is done, 2
    for bad usage or data that Prepare refuses, 130 when it was interrupted (run it again to resume).
    """
    if data is not None and (first is None or last is None):
        raise click.UsageError("give the span of your data: --from DATE --to DATE")
    from pipeline.backtest.faults import parse_injection  # noqa: PLC0415 - the data libraries: not for --help
    from pipeline.backtest.policies import DEFAULT_FILE, read_policies  # noqa: PLC0415
    from pipeline.backtest.run import BacktestSettings  # noqa: PLC0415
    from scripts.output import backtest as run  # noqa: PLC0415

    try:
        os.environ[WORKLOAD_VARIABLE] = load_spec(workload or default_workload()).name
        settings = BacktestSettings(
            data=data or Path(),
            first=first.date() if first else SAMPLE_SPAN[0],
            last=last.date() if last else SAMPLE_SPAN[1],
            policies=read_policies(current_workload().spec, policies or DEFAULT_FILE),
            overrides=run.typed_overrides(params),
            injections=tuple(parse_injection(text) for text in injections),
            choose_until=choose_until,
            jobs=jobs,
        )
        _ = settings.hyperparameters  # refused here where they are out of range
        done = run.run_on_sample(settings, store, quiet) if data is None else run.run_with_bars(settings, store, quiet)
    except KeyboardInterrupt:
        click.echo("interrupted: what is fitted is kept; the same command resumes from there", err=True)
        sys.exit(130)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    run.show(done, report or store / "report.html", simulated=data is None, as_json=as_json)


if __name__ == "__main__":
    main()
