"""Makes the mutants of one module and runs its tests on each, in a copy of the project: mutmut with our operators.

`python mutants.py` in a folder whose pyproject.toml configures mutmut; writes mutants.json there, a list of Mutant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import libcst as cst
from mutate import RESULT, Mutant
from mutmut.__main__ import _run
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.mutators import mutation_operators, operator_string
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

WORKERS = 2


def negate(node: cst.If | cst.CompIf) -> Iterator[cst.CSTNode]:
    """`if value` becomes `if not (value)`; mutmut itself changes the operators of a condition, and only those."""
    if not isinstance(node.test, cst.Comparison | cst.UnaryOperation):
        test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        yield node.with_changes(test=cst.UnaryOperation(cst.Not(cst.SimpleWhitespace(" ")), test))


def change_text(node: cst.BaseString) -> Iterator[cst.BaseString]:
    """One change of each text that a program reads; a text with a space is words for people."""
    if not (isinstance(node, cst.SimpleString) and " " in node.value):
        yield from list(operator_string(node))[:1]


def read_results() -> list[Mutant]:
    """What mutmut left in the folder."""
    found = []
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for key, code in data.exit_code_by_key.items():
            was, becomes = changed_lines(get_diff_for_mutant(key, path=path))
            function = orig_function_and_class_names_from_key(key)[0]
            found.append(Mutant(function, was, becomes, status_by_exit_code[code]))
    return found


def changed_lines(diff: str) -> tuple[str, str]:
    """The lines that a diff takes away and those that it adds, each on one line."""
    lines = diff.splitlines()[2:]
    was, becomes = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return was, becomes


if __name__ == "__main__":
    mutation_operators[:] = [(kind, change) for kind, change in mutation_operators if change is not operator_string]
    mutation_operators += [(cst.BaseString, change_text), (cst.If, negate), (cst.CompIf, negate)]
    _run([], WORKERS)
    Path(RESULT).write_text(json.dumps([asdict(mutant) for mutant in read_results()]), encoding="utf-8")
