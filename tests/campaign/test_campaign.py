"""The short form of the campaign (docs/reliability.md): each kind once, with a fixed seed; nothing bad comes of it."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
from areas import AREAS
from cell_mutations import CELLS
from file_mutations import FOLDERS, HARMLESS, KINDS, LIMITS, PACKED, TEXT
from outcomes import BAD, Case, Outcome
from places import ROOT

SEED = 1


@pytest.mark.parametrize("area", AREAS)
def test_nothing_bad_comes_of_a_round(area: str, tmp_path: Path) -> None:
    cases = list(AREAS[area](SEED, 1, tmp_path))
    assert [f"{case.outcome}: {case.name}: {case.detail}" for case in cases if case.outcome in BAD] == []
    outcomes = Counter(case.outcome for case in cases)
    assert outcomes[Outcome.RIGHT], "something is read"
    assert area == "worlds" or outcomes[Outcome.REFUSED], "something is refused"


def test_the_kinds_are_distinct_and_the_lists_name_them() -> None:
    assert len(set(KINDS)) == 1 + len(CELLS) + len(TEXT) + len(PACKED) + len(FOLDERS)
    assert {*LIMITS, *HARMLESS} <= set(KINDS)
    assert not set(LIMITS) & set(HARMLESS)


@pytest.fixture(scope="module")
def program() -> ModuleType:
    """The command; `import __main__` would be pytest."""
    spec = importlib.util.spec_from_file_location("campaign_command", Path(__file__).with_name("__main__.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("outcome", "code"), [(Outcome.RIGHT, 0), (Outcome.LIMIT, 0), *((bad, 1) for bad in BAD)])
def test_a_bad_outcome_is_the_exit_code(
    program: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    outcome: Outcome,
    code: int,
) -> None:
    monkeypatch.setattr(program, "watch", lambda: None)
    monkeypatch.setitem(program.AREAS, "files", lambda *_: [Case("files/rows deleted/0", outcome, "why")])
    assert program.main(["--only", "files"]) == code
    written = capsys.readouterr()
    assert "| files | 1 |" in written.out
    assert ("why" in written.err) is (code == 1)
    assert ("rows deleted (1): a row" in written.out) is (outcome == Outcome.LIMIT)


def test_the_page_names_every_outcome_and_every_limit() -> None:
    page = " ".join((ROOT / "docs" / "reliability.md").read_text(encoding="utf-8").split())
    assert all(f"- {kind}" in page and reason in page for kind, reason in LIMITS.items())
    assert all(re.search(rf"\| {outcome} ", page) for outcome in Outcome)
