"""The CDK app: settings in, one stack out.

    npx cdk synth -c env=dev

No network, no credentials, no Docker: account and region are those of the credentials at the deploy.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk

from infra.setting_rules import SettingError
from infra.settings import Settings
from infra.stack import RetrainingStack


def build(context: Mapping[str, Any] | None = None, outdir: str | None = None) -> cdk.App:
    """The app; `context` stands in for what the CDK CLI passes.

    Raises SettingError for a setting that cannot be used.
    """
    app = cdk.App(
        context=dict(context) if context is not None else None,
        outdir=outdir,
        # CDK's own validator costs ten times what the synthesis costs; the tests run cfn-lint and cdk-nag instead.
        builtin_cloud_formation_validation=False,
        analytics_reporting=False,
        stack_traces=False,
        tree_metadata=False,
    )
    settings = Settings.from_context(app.node.get_all_context())
    RetrainingStack(app, f"retraining-{settings.environment}", settings=settings)
    return app


def main() -> int:
    """Synthesise; 2 for a setting that cannot be used."""
    try:
        build().synth()
    except SettingError as error:
        sys.stderr.write(f"settings: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
