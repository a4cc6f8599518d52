"""What a template sets, short enough to be read: per type what all its resources share, then what each has of its own.

Texts for people and the dashboard are left out, and so is what other files hold: docs/permissions.md what is allowed,
definition.json the pipeline.
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from typing import Any

import yaml
from iam_emulation.permissions import granted, readable, without_hash
from resolved_template import Resolver, Template

_ELSEWHERE = (
    *("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::Lambda::Permission"),
    *("AWS::SageMaker::Pipeline", "AWS::CloudWatch::Dashboard"),
)
_LEFT_OUT = {
    *("Description", "AlarmDescription", "DisplayName", "ModelPackageGroupDescription"),
    *("Code", "KeyPolicy", "Tags"),
}
Properties = dict[str, Any]
Summary = dict[str, dict[str, Properties]]


def settings_of(template: Template) -> Summary:
    """Type to logical id (without its hash) to properties, of which a policy's are what it denies."""
    shown, found = Resolver(template, readable(template)), Summary()
    for name, resource in template["Resources"].items():
        if resource["Type"] not in _ELSEWHERE:
            given = {key: value for key, value in resource.get("Properties", {}).items() if key not in _LEFT_OUT}
            kept = {key: resource[key] for key in ("DeletionPolicy", "UpdateReplacePolicy") if key in resource}
            found.setdefault(resource["Type"], {})[without_hash(name)] = _text(shown(_denials(given) | kept))
    return found


def _denials(given: Properties) -> Properties:
    """The policy of a bucket, a topic or a queue: what it denies."""
    if "PolicyDocument" not in given:
        return given
    return {"denied": [one for one in given["PolicyDocument"]["Statement"] if one["Effect"] == "Deny"]}


def _text(properties: Properties) -> Properties:
    """Without what differs from one checkout to the next; a workflow's definition is no text, but what it says."""
    if "DefinitionString" in properties:
        properties["DefinitionString"] = json.loads(properties["DefinitionString"])
    text: Properties = json.loads(without_hash(json.dumps(properties)))
    return text


def with_usual(summary: Summary) -> Summary:
    """Each type's resources with what most of them have moved to `usual`; a property that one lacks is then None."""
    result = Summary()
    for kind, named in summary.items():
        texts = {name: {key: json.dumps(value) for key, value in one.items()} for name, one in named.items()}
        counted = Counter(item for one in texts.values() for item in one.items())
        usual = {key: json.loads(text) for (key, text), times in sorted(counted.items()) if 2 * times > len(named) > 1}
        result[kind] = {"usual": usual} if usual else {}
        result[kind] |= {name: changes(usual, one) for name, one in named.items()}
    return result


def changes(one: Properties, other: Properties) -> Properties:
    """What `other` sets to something else or in addition; None for what it lacks."""
    return {key: other.get(key) for key in one | other if one.get(key) != other.get(key)}


def difference(template: Template, other: Template) -> dict[str, Any]:
    """Resources that `other` lacks, what else it sets, and what those that it has are not allowed, or more."""
    one, two = ({n: p for named in settings_of(t).values() for n, p in named.items()} for t in (template, other))
    less, more = permissions_of(template) - permissions_of(other), permissions_of(other) - permissions_of(template)
    names = {without_hash(name) for name in other["Resources"]}
    return {
        "lacks": sorted(one.keys() - two.keys()),
        "sets": {name: own for name in sorted(two) if (own := changes(one.get(name, {}), two[name]))},
        "is not allowed": sorted(text for text in less if text.partition(":")[0] in names),
        "is allowed": sorted(more),
    }


def permissions_of(template: Template) -> set[str]:
    """Each permission in a line."""
    return {one.permission.key for one in granted(template)}


def as_text(summary: Summary) -> str:
    """As YAML, a paragraph for each type, some lines for each resource."""
    lines = []
    for kind, named in sorted(summary.items()):
        lines += ["", f"{kind}:"]
        for name, own in sorted(named.items(), key=lambda item: (item[0] != "usual", item[0])):
            text = yaml.safe_dump(own, default_flow_style=True, width=112, sort_keys=True)
            lines += [f"  {name}:", *textwrap.indent(text, "    ").splitlines()]
    return "\n".join(lines) + "\n"
