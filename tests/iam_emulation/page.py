"""docs/permissions.md: every permission of the stack, and why: a call that the tests make, or AWS's own words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from iam_emulation.permissions import Permission, Template, granted, without_hash

EVIDENCE = Path(__file__).with_name("evidence.json")
REQUIRED = Path(__file__).with_name("required_by_aws.yaml")
PAGE = "docs/permissions.md"
_OPERATORS = {
    "StringEquals": "is",
    "ArnEquals": "is",
    "Bool": "is",
    "ArnLike": "is like",
    "StringLike": "is like",
    "Null": "",
}
HEAD = """# Who may do what, and why

Made by the tests (`make permissions`); a test fails when it is stale. It shows the stack with every option that brings
permissions (an endpoint with instances, a VPC, a budget, promotion between accounts, `removal_policy=destroy`); yours
has fewer.

*Why* is one of two. **Calls**: the tests deploy the stack into an emulated account that denies what these policies do
not allow, and without this permission one of these calls was denied. **AWS**: a service does it in the role's name, or
an administrator of the account, which no test shows; the words are AWS's documentation's, shortened, and the link leads
there. Where nothing fails in the emulated account, a test of the function alone shows the call, and its name stands in
the row. A permission with none of these fails a test, and so does an explanation that is no longer needed.
"""


@dataclass(frozen=True)
class Required:
    """AWS's words about permissions that it asks for; holders, actions and resources may have wildcards."""

    holders: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    services: tuple[str, ...]
    words: str
    source: str

    def covers(self, permission: Permission) -> bool:
        """Whether this is about the permission."""
        given = (without_hash(permission.holder), permission.action, permission.resource, permission.service)
        mine = (self.holders, self.actions, self.resources, self.services)
        return all(any(fnmatchcase(value, one) for one in some) for value, some in zip(given, mine, strict=True))


@cache
def required() -> tuple[Required, ...]:
    """What required_by_aws.yaml holds."""
    entries = yaml.safe_load(REQUIRED.read_text(encoding="utf-8"))
    return tuple(
        Required(
            tuple(entry["holders"]),
            tuple(entry["actions"]),
            tuple(entry.get("resources", ["*"])),
            tuple(entry.get("services", ["*"])),
            " ".join(entry["words"].split()),
            entry["source"],
        )
        for entry in entries
    )


def evidence() -> dict[str, str]:
    """Permission to the operations that need it, as tests/cloud measured it."""
    found: dict[str, str] = json.loads(EVIDENCE.read_text(encoding="utf-8"))
    return found


def faults(template: Template) -> Iterator[str]:
    """Permissions without a reason, explanations of what calls show, and explanations of nothing."""
    known, permissions = evidence(), [one.permission for one in granted(template)]
    used = set()
    for permission in permissions:
        explained = [one for one in required() if one.covers(permission)]
        if permission.key not in known and not explained:
            yield f"nothing needs {permission.key}: delete it, or say in {REQUIRED.name} what AWS says"
        if permission.key not in known:
            used |= set(explained[:1])
    yield from (f"{REQUIRED.name} explains what nobody needs explained: {one}" for one in required() if one not in used)
    keys = {permission.key for permission in permissions}
    yield from (f"{EVIDENCE.name} is about what there is not: {key}" for key in known if key not in keys)


def page(template: Template) -> str:
    """The page's text."""
    lines = [HEAD]
    found = sorted((one.permission for one in granted(template)), key=lambda one: (_order(template, one), one.holder))
    for holder, mine in groupby(found, key=lambda one: one.holder):
        lines += [f"## {without_hash(holder)}", "", *_about(template["Resources"][holder]), ""]
        lines += ["| may | on | only if | why |", "| --- | --- | --- | --- |"]
        lines += [*_rows(list(mine)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _order(template: Template, permission: Permission) -> int:
    kinds = ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::Lambda::Function", "AWS::SNS::Topic", "AWS::SQS::Queue")
    kind = template["Resources"][permission.holder]["Type"]
    return kinds.index(kind) if kind in kinds else len(kinds)


def _about(resource: dict[str, Any]) -> list[str]:
    properties = resource.get("Properties", {})
    trust = properties.get("AssumeRolePolicyDocument", {}).get("Statement", [])
    text = properties.get("Description") or f"{resource['Type']}: what its own policy allows."
    services = [statement["Principal"].get("Service", "people of the account") for statement in trust]
    return [f"{text}. Taken on by {', '.join(services)}, for this account." if services else str(text)]


def _rows(permissions: list[Permission]) -> Iterator[str]:
    def row(one: Permission) -> tuple[str, str, str]:
        return (f"`{one.resource}`", _only_if(one), _why(one))

    for (resource, only_if, why), some in groupby(sorted(permissions, key=lambda o: (row(o), o.action)), key=row):
        actions = ", ".join(dict.fromkeys(f"`{one.action}`" for one in some))
        yield f"| {actions} | {resource} | {only_if} | {why} |"


def _only_if(permission: Permission) -> str:
    block: Mapping[str, Mapping[str, Any]] = json.loads(permission.condition)
    terms = [f"asked by {permission.service}"] if permission.service else []
    for operator, keys in block.items():
        for key, values in keys.items():
            shown = " or ".join(map(str, values)) if isinstance(values, list) else str(values)
            is_named = f"`{key}` {_OPERATORS[operator]} `{without_hash(shown)}`"
            terms.append(f"no `{key}` is named" if operator == "Null" else is_named)
    return "; ".join(terms)


def _why(permission: Permission) -> str:
    if operations := evidence().get(permission.key):
        return f"calls {operations}"
    for one in required():
        if one.covers(permission):
            if one.source.startswith("tests/"):
                return f"calls in a test of the function: {one.words} ([test](../{one.source}))"
            return f"AWS: {one.words} ([source]({one.source}))"
    return "nothing"


def write(measured: Mapping[str, str]) -> None:
    """Keep what was measured; docs/permissions.md is then written from it by tests/infra."""
    EVIDENCE.write_text(json.dumps(dict(sorted(measured.items())), indent=1) + "\n", encoding="utf-8")
