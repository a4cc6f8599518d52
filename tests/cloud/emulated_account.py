"""An AWS account on localhost: `python -m cloud.emulated_account PORT` with tests/ on the path, until it is killed."""

from __future__ import annotations

import os
import sys

import sagemaker_emulation
from cloud import emulated_cloudformation, emulated_operations, emulated_services
from cloud import emulated_types as _types  # noqa: F401 - moto finds the types
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple


def main(port: int) -> None:
    """Teach moto, and serve."""
    # For boto3 in this process, with which taught types and workflows call the account.
    os.environ.update(MOTO_PORT=str(port), AWS_ENDPOINT_URL=f"http://localhost:{port}")
    sagemaker_emulation.teach()
    emulated_services.teach()
    emulated_cloudformation.teach()
    emulated_operations.teach()
    run_simple("localhost", port, DomainDispatcherApplication(create_backend_app), threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
