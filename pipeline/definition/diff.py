"""The difference of two definitions, by parameter, step and field, in words. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipeline.definition.words import FlatStep, flat_steps, words

Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class DefinitionChange:
    """One thing that differs: what it belongs to, which field, before and after (None: not there)."""

    kind: Kind
    subject: str
    field: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        """One line for people."""
        name = f"{self.subject}: {self.field}" if self.field else self.subject
        if self.kind == "changed":
            return f"~ {name}: {self.before} -> {self.after}"
        value = self.after if self.kind == "added" else self.before
        return f"{'+' if self.kind == 'added' else '-'} {name}" + (f": {value}" if value else "")

    def as_json(self) -> dict[str, str | None]:
        """The same for programs."""
        return asdict(self)


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[DefinitionChange, ...]:
    """All differences: the definition's own fields, then parameters, then steps; empty when they say the same."""
    found = (*_own_fields(before, after), *_parameters(before, after), *_steps(before, after))
    if not found and before != after:  # 1 and "1" are the same words
        return (DefinitionChange("changed", "definition", "JSON types", "other types", "the same words"),)
    return found


def _own_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[DefinitionChange]:
    def own(definition: Mapping[str, Any]) -> dict[str, str]:
        return {k: words(v) for k, v in definition.items() if k not in ("Parameters", "Steps")}

    yield from _mapping("definition", own(before), own(after))


def _parameters(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[DefinitionChange]:
    def by_name(definition: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        return {
            p["Name"]: {key: words(value) for key, value in p.items() if key != "Name"}
            for p in definition.get("Parameters", ())
        }

    old, new = by_name(before), by_name(after)
    for name in [*old, *(n for n in new if n not in old)]:
        subject = f"parameter {name}"
        if name not in new or name not in old:
            fields = ", ".join(f"{key} {value}" for key, value in (old.get(name) or new[name]).items())
            yield _whole(subject, fields, added=name in new)
        else:
            yield from _mapping(subject, old[name], new[name])


def _steps(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[DefinitionChange]:
    old, new = flat_steps(before), flat_steps(after)
    for name in [*old, *(n for n in new if n not in old)]:
        if name not in new or name not in old:
            step: FlatStep = old.get(name) or new[name]
            yield _whole(f"step {name}", f"{step.type}, runs {step.place}", added=name in new)
            continue
        subject = f"step {name}"
        yield from _mapping(
            subject,
            {"type": old[name].type, "runs": old[name].place, **old[name].fields},
            {"type": new[name].type, "runs": new[name].place, **new[name].fields},
        )
    kept_old, kept_new = [n for n in old if n in new], [n for n in new if n in old]
    if kept_old != kept_new:
        yield DefinitionChange("changed", "definition", "order of steps", ", ".join(kept_old), ", ".join(kept_new))


def _whole(subject: str, value: str, *, added: bool) -> DefinitionChange:
    return (
        DefinitionChange("added", subject, "", None, value)
        if added
        else DefinitionChange("removed", subject, "", value, None)
    )


def _mapping(subject: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[DefinitionChange]:
    for field in [*old, *(f for f in new if f not in old)]:
        if field not in new:
            yield DefinitionChange("removed", subject, field, old[field], None)
        elif field not in old:
            yield DefinitionChange("added", subject, field, None, new[field])
        elif old[field] != new[field]:
            yield DefinitionChange("changed", subject, field, old[field], new[field])
