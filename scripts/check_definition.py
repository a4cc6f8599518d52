"""Check a pipeline definition against the rules of SageMaker Pipelines, without an account.

python -m scripts.check_definition
python -m scripts.check_definition other/definition.json --param TrainInstanceType=ml.m5.2xlarge
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import IO

import click

from pipeline.contract.workload import default_workload, read_definition
from pipeline.definition.service_rules import RULES, check_definition
from pipeline.local.plan.parameters import bind_parameters, parse_parameters
from scripts.output.command_line import command, json_option, params_option
from scripts.versions import parse_definition


@command
@click.argument("file", type=click.File("rb"), required=False)
@params_option
@click.option("--rules", is_flag=True, help="List the rules and where AWS states them, and check nothing.")
@json_option
def main(file: IO[bytes] | None, params: tuple[str, ...], rules: bool, as_json: bool) -> None:
    """Check FILE, a pipeline definition (- for stdin), against what SageMaker refuses. Default: the project's own,
    with the rules of its workload's folder.

    Names step, field, rule and the page of AWS's documentation that states the rule. Values that only a run knows
    (deployment constants, outputs of steps) are checked as far as they are known. Exit code 0: nothing is against it,
    1: SageMaker would refuse it, 2: it cannot be read.
    """
    if rules:
        rows = [asdict(rule) for rule in RULES.values()]
        text = "\n".join(f"{r['name']}: {r['says']}\n    {r['source']}" for r in rows)
        click.echo(json.dumps(rows, indent=2) if as_json else text)
        return
    given = str(getattr(file, "name", "<stdin>"))
    definition = parse_definition(file.read(), given) if file else read_definition(default_workload())
    chosen = parse_parameters(params)
    bound = bind_parameters(definition, chosen) if chosen else {}
    found = check_definition(definition, bound)
    if as_json:
        shown = [{**asdict(item), "rule": item.rule.name, "says": item.rule.says} for item in found]
        click.echo(json.dumps({"findings": shown}, indent=2))
    for item in () if as_json else found:
        click.echo(str(item))
    name = Path(given).name if file else f"{default_workload()}/definition.json"
    name = "the definition" if name == "<stdin>" else name
    if found:
        click.echo(f"{len(found)} finding{'s' * (len(found) > 1)}: SageMaker would refuse {name}", err=True)
    else:
        click.echo(f"{name}: no finding ({len(RULES)} rules)", err=True)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
