"""The retraining pipeline as one object: set up, execute, read the result.

    from implement_rec_005 import ImplementAutomateModelRetrainingWithMlPipelines

    impl = ImplementAutomateModelRetrainingWithMlPipelines(config={"enabled": True, "mode": "production"})
    impl.setup()
    results = impl.execute()

Without a config it runs locally on the simulated sample. Configuration keys, all optional:

    enabled       False: execute() does nothing and says so                     (default True)
    mode          "local": this machine, no AWS; "production": the deployed pipeline   (default "local")
    data          local: file or folder of games                                (default: the simulated sample)
    store         local: folder of models, runs and cache                       (default: .retrain)
    parameters    pipeline parameters by name, for both modes                   (default: the definition's)
    pipeline_name production: name of the deployed pipeline                     (default "retraining")
    region        production: AWS region                                        (default: boto3's own chain)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

LOCAL: Final = "local"
PRODUCTION: Final = "production"
DEFAULTS: Final[Mapping[str, Any]] = {
    "enabled": True,
    "mode": LOCAL,
    "data": None,
    "store": None,
    "parameters": {},
    "pipeline_name": "retraining",
    "region": None,
}


class RetrainingError(Exception):
    """What stood in the way, and what to do about it."""


class ImplementAutomateModelRetrainingWithMlPipelines:
    """Runs the retraining pipeline, here or where it is deployed."""

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        """Raises ValueError for an unknown key or a value that is not allowed, naming it and what is."""
        given = dict(config or {})
        if unknown := sorted(set(given) - set(DEFAULTS)):
            raise ValueError(f"unknown configuration {', '.join(unknown)}: known are {', '.join(DEFAULTS)}")
        self.config: dict[str, Any] = {**DEFAULTS, **given}
        if not isinstance(self.config["enabled"], bool):
            raise ValueError(f"enabled is {self.config['enabled']!r}: allowed are True and False")
        if self.config["mode"] not in (LOCAL, PRODUCTION):
            raise ValueError(f'mode is {self.config["mode"]!r}: allowed are "{LOCAL}" and "{PRODUCTION}"')
        if not isinstance(self.config["parameters"], Mapping):
            raise ValueError("parameters is not a mapping of parameter names to values")
        self._client: Any = None

    def setup(self) -> None:
        """Check what execute() needs, so that it fails early.

        Raises RetrainingError when the data is missing, or boto3 is, or it has no region.
        """
        if not self.config["enabled"]:
            return
        if self.config["mode"] == PRODUCTION:
            self._client = self._connect()
        elif self.config["data"] is not None and not Path(self.config["data"]).exists():
            raise RetrainingError(f"data {self.config['data']} does not exist: give a file or folder of games")

    def execute(self) -> dict[str, Any]:
        """Run or start the pipeline; the result's `status` says how it went.

        local: the object of `run_local --json`. production: `execution_arn` and `status` "Executing". Disabled:
        `status` "Disabled". Raises RetrainingError when nothing could be started.
        """
        if not self.config["enabled"]:
            return {"status": "Disabled", "reason": "enabled is False in the configuration: nothing was started"}
        return self._start() if self.config["mode"] == PRODUCTION else self._run()

    def _run(self) -> dict[str, Any]:
        from pipeline.local.plan.parameters import PlanError  # noqa: PLC0415
        from pipeline.local.run.run_summary import run_summary  # noqa: PLC0415
        from pipeline.local.store.run_record import RunError  # noqa: PLC0415
        from pipeline.local.store.store_errors import StoreError, explain  # noqa: PLC0415 - production needs nothing of the local run
        from scripts.run_local import retrain  # noqa: PLC0415

        data, store = self.config["data"], self.config["store"]
        try:
            run, opened = retrain(
                data=None if data is None else Path(data),
                store=None if store is None else Path(store),
                parameters=self.config["parameters"],
            )
        except (PlanError, RunError, StoreError) as error:
            raise RetrainingError(str(error)) from error
        except OSError as error:
            raise RetrainingError(explain(error) if error.errno else str(error)) from error
        return run_summary(run, opened)

    def _connect(self) -> Any:  # noqa: ANN401 - boto3 makes its clients' classes at run time
        from scripts.cloud.connection import new_session  # noqa: PLC0415 - a local run does without it

        try:
            import botocore.exceptions as known  # noqa: PLC0415

            return new_session(self.config["region"], profile=None).client("sagemaker")
        except ImportError as error:
            raise RetrainingError("boto3 is not installed: make setup, or pip install boto3") from error
        except known.BotoCoreError as error:
            raise RetrainingError(f"{error} Give region in the configuration or set AWS_DEFAULT_REGION.") from error

    def _start(self) -> dict[str, Any]:
        name = self.config["pipeline_name"]
        parameters = [{"Name": key, "Value": str(value)} for key, value in self.config["parameters"].items()]
        client = self._client or self._connect()
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - connecting says if it is missing
        from click import ClickException  # noqa: PLC0415

        try:
            started = client.start_pipeline_execution(PipelineName=name, PipelineParameters=parameters)
        except ClientError as error:
            raise RetrainingError(f"{error}. Is {name} deployed in {client.meta.region_name}?") from error
        except ClickException as error:
            raise RetrainingError(error.message) from error
        except BotoCoreError as error:
            raise RetrainingError(f"{error} Are AWS credentials set (aws sts get-caller-identity)?") from error
        return {"status": "Executing", "execution_arn": started["PipelineExecutionArn"], "pipeline_name": name}


if __name__ == "__main__":
    import json
    import sys

    implementation = ImplementAutomateModelRetrainingWithMlPipelines()
    implementation.setup()
    outcome = implementation.execute()
    sys.stdout.write(json.dumps(outcome, indent=2) + "\n")
    sys.exit(0 if outcome["status"] in ("Succeeded", "Disabled") else 1)
