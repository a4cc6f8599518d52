"""The tool that judges the tests: it finds what a toy's tests do not notice, and each survivor needs its reason."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest
from mutate import MODULES, ROOT, SURVIVORS, Mutant, mutants_of, unexplained

RULE = '''
def due(days, urgent):
    """Three days, or urgent."""
    if urgent:
        return "now"
    return "a sentence" if days >= 3 else ""
'''
TESTS = """
import pytest
from toy.rule import due

@pytest.mark.parametrize(("days", "urgent", "expected"), [(2, False, ""), (4, False, "a sentence"), (2, True, "now")])
def test_due(days, urgent, expected):
    assert due(days, urgent) == expected
"""


def test_changes_at_a_boundary_that_no_test_looks_at_survive(tmp_path: Path) -> None:
    for name, text in {"toy/rule.py": RULE, "toy/__init__.py": "", "tests/test_rule.py": TESTS}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.mutmut]\nsource_paths = ["toy"]\nprocess_isolation = "forkserver"\n'
    )
    mutants = mutants_of("toy/rule.py", ["tests/test_rule.py"], tmp_path)
    line = 'return "a sentence" if days >= 3 else ""'
    survivors = {(m.function, m.was, m.becomes) for m in mutants if not m.noticed}
    assert survivors == {("due", line, line.replace(">= 3", new)) for new in ("> 3", ">= 4")}
    noticed = {m.becomes for m in mutants if m.noticed}
    assert {"if not (urgent):", 'return "XXnowXX"'} <= noticed


CHANGED = Mutant("due", "a >= 3", "a > 3", "survived")
ENTRY = {"module": "m.py", "function": "due", "was": "a >= 3", "becomes": "a > 3", "reason": "a is never 3"}


@pytest.mark.parametrize(
    ("mutants", "entries", "words"),
    [
        ([CHANGED], [ENTRY], []),
        ([CHANGED], [], ['becomes = "a > 3"']),
        ([CHANGED], [{**ENTRY, "module": "other.py"}], ['becomes = "a > 3"']),
        ([], [ENTRY], ["no longer survives"]),
        ([CHANGED], [{**ENTRY, "reason": " "}], ["give a reason"]),
    ],
)
def test_each_survivor_needs_a_reason_and_each_reason_a_survivor(
    mutants: list[Mutant], entries: list[dict[str, str]], words: list[str]
) -> None:
    problems = unexplained("m.py", mutants, entries)
    assert len(problems) == len(words)
    for problem, expected in zip(problems, words, strict=True):
        assert expected in problem


def test_the_modules_and_their_tests_exist() -> None:
    for module, tests in MODULES.items():
        for path in (module, *tests):
            assert (ROOT / path).is_file(), path


def test_each_listed_survivor_is_of_code_that_there_is() -> None:
    """An entry whose lines have moved or changed is found here, not by the next hour of `make mutation`."""
    for entry in tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))["survivor"]:
        assert entry["module"] in MODULES, entry
        text = (ROOT / entry["module"]).read_text(encoding="utf-8")
        functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
        bodies = [ast.get_source_segment(text, node) or "" for node in functions if node.name == entry["function"]]
        lines = [" ".join(line.strip() for line in body.splitlines()) for body in bodies]
        assert any(entry["was"] in body for body in lines), entry
        assert entry["was"] != entry["becomes"], entry
