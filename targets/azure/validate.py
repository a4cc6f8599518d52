"""Load pipeline jobs with azure-ai-ml's own loader, validate them, and print what was loaded as JSON. No network.

.venv-azure/bin/python targets/azure/validate.py targets/azure/churn.yaml ...

Runs in the environment of targets/azure/requirements.txt; raises azure-ai-ml's ValidationException with the reason.
"""

import json
import sys
from pathlib import Path
from typing import Any

from azure.ai.ml import load_job


def loaded(path: str) -> dict[str, Any]:
    """A job as the loader understands it: for each of its jobs the command, its inputs and where outputs are."""
    job = load_job(path)
    job._validate(raise_error=True)  # the public way, jobs.validate, asks a workspace
    return {
        name: {
            "command": node.component.command,
            "inputs": {port: value._data for port, value in node.inputs.items()},
            "outputs": {port: value.path or "" for port, value in node.outputs.items()},
        }
        for name, node in job.jobs.items()
    }


sys.stdout.write(json.dumps({Path(path).stem: loaded(path) for path in sys.argv[1:]}, indent=1))
