"""An AWS account on localhost: `python -m cloud.emulated_account PORT` with tests/ on the path, until it is killed."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import boto3
import sagemaker_emulation
from cloud import emulated_cloudformation, emulated_operations, emulated_services
from cloud import emulated_types as _types  # noqa: F401 - moto finds the types
from iam_emulation.account import MotoAccount, note_when_policies_are_put
from iam_emulation.enforcement import Gatekeeper, enforce_in_server
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple


def main(port: int) -> None:
    """Teach moto, and serve."""
    # For boto3 in this process, with which taught types and workflows call the account.
    os.environ.update(MOTO_PORT=str(port), AWS_ENDPOINT_URL=f"http://localhost:{port}")
    boto3.client = functools.cache(boto3.client)  # to build a client takes longer than a hundred calls of it
    sagemaker_emulation.teach()
    emulated_services.teach()
    emulated_cloudformation.teach()
    emulated_operations.teach()
    folder = Path(os.environ["IAM_EMULATION_FOLDER"])
    note_when_policies_are_put()
    # CloudFormation, the tests, and the CDK in the roles of its bootstrap are administrators.
    enforce_in_server(Gatekeeper(MotoAccount(folder, sessions=True), {"test"}, folder / "asked.jsonl"))
    run_simple("localhost", port, DomainDispatcherApplication(create_backend_app), threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
