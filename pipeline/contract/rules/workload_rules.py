"""What a workload's folder must be: its rules, checked before anything is run, synthesised or compiled.

A workload that breaks one is refused with the file, the name and the rule. Standard library only; of the modules
besides spec.py only the text is read.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.contract.parameters import parameters_of
from pipeline.contract.reasons import hint
from pipeline.contract.rules.calls import WorkloadError
from pipeline.contract.rules.hooks import INTERFACES
from pipeline.contract.rules.spec_rules import spec_problems
from pipeline.contract.spec import Column, Limit, Parameter, Spec


@cache
def checked_spec(folder: Path) -> Spec:
    """SPEC of the workload's folder; raises WorkloadError for the first rule that is broken."""
    for problem in _rules(folder):
        raise WorkloadError(f"pipeline/workloads/{folder.name}{problem}")
    spec: Spec = importlib.import_module(f"pipeline.workloads.{folder.name}.spec").SPEC
    return spec


def definition_problem(spec: Spec, definition: Any) -> str:  # noqa: ANN401 - any JSON
    """Why a definition is not that of the spec, as far as its parameters say; empty where it may be."""
    try:
        found = {p["Name"]: p["DefaultValue"] for p in definition["Parameters"]}
    except (KeyError, TypeError):
        return "is no pipeline definition"
    wanted = parameters_of(spec).defaults
    for name in (*wanted, *found):
        if (name in wanted, wanted.get(name)) != (name in found, found.get(name)):
            return f"is stale: {name} is {found.get(name, 'not there')}, and {wanted.get(name, 'not there')} in spec.py"
    return ""


def _rules(folder: Path) -> Iterator[str]:
    """Each broken rule, after the place below pipeline/workloads/<name>; those before it hold."""
    if not re.fullmatch("[a-z][a-z0-9_]*", folder.name):
        yield ": a workload's folder is a Python package: lower-case letters, digits and _, a letter first"
    if folder.with_name(f"{folder.name}.py").exists():
        yield f": it hides {folder.name}.py beside it, which is a module of core: rename the folder"
    for place, problem in _imports(folder, folder / "spec.py", set()):
        yield f"/{place}: {problem}"
    try:
        module = importlib.import_module(f"pipeline.workloads.{folder.name}.spec")
    except Exception as error:  # whatever its code raises
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith("spec.py")
        ]
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        known = [field.name for kind in (Spec, Column, Limit, Parameter) for field in fields(kind)]
        meant = hint(unknown[1], known) if unknown else ""
        yield f"/spec.py, line {lines[-1] if lines else '?'}: {type(error).__name__}: {error}{meant}"
        return
    if not isinstance(spec := getattr(module, "SPEC", None), Spec):
        near = [name for name, value in vars(module).items() if isinstance(value, Spec)]
        meant = f'; did you mean "{near[0]}"?' if near else ""
        found = f"SPEC is of the type {type(spec).__name__}, not Spec" if spec is not None else "it defines no SPEC"
        yield f"/spec.py: {found}{meant}"
        return
    own = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    for problem in spec_problems(folder.name, spec, own):
        yield f"/spec.py: {problem}"
    for place, problem in _modules(folder, own):
        yield f"/{place}: {problem}"


def _tree(path: Path) -> ast.Module | SyntaxError:
    try:
        return ast.parse(path.read_bytes())
    except SyntaxError as error:
        return error


def _imports(folder: Path, path: Path, seen: set[Path]) -> Iterator[tuple[str, str]]:
    """What spec.py and the files of the folder that it imports may not import: the stack and Lambda have no more."""
    if path in seen or not path.exists():
        return
    seen.add(path)
    tree, place = _tree(path), path.relative_to(folder).as_posix()
    if isinstance(tree, SyntaxError):
        yield f"{place}, line {tree.lineno}", tree.msg
        return
    package = ".".join(("pipeline", "workloads", folder.name, *path.relative_to(folder).parts[:-1]))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            names = [".".join(filter(None, (above, node.module, name))) for name in names]
        for name in names:
            root, _, inside = name.partition(f"pipeline.workloads.{folder.name}.")
            if inside and not root:
                parts = inside.split(".")
                for used in (folder.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)):
                    yield from _imports(folder, used.with_suffix(".py"), seen)
                    yield from _imports(folder, used / "__init__.py", seen)
            elif name.split(".")[0] not in sys.stdlib_module_names and not f"{name}.".startswith("pipeline.contract."):
                may = "the standard library, pipeline.contract and files of this folder that do the same"
                yield f"{place}, line {getattr(node, 'lineno', 0)}", f"imports {name}; spec.py may import {may}"


def _modules(folder: Path, own: set[str]) -> Iterator[tuple[str, str]]:
    """Modules that are missing, cannot be parsed, or do not have what core calls."""
    for name, interface in INTERFACES.items():
        if name not in own:
            near = get_close_matches(name, own, n=1, cutoff=0.85)
            if near or name == "baseline":
                meant = f"; rename {near[0]}.py, which core does not read" if near else ""
                yield f"{name}.py", f"it is missing{meant}"
            continue
        path = next(path for path in (folder / f"{name}.py", folder / name / "__init__.py") if path.exists())
        tree, place = _tree(path), path.relative_to(folder).as_posix()
        if isinstance(tree, SyntaxError):
            yield f"{place}, line {tree.lineno}", str(tree.msg)
            continue
        made: dict[str, ast.AST] = {}
        node: ast.AST
        for node in tree.body:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            made |= {target.id: node for target in targets if isinstance(target, ast.Name)}
            made |= {
                alias.asname or alias.name: node for alias in getattr(node, "names", ()) if hasattr(alias, "asname")
            }
            made |= {node.name: node} if isinstance(node, ast.FunctionDef) else {}
        for called, function in inspect.getmembers(interface, inspect.isfunction):
            if called.startswith("_") or called not in vars(interface) or "*" in made:
                continue
            signature = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
            wanted = f"{called}({', '.join(p.name for p in signature)})"
            if called not in made:
                yield place, f"it has no {wanted}{hint(called, made)}"
            elif isinstance(node := made[called], ast.FunctionDef) and not _takes(node.args, signature):
                yield f"{place}, line {node.lineno}", f"{called}({ast.unparse(node.args)}) should be {wanted}"


def _takes(given: ast.arguments, called: list[inspect.Parameter]) -> bool:
    """Whether a function may be called with these, in their order."""
    most = len(given.posonlyargs) + len(given.args)
    least, required = most - len(given.defaults), sum(p.default is p.empty for p in called)
    return least <= required and (most >= len(called) or given.vararg is not None) and None not in given.kw_defaults
