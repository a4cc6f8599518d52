"""The archive of AggregateOnSpark: the same bytes each time, complete, and in the Python of SageMaker's image."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.contract.code_version import PACKAGE
from pipeline.workloads.nba.spark.archive import archived_files, write_archive

IMAGES_PYTHON = (3, 9)  # the python3 that the image's PATH finds first, whatever Spark itself runs with
KEYWORDS_SINCE = {"strict", "slots", "kw_only"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "code.zip"
    write_archive(path)
    return path


def test_the_same_files_are_the_same_bytes_wherever_and_whenever(archive: Path, tmp_path: Path) -> None:
    copied = tmp_path / "pipeline"
    shutil.copytree(PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__"))
    for path in copied.rglob("*.py"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o600)
    write_archive(tmp_path / "again.zip", copied)
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    (copied / "contract" / "names.py").open("a").write("# changed\n")
    write_archive(tmp_path / "changed.zip", copied)
    assert (tmp_path / "changed.zip").read_bytes() != archive.read_bytes()


def test_it_imports_nothing_that_is_not_in_it_or_on_the_cluster(archive: Path, tmp_path: Path) -> None:
    """In a Python that has pyspark and no other package: not ours, no pyarrow, no DuckDB, no pandas."""
    program = (
        "import datetime, hashlib, itertools, sys\n"
        "del datetime.UTC, hashlib.file_digest, itertools.pairwise\n"  # since Python 3.10
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('pyarrow', 'duckdb', 'pandas', 'numpy', 'xgboost', 'click'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"sys.path.insert(0, {str(archive)!r})\n"
        "import pipeline.jobs.entrypoint, pipeline.workloads.nba.spark.submit\n"
        "from pipeline.workloads.nba.play_by_play import aggregate, event_files\n"
        "from pipeline.workloads.nba.play_by_play.event_sql import read_queries\n"
        "assert len(read_queries()) > 5\n"
        "try:\n    import pyspark\nexcept ModuleNotFoundError:\n    pass\n"
        "else:\n    import pipeline.workloads.nba.play_by_play.aggregate_spark\n"
        "assert all('code.zip' in m.__file__ for n, m in sys.modules.items() if n.startswith('pipeline.'))\n"
        "print(*(m.__file__.partition('code.zip/')[2] for n, m in sys.modules.items() if n.startswith('pipeline.')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(archive) as opened:
        unions = [(n, of) for n in done.stdout.split() for of in unions_of_types(ast.parse(opened.read(n)))]
    assert not unions, "Python 3.9 knows none outside annotations, which it does not evaluate"


def unions_of_types(node: ast.AST) -> Iterator[str]:
    """Where a program evaluates `X | Y` of types: a sum of sets or flags has other names in it."""
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value] * (field not in ("annotation", "returns")):
            if isinstance(child, ast.BinOp) and isinstance(child.op, ast.BitOr):
                names = {n.id for n in ast.walk(child) if isinstance(n, ast.Name)}
                if names & {"str", "int", "float", "list", "tuple", "bytes", "Path", "Mapping"}:
                    yield ast.unparse(child)
            if isinstance(child, ast.AST):
                yield from unions_of_types(child)


def test_it_is_written_for_the_python_of_the_image(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        sources = {name: opened.read(name).decode() for name in opened.namelist() if name.endswith(".py")}
    assert len(sources) == len([path for path in archived_files() if path.suffix == ".py"]) + 1
    for name, source in sources.items():
        tree = ast.parse(source, filename=name, feature_version=IMAGES_PYTHON)
        postponed = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
        assert postponed or not [n for n in ast.walk(tree) if isinstance(n, ast.AnnAssign | ast.FunctionDef)], name
        keywords = {
            keyword.arg
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and ast.unparse(call.func) != "csv.reader"  # its `strict` is older
            for keyword in call.keywords
        }
        assert not keywords & KEYWORDS_SINCE, name
