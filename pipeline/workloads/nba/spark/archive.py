"""The code of AggregateOnSpark as one archive, which a Python of any image runs: `python3 aggregate_on_spark.zip`.

SageMaker's Spark image is AWS's and holds nothing of ours, so this is what the deploy uploads (`infra.training.spark`)
and what a local run puts into its store. The same files give the same bytes on every machine: no dates, no modes, no
compression (whose result depends on the zlib). Standard library only.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

from pipeline.contract.code_version import PACKAGE

ARCHIVE_FILE: Final = "aggregate_on_spark.zip"
# Folders and files that hold what the step imports where neither DuckDB nor pyarrow is installed.
PARTS: Final = (
    "contract",
    "ingest/column_words.py",
    "ingest/files/data_folder.py",
    "ingest/files/file_content.py",
    "ingest/files/limits.py",
    "jobs/entrypoint.py",
    "workloads/nba/columns.py",
    "workloads/nba/play_by_play",
    "workloads/nba/spark/submit.py",
)
_MAIN: Final = "import sys\n\nfrom pipeline.workloads.nba.spark.submit import main\n\nsys.exit(main(sys.argv[1:]))\n"
_NO_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the first that a zip archive can hold


def write_archive(path: Path, package: Path = PACKAGE) -> None:
    """Write the archive of the files in `package`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "__main__.py", _MAIN.encode())
        for file in archived_files(package):
            _add(archive, f"pipeline/{file.relative_to(package).as_posix()}", file.read_bytes())


def archived_files(package: Path = PACKAGE) -> list[Path]:
    """The files of `PARTS`, and what makes packages of their folders, sorted."""
    parts = [package / part for part in PARTS]
    found = [path for part in parts for path in (part.rglob("*") if part.is_dir() else [part])]
    files = {path for path in found if path.suffix in (".py", ".sql")}
    packages = {parent / "__init__.py" for path in files for parent in path.parents if parent.is_relative_to(package)}
    return sorted(files | packages)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _NO_DATE)
    entry.create_system = 3  # Unix, wherever this runs
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
