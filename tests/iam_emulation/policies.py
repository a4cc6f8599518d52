"""Whether policies allow a request: IAM's evaluation within one account, and between two.

docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-single-account.html:
a Deny anywhere denies; else a resource's policy, or a policy of the identity that its permissions boundary does not
narrow, must allow. A key's policy must allow as well, be it by leaving the decision to IAM (the account as principal);
a role is taken on only if its trust policy allows; a service acts only where a resource's policy lets it. Where the
resource is another account's, its policy and one of the identity must both allow (cross-account evaluation logic,
reference_policies_evaluation-logic-cross-account.html).

Not moto's evaluator (moto.iam.access_control): that one takes an unmet condition and a foreign principal for a denial,
applies a Deny to every resource, reads a dot in a name as a wildcard, and knows no policy of a topic, queue or key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iam_emulation.conditions import Context, as_list, holds, like

Document = Mapping[str, Any]
# Whose resources' policies must allow, too, whatever an identity's policies say.
_BOTH_MUST_ALLOW = ("kms:",)
_ONLY_BY_RESOURCE = ("sts:AssumeRole",)


@dataclass(frozen=True)
class Principal:
    """Who asks: a role or a user with its policies, or a service (`service` is `lambda.amazonaws.com`, say)."""

    arn: str = ""
    policies: Sequence[Document] = ()
    boundary: Document | None = None
    service: str = ""

    @property
    def account(self) -> str:
        """The account of a role or a user."""
        return self.arn.split(":")[4] if self.arn else ""


@dataclass(frozen=True)
class Request:
    """One action on one resource; `context` holds the condition keys of the request, in lower case."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """`denial_reason` says in AWS's words what does not allow, or denies; empty where the request is allowed."""

    denial_reason: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the request may go on."""
        return not self.denial_reason


def decide(
    principal: Principal, request: Request, resource_policy: Document | None = None, owner: str = ""
) -> Decision:
    """IAM's decision; `owner` is the account of the resource, the principal's own where it is not given."""
    documents = [*principal.policies, *([principal.boundary] if principal.boundary else [])]
    if any(_says("Deny", document, request) for document in documents):
        return Decision("with an explicit deny in an identity-based policy")
    if resource_policy and _says("Deny", resource_policy, request, principal):
        return Decision("with an explicit deny in a resource-based policy")
    by_resource = bool(resource_policy and _says("Allow", resource_policy, request, principal))
    if principal.service or request.action in _ONLY_BY_RESOURCE:
        return Decision("" if by_resource else f"because no resource-based policy allows the {request.action} action")
    by_identity = any(_says("Allow", document, request) for document in principal.policies)
    if by_identity and principal.boundary and not _says("Allow", principal.boundary, request):
        return Decision(f"because no permissions boundary allows the {request.action} action")
    foreign = bool(owner) and owner != principal.account
    if foreign or request.action.startswith(_BOTH_MUST_ALLOW):
        if not by_resource:
            return Decision(f"because no resource-based policy allows the {request.action} action")
    elif by_resource and _names(resource_policy or {}, request, principal):
        return Decision()
    return Decision("" if by_identity else f"because no identity-based policy allows the {request.action} action")


def statements(document: Document) -> list[Mapping[str, Any]]:
    """A policy's statements, of which there may be one without a list."""
    return as_list(document["Statement"])


def _says(effect: str, document: Document, request: Request, principal: Principal | None = None) -> bool:
    return any(
        statement["Effect"] == effect and concerns(statement, request, principal) for statement in statements(document)
    )


def _names(document: Document, request: Request, principal: Principal) -> bool:
    """Whether a resource's policy allows the principal itself: the account as principal only lets IAM decide."""
    return any(
        statement["Effect"] == "Allow"
        and concerns(statement, request, principal)
        and any(name in ("*", principal.arn) for name in _principals(statement, "AWS"))
        for statement in statements(document)
    )


def concerns(statement: Mapping[str, Any], request: Request, principal: Principal | None = None) -> bool:
    """Whether a statement is about a request: action, resource, conditions and, in a resource's policy, principal."""
    return (
        _is_among(statement, "Action", request.action, ignore_case=True)
        and ("Principal" not in statement or principal is None or _is_principal(statement, principal))
        and _is_among(statement, "Resource", request.resource)
        and holds(statement.get("Condition", {}), request.context)
    )


def _is_among(statement: Mapping[str, Any], element: str, value: str, *, ignore_case: bool = False) -> bool:
    for unknown in ("NotAction", "NotResource", "NotPrincipal"):
        if unknown in statement:
            raise ValueError(f"{unknown} is not evaluated here")
    # A role's trust policy names no resource: it is the role's own.
    patterns = as_list(statement.get(element, "*"))
    return any(like(pattern, value, ignore_case=ignore_case) for pattern in patterns)


def _is_principal(statement: Mapping[str, Any], principal: Principal) -> bool:
    if principal.service:
        return any(like(name, principal.service) for name in _principals(statement, "Service"))
    account = (principal.account, f"arn:aws:iam::{principal.account}:root")
    return any(name in ("*", principal.arn, *account) for name in _principals(statement, "AWS"))


def _principals(statement: Mapping[str, Any], kind: str) -> list[str]:
    named = statement["Principal"]
    return ["*"] if named == "*" else as_list(named.get(kind, []))
