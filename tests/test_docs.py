"""The documents say what is: every command exists, generated pages are current, every link leads somewhere."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from scripts.writers.reference import commands, reference

DOCUMENTS = ("README.md", *(f"docs/{path.name}" for path in (Path(__file__).parents[1] / "docs").glob("*.md")))


def text_of(root: Path, document: str) -> str:
    return (root / document).read_text(encoding="utf-8")


def test_reference_is_current(root: Path) -> None:
    assert text_of(root, "docs/reference.md") == reference(), "run python -m scripts.writers.reference"


def test_every_command_is_in_the_reference(root: Path) -> None:
    page = text_of(root, "docs/reference.md")
    for name, command in commands().items():
        assert f"Usage: python -m {name}" in page
        assert command.help, f"{name} has no help text"


def source_of(root: Path, module: str) -> Path:
    """What `python -m module` runs: the module, or its package's own program."""
    path = root / module.replace(".", "/")
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_module_and_make_target_exists(root: Path, document: str) -> None:
    text = text_of(root, document)
    for module in set(re.findall(r"python -m ((?:scripts|benchmarks|pipeline|targets)\.[\w.]+\w)", text)):
        assert source_of(root, module).is_file(), module
    targets = set(re.findall(r"(?:\$ |`)make (\w[\w-]*)", text))
    makefile = text_of(root, "Makefile")
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets), targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_line_is_understood(root: Path, document: str) -> None:
    """Each option of each `python -m scripts...` line exists (the command itself is not run)."""
    known = commands()
    for line in re.findall(r"python -m (scripts\.[^`#\n]+)", text_of(root, document)):
        module, *arguments = shlex.split(line.replace("...", "").strip().rstrip(".,;:)"))
        command = known.get(module)
        if command is None:
            continue
        if isinstance(command, click.Group) and arguments and arguments[0] in command.commands:
            command, arguments = command.commands[arguments[0]], arguments[1:]
        options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
        used = {a.split("=")[0] for a in arguments if a.startswith("--")}
        assert used <= options, f"{line}: {used - options}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_option_of_a_step_or_a_benchmark_exists(root: Path, document: str) -> None:
    """Each option of each `python -m benchmarks...` and `python -m pipeline...` stands in the module's own code."""
    lines = re.findall(r"python -m ((?:benchmarks|pipeline|targets)\.[\w.]+\w)([^`#\n]*)", text_of(root, document))
    for module, arguments in lines:
        code = source_of(root, module).read_text(encoding="utf-8")
        for option in re.findall(r"--[\w-]+", arguments):
            assert f'"{option}"' in code, f"{module} {arguments}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_parameter_of_the_pipeline_exists(root: Path, document: str) -> None:
    definitions = (json.loads(path.read_text("utf-8")) for path in root.glob("pipeline/workloads/*/definition.json"))
    known = {parameter["Name"] for definition in definitions for parameter in definition["Parameters"]} | {"NAME"}
    text = text_of(root, document)
    named = set(re.findall(r"--param (\w+)=", text))
    named |= set(re.findall(r"`([A-Z][A-Za-z]+(?:InstanceCount|InstanceType))`", text))
    assert named <= known, named - known


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_to_a_file_or_a_heading(root: Path, document: str) -> None:
    text = text_of(root, document)
    headings = {
        re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.+)$", text, re.M)
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith("http"):
            assert (root / document).parent.joinpath(target.split("#")[0]).exists(), target


def test_every_proof_of_the_table_is_a_file(root: Path) -> None:
    """The table in docs/deploy.md: each claim names a test that is there, and what it leaves open."""
    section = text_of(root, "docs/deploy.md").partition("## What is proven, and what is not")[2]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 10
    lines = "".join(path.read_text(encoding="utf-8") for path in (root / "scripts/check_deployment").glob("*.py"))
    for claim, proof, left in rows:
        named = re.findall(r"`(tests/[\w/.]+)`", proof)
        assert named, claim
        assert all((root / path).exists() for path in named), named
        assert left.strip(), claim
        for words in re.findall(r"lines? ((?:`[\w -]+`(?:, )?)+)", left):
            for name in re.findall("`([^`]+)`", words):
                assert f'"{name}"' in lines, name


def test_import_rules_hold(root: Path) -> None:
    """The architecture, as import-linter contracts in pyproject.toml."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


GENERATED = ("docs/reference.md", "docs/permissions.md", "docs/findings.md", "docs/cost.md", "docs/resources.md")


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name not in GENERATED])
def test_no_line_is_longer_than_an_editor_shows(root: Path, document: str) -> None:
    """But for tables, headings and what a terminal printed."""
    prose = re.sub(r"(?ms)^ *```.*?^ *```", "", text_of(root, document))
    lines = [line for line in prose.splitlines() if not line.lstrip().startswith(("|", "#"))]
    assert [line for line in lines if len(line) > 120] == []


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name != "README.md"])
def test_every_page_is_linked_from_another(root: Path, document: str) -> None:
    others = [text_of(root, other) for other in DOCUMENTS if other != document]
    assert any(Path(document).name in text for text in others)
