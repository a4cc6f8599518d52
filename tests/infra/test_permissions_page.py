"""Every permission of the stack is needed by a call of the tests or by AWS's own words: docs/permissions.md."""

from __future__ import annotations

import os
from pathlib import Path

from iam_emulation import page
from iam_emulation.permissions import granted
from resolved_template import Template


def test_every_permission_has_a_reason_and_no_reason_is_left_over(everything: Template) -> None:
    """Whose answer is a list of what to delete, or to look up; evidence.json is measured by tests/cloud."""
    assert list(page.faults(everything)) == []


def test_a_permission_that_nothing_needs_is_found(everything: Template) -> None:
    """And an explanation of what calls show is one too many."""
    name = next(name for name in everything["Resources"] if name.startswith("TriggersWorkflowRoleDefaultPolicy"))
    policy = everything["Resources"][name]["Properties"]["PolicyDocument"]
    more = {"Effect": "Allow", "Action": "sagemaker:DeletePipeline", "Resource": "*"}
    changed = {**policy, "Statement": [*policy["Statement"], more]}
    resource = {**everything["Resources"][name], "Properties": {**everything["Resources"][name]["Properties"]}}
    resource["Properties"]["PolicyDocument"] = changed
    template = {**everything, "Resources": {**everything["Resources"], name: resource}}
    (fault,) = set(page.faults(template)) - set(page.faults(everything))
    assert "nothing needs TriggersWorkflowRole: sagemaker:DeletePipeline on *" in fault


def test_the_page_is_current(root: Path, everything: Template) -> None:
    file, text = root / page.PAGE, page.page(everything)
    if os.environ.get("WRITE_PERMISSIONS"):
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text, "make permissions writes it"


def test_most_permissions_are_shown_by_calls(everything: Template) -> None:
    """What AWS's words alone require: keys' administration, images, logs and networks of SageMaker's own."""
    ours = {one.permission.key for one in granted(everything) if not one.permission.service}
    words_alone = {key for key in ours if key not in page.evidence()}
    assert len(words_alone) < len(ours) / 2
    services = {key.partition(": ")[2].partition(":")[0] for key in words_alone}
    assert services <= {"ec2", "ecr", "logs", "cloudwatch", "kms", "s3", "sqs", "sns", "sagemaker", "sagemaker-mlflow"}
