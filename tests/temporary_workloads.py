"""Copies of tests/river with some of their files written otherwise, as workloads of this process."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final

import pipeline.workloads

RIVER: Final = Path(__file__).with_name("river")
# File -> its text, or pairs of an old and a new text.
Edits = Mapping[str, str | tuple[tuple[str, str], ...]]


@contextmanager
def importable(parent: Path) -> Iterator[None]:
    """Let the folders of `parent` be workloads, before those of the same name, and forget their modules afterwards."""
    packages = {f"pipeline.workloads.{folder.name}" for folder in parent.iterdir()}

    def forgotten() -> dict[str, ModuleType]:
        own = [name for name in sys.modules if ".".join(name.split(".")[:3]) in packages]
        return {name: sys.modules.pop(name) for name in own}

    before = forgotten()
    pipeline.workloads.__path__.insert(0, str(parent))
    try:
        yield
    finally:
        pipeline.workloads.__path__.remove(str(parent))
        forgotten()
        sys.modules.update(before)


def copy_of_river(parent: Path, files: Edits) -> Path:
    """The workload with some of its files written or edited; an edit that finds nothing is an error."""
    shutil.copytree(RIVER, folder := parent / RIVER.name)
    for name, edited in files.items():
        edits = (("", edited),) if isinstance(edited, str) else edited
        text = "" if isinstance(edited, str) else (folder / name).read_text(encoding="utf-8")
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return parent
