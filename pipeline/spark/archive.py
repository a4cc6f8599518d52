"""The code of AggregateOnSpark as one archive, which a Python of any image runs: `python3 aggregate_on_spark.zip`.

SageMaker's Spark image is AWS's and holds nothing of ours, so this is what the deploy uploads (`infra.spark`) and what
a local run puts into its store. The same files give the same bytes on every machine: no dates, no modes, no compression
(whose result depends on the zlib). Standard library only.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

from pipeline.code_version import PACKAGE

ARCHIVE_FILE: Final = "aggregate_on_spark.zip"
# What the step imports where neither DuckDB nor pyarrow is installed, and the program that starts it.
MODULES: Final = (
    "__init__.py",
    "contract.py",
    "entrypoint.py",
    "ingest/__init__.py",
    "ingest/data_folder.py",
    "ingest/file_content.py",
    "ingest/limits.py",
    "reason_text.py",
    "spark/__init__.py",
    "spark/submit.py",
    "steps/__init__.py",
    "steps/aggregate.py",
    "steps/aggregate_spark.py",
    "steps/column_words.py",
    "steps/container.py",
    "steps/event_account.py",
    "steps/event_files.py",
    "steps/event_lines.py",
    "steps/event_sql.py",
    "steps/events.sql",
)
_MAIN: Final = "import sys\n\nfrom pipeline.spark.submit import main\n\nsys.exit(main(sys.argv[1:]))\n"
_NO_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the first that a zip archive can hold


def write_archive(path: Path, package: Path = PACKAGE) -> None:
    """Write the archive of the files in `package`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "__main__.py", _MAIN.encode())
        for name in MODULES:
            _add(archive, f"pipeline/{name}", (package / name).read_bytes())


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _NO_DATE)
    entry.create_system = 3  # Unix, wherever this runs
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
