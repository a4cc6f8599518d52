"""Which permission of the deployed stack would be missed: measured on all calls that the tests of this folder made.

Comes last, when the stack has been used and destroyed. With WRITE_PERMISSIONS=1 the evidence and the page are written.
"""

from __future__ import annotations

import json
import os

import pytest
from deployments import ACCOUNT, REGION, Deployed
from iam_emulation.page import EVIDENCE, evidence, write
from iam_emulation.permissions import granted, names_of, needed

OTHERS = {f"test_{name}.py" for name in ("deploy", "deployed_runs", "deployed_users", "deployed_versions", "destroy")}


def test_the_evidence_is_what_these_tests_need(request: pytest.FixtureRequest, deployed: Deployed) -> None:
    ran = {item.path.name for item in request.session.items}
    mode = os.environ.get("WRITE_PERMISSIONS", "")
    if not ran >= OTHERS and mode != "add":
        pytest.skip("measures the other tests of this folder: run them all")
    physical, template = deployed.physical, deployed.template
    names = names_of(template, physical, ACCOUNT, REGION, deployed.stack_id)
    holders = {names.get(f"{name}.Arn", value): name for name, value in physical.items()}
    people = json.loads((deployed.account.log.parent / "people.json").read_text(encoding="utf-8"))
    holders |= {arn: next(name for name in physical if marked in name) for arn, marked in people.items()}
    lines = (deployed.account.log.parent / "asked.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line) for line in dict.fromkeys(lines)]
    found = needed(granted(template, names), holders, questions)
    measured = {permission.key: ", ".join(sorted(operations)) for permission, operations in found.items()}
    if mode:
        write(measured | (evidence() if mode == "add" else {}))
    if mode == "add":  # some of the tests ran: to what is known
        return
    assert measured.keys() == evidence().keys(), f"make permissions writes {EVIDENCE.name} and docs/permissions.md"
