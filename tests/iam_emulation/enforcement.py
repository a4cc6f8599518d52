"""Denies in moto what the policies of the account deny, with AWS's own errors, and writes down what was asked.

In moto's server (`enforce_in_server`) and in this process (`enforced`) alike. Keys of administrators (those of
CloudFormation, of the CDK and of the tests themselves) are held to the policies of buckets only.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import moto.core.utils
from iam_emulation.account import ADMINISTRATOR, Account, UnknownKeyError, principal_of
from iam_emulation.actions import ACCOUNT, RULES, asked
from iam_emulation.calls import Call, read, signed_by
from iam_emulation.policies import Decision, Principal, Request, decide
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.request import Request as HttpRequest
from moto.core.request import determine_request_protocol, normalize_request
from moto.core.utils import get_service_model

Response = tuple[int, dict[str, str], str]
# Keys of a request that every service gives.
ALWAYS = {"aws:securetransport": "true", "aws:principalaccount": ACCOUNT}


@dataclass
class Gatekeeper:
    """Decides about each request to an account; `record` gets one JSON object a line for each question of IAM."""

    account: Account
    administrators: Collection[str]
    record: Path | None = None
    denied: list[str] = field(default_factory=list)

    def __call__(self, http: HttpRequest) -> Response | None:
        """AWS's refusal; None where the request may go on."""
        signature = signed_by(http)
        if signature is None:  # CloudFormation's presigned address, to which a custom resource answers
            return None
        key, region, service = signature
        try:
            principal, trusted = (
                (ADMINISTRATOR, Decision()) if key in self.administrators else principal_of(self.account, key)
            )
        except UnknownKeyError:
            return _refusal(
                http, service, "InvalidClientTokenId", "The security token included in the request is invalid."
            )
        if principal is ADMINISTRATOR:
            return self._of_administrator(http, region, service)
        call = read(http, region, service)
        if not trusted.allowed:
            return self._deny(http, call, principal, Request("sts:AssumeRole", principal.arn), trusted)
        for request in asked(call, self.account):
            if refusal := self._ask(http, call, principal, request):
                return refusal
        return self._ask_of_missing(http, call, principal)

    def _of_administrator(self, http: HttpRequest, region: str, service: str) -> Response | None:
        if service != "s3":
            return None
        call = read(http, region, service)
        if (service, call.operation) not in RULES:
            return None
        for request in asked(call, self.account):
            decision = self.decide(ADMINISTRATOR, request)
            if not decision.allowed and request.action.startswith("s3:"):
                return self._deny(http, call, ADMINISTRATOR, request, decision)
        return None

    def decide(self, principal: Principal, request: Request) -> Decision:
        """IAM's decision, with the policy of the resource that the request is about."""
        # An administrator is one of the account that owns the resource.
        owner = "" if principal is ADMINISTRATOR else self.account.owner_of(request.resource)
        who = {"aws:principalarn": principal.arn} if principal.arn else {}
        theirs = {"aws:resourceaccount": owner} if owner else {}
        known = Request(request.action, request.resource, {**ALWAYS, **who, **theirs, **request.context})
        policy = self.account.policy_of(request.resource) if request.resource.startswith("arn:") else None
        return decide(principal, known, policy, owner)

    def _ask(self, http: HttpRequest, call: Call, principal: Principal, request: Request) -> Response | None:
        decision = self.decide(principal, request)
        self.note(principal, request, call.operation, decision)
        return None if decision.allowed else self._deny(http, call, principal, request, decision)

    def _ask_of_missing(self, http: HttpRequest, call: Call, principal: Principal) -> Response | None:
        """Who may not list a bucket does not learn that an object is missing: S3 denies (API_GetObject.html)."""
        if call.service != "s3" or call.operation not in ("GetObject", "HeadObject"):
            return None
        if not self.account.lacks(call["Bucket"], call["Key"]):
            return None
        listing = Request("s3:ListBucket", f"arn:aws:s3:::{call['Bucket']}", {"s3:prefix": ""})
        decision = self.decide(principal, listing)
        self.note(principal, listing, f"{call.operation} of a missing object", decision)
        return None if decision.allowed else self._deny(http, call, principal, listing, decision)

    def _deny(
        self, http: HttpRequest, call: Call, principal: Principal, request: Request, decision: Decision
    ) -> Response:
        who = principal.arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
        text = f"User: {who}/session is not authorized to perform: {request.action} on resource: {request.resource}"
        self.denied.append(f"{text} {decision.denial_reason}")
        return _refusal(http, call.service, "", f"{text} {decision.denial_reason}")

    def note(self, principal: Principal, request: Request, operation: str, decision: Decision) -> None:
        """Write down what was asked, for measuring which permission is needed."""
        if self.record:
            line = {
                "who": principal.arn or principal.service,
                "action": request.action,
                "resource": request.resource,
                "context": {**ALWAYS, **request.context},
                "operation": operation,
                "allowed": decision.allowed,
            }
            with self.record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _refusal(http: HttpRequest, service: str, code: str, text: str) -> Response:
    """The error as the service's protocol has it."""
    if service == "s3":
        body = (
            ""
            if http.method == "HEAD"
            else f"<Error><Code>AccessDenied</Code><Message>{escape(text)}</Message></Error>"
        )
        return 403, {"content-type": "application/xml"}, body
    protocol = determine_request_protocol(get_service_model(service), http.content_type)
    if protocol == "query":
        code = code or ("AuthorizationError" if service == "sns" else "AccessDenied")
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(text)}</Message></Error>"
        return 403, {"content-type": "text/xml"}, f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"
    code = code or "AccessDeniedException"
    status = 403 if protocol == "rest-json" else 400
    return status, {"x-amzn-errortype": code, "x-amzn-requestid": "1"}, json.dumps({"__type": code, "message": text})


_in_server: list[Gatekeeper] = []


def ask_for_service(service: str, request: Request) -> None:
    """A service acts by itself, as the policy of the resource lets it; raises PermissionError where that does not."""
    for gatekeeper in _in_server:
        principal = Principal(service=f"{service}.amazonaws.com")
        decision = gatekeeper.decide(principal, request)
        gatekeeper.note(principal, request, f"{service}.amazonaws.com does it", decision)
        if not decision.allowed:
            raise PermissionError(f"{service}: {request.action} on {request.resource} {decision.denial_reason}")


def enforce_in_server(gatekeeper: Gatekeeper) -> None:
    """Ask before each request to moto's server in this process, for good."""
    _in_server.append(gatekeeper)
    from flask import Response as FlaskResponse
    from flask import request as flask_request

    original = moto.core.utils.convert_to_flask_response.__call__

    @functools.wraps(original)
    def answer(self: Any, args: Any = None, **given: Any) -> Any:
        refusal = gatekeeper(normalize_request(flask_request))
        if refusal is None:
            return original(self, args, **given)
        status, headers, body = refusal
        return FlaskResponse(response=body, status=status, headers=headers)

    moto.core.utils.convert_to_flask_response.__call__ = answer


@contextmanager
def enforced(gatekeeper: Gatekeeper) -> Iterator[Gatekeeper]:
    """Ask before each request that boto3 sends to moto in this process."""
    original: Callable[..., Any] = BotocoreStubber.process_request

    def process(self: BotocoreStubber, request: Any) -> Any:
        refusal = gatekeeper(normalize_request(request))
        if hasattr(request.body, "seek"):
            request.body.seek(0)  # it was read, and moto reads it again
        return refusal or original(self, request)

    BotocoreStubber.process_request = process
    try:
        yield gatekeeper
    finally:
        BotocoreStubber.process_request = original
