"""The CDK app: settings in, one stack out.

    npx cdk synth -c env=dev
    python app.py -c env=dev        the same assembly, in cdk.out, without the CDK's command line

No network, no credentials, no Docker: account and region are those of the credentials at the deploy.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aws_cdk as cdk

from infra.settings.settings import Settings
from infra.settings.settings_validation import SettingError
from infra.stack import RetrainingStack
from pipeline.contract import workload
from pipeline.contract.rules.calls import WorkloadError

# Here and not in cdk.json, because the template must be the same for each way to run the app. The last two are what the
# command line asks for by itself.
FLAGS: Final[Mapping[str, Any]] = {
    "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": True,
    "@aws-cdk/aws-iam:minimizePolicies": True,
    "aws:cdk:enable-path-metadata": True,
    "aws:cdk:enable-asset-metadata": True,
}


def build(context: Mapping[str, Any] | None = None, outdir: str | None = None) -> cdk.App:
    """The app; `context` replaces what the CDK CLI passes.

    Raises SettingError for a setting that cannot be used.
    """
    app = cdk.App(
        context=dict(context) if context is not None else None,
        post_cli_context=dict(FLAGS),
        outdir=outdir,
        # CDK's own validator costs ten times what the synthesis costs; the tests run cfn-lint and cdk-nag instead.
        builtin_cloud_formation_validation=False,
        analytics_reporting=False,
        stack_traces=False,
        tree_metadata=False,
    )
    settings = Settings.from_context(app.node.get_all_context())
    RetrainingStack(app, settings.pipeline_name, settings=settings)
    return app


def read_context(options: Sequence[str] = ()) -> dict[str, Any]:
    """What the CDK CLI passes: the context of cdk.json, and KEY=VALUE options over it.

    Raises SettingError, or WorkloadError for a cdk.json that cannot be read.
    """
    context = workload.read_context()
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise SettingError(f'-c "{option}" is not KEY=VALUE')
        context[key.strip()] = value
    return context


def main(arguments: Sequence[str] = ()) -> int:
    """Synthesise; 2 for a setting that cannot be used."""
    parser = argparse.ArgumentParser(description="Synthesise the stack into cdk.out, as npx cdk synth does.")
    parser.add_argument("-c", "--context", action="append", default=[], metavar="KEY=VALUE", help="as for npx cdk")
    parser.add_argument("-o", "--output", default=str(Path(__file__).with_name("cdk.out")), help="default: cdk.out")
    given = parser.parse_args(arguments)
    called_by_cli = "CDK_OUTDIR" in os.environ
    try:
        (build() if called_by_cli else build(read_context(given.context), given.output)).synth()
    except (SettingError, WorkloadError) as error:
        sys.stderr.write(f"settings: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
