"""One synthesised template per settings, shared by all tests of the stack; workflows run by moto's interpreter."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import approval_worlds
import pytest
from emulated_workflow import iso
from iam_emulation.account import TemplateAccount
from iam_emulation.templates import account_of
from jsonata_in_moto import teach_jsonata
from resolved_template import REGION, Template
from synthesis import Synthesise, cdk_context

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "18,20")

EVENTS = Path(__file__).with_name("events")


@pytest.fixture(scope="session")
def synthesise(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Synthesise:
    """Synthesise with some settings; the same settings are synthesised once."""
    known: dict[str, Template] = {}

    def build_once(**settings: Any) -> Template:
        key = json.dumps(settings, sort_keys=True)
        if key not in known:
            from app import build

            out = tmp_path_factory.mktemp("cdk")
            build(cdk_context(root, **settings), str(out)).synth()
            (template,) = out.glob("*.template.json")
            known[key] = json.loads(template.read_text(encoding="utf-8"))
        return known[key]

    return build_once


@pytest.fixture(scope="session")
def prod(synthesise: Synthesise) -> Template:
    """The template of prod with people to mail and the data-arrival trigger."""
    return synthesise(
        env="prod", alert_emails="oncall@example.com", approver_emails="lead@example.com", data_arrival="true"
    )


@pytest.fixture(scope="session")
def dev(synthesise: Synthesise) -> Template:
    """The template of dev as cdk.json has it."""
    return synthesise(env="dev")


@pytest.fixture(scope="session")
def everything(synthesise: Synthesise) -> Template:
    """The template with every option that brings permissions."""
    from test_policies import EVERYTHING

    return synthesise(**EVERYTHING)


@pytest.fixture(scope="session")
def approval_account(synthesise: Synthesise) -> TemplateAccount:
    """The policies of a template, with the names of the worlds that the approval function is tested in."""
    template = synthesise(env="dev", model_group=approval_worlds.GROUP)
    names = {"AlertsTopic": approval_worlds.ALERTS, "ApprovalApprovers": approval_worlds.APPROVERS}
    bucket = f"arn:aws:s3:::{approval_worlds.BUCKET}"
    return account_of(template, approval_worlds.REGION, {**names, "StorageArtifacts": bucket})


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], dict[str, Any]]:
    """A recorded event by its file's name."""
    return lambda name: json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def set_variables(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Gives a function its environment: variables, keys (of a role, or of nobody), and no other account's address."""

    def set_all(variables: Mapping[str, str], key: str = "testing") -> None:
        keys = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": approval_worlds.REGION}
        for name, value in {**variables, **keys}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)

    return set_all


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is put to the address that CloudFormation gave (moto would catch the request)."""
    received: list[dict[str, Any]] = []

    def take(request: Any, timeout: int) -> AbstractContextManager[None]:
        received.append(json.loads(request.data))
        return nullcontext()

    monkeypatch.setattr("urllib.request.urlopen", take)
    return received


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An emulated account in this process, whose Step Functions really interprets definitions."""
    from moto import mock_aws
    from moto.stepfunctions.parser.backend import execution_worker

    teach_jsonata()
    # Its context object holds the start as a datetime; AWS's has ISO text.
    data = execution_worker.ExecutionData
    monkeypatch.setattr(
        execution_worker, "ExecutionData", lambda **values: data(**{**values, "StartTime": iso(values["StartTime"])})
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        yield
