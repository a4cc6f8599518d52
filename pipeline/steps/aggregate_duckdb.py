"""The default engine of Aggregate: DuckDB, in the project's image, on one machine.

It works out of core: what does not fit under `memory_limit` goes to a temporary folder, removed when the engine closes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb

from pipeline import contract as c
from pipeline.steps.container import StepError
from pipeline.steps.event_sql import Query

# Nothing about a CSV file is left to be guessed.
_CSV_OPTIONS: Final = """
    filename=true, union_by_name=true, header=true, all_varchar=true, delim=',', quote='"', escape='"', encoding='utf-8'
"""
_BATCH: Final = 10_000  # rows that are Python objects at a time


@contextmanager
def open_duckdb(files: Sequence[Path], *, memory_limit: str = "") -> Iterator[DuckDB]:
    """The engine with `raw_events` read from `files` (those that `event_files.find` returned); closed afterwards.

    `memory_limit` as DuckDB writes it (`1GB`; empty: 80 % of the machine's). Raises StepError for what DuckDB cannot
    read, and where the limit is too low.
    """
    with tempfile.TemporaryDirectory(prefix="duckdb-") as temporary:
        settings: dict[str, Any] = {"temp_directory": temporary, "preserve_insertion_order": False}
        settings.update({"memory_limit": memory_limit} if memory_limit else {})
        try:
            connection = duckdb.connect(config=settings)
        except duckdb.Error as error:
            raise StepError(f'--memory-limit "{memory_limit}": {_first_line(error)}; give it like 1GB') from error
        try:
            with connection:
                yield DuckDB(connection, files)
        except duckdb.OutOfMemoryException as error:
            raise StepError(
                f"DuckDB needs more than {memory_limit or 'this machine has'} ({_first_line(error)}); raise "
                "--memory-limit, or take a machine with more memory"
            ) from error
        except duckdb.Error as error:
            raise StepError(f"DuckDB cannot read the event files: {_first_line(error)}; export them again") from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


class DuckDB:
    """See `event_sql.Engine`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
        """Define `raw_events` over the files."""
        self._connection = connection
        self._define_raw_events(files)

    def define(self, query: Query) -> None:
        """A temporary table (which spills to disk) for what is kept, a view for the rest."""
        kind = "TABLE" if query.kept else "VIEW"
        self._connection.execute(f"CREATE OR REPLACE TEMPORARY {kind} {query.name} AS {query.sql}")

    def columns(self, name: str) -> list[str]:
        """The column names of a defined query."""
        return [column for column, *_ in self._connection.execute(f"DESCRIBE {name}").fetchall()]

    def rows(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, a batch at a time."""
        found = self._connection.execute(sql)
        while batch := found.fetchmany(_BATCH):
            yield from batch

    def _define_raw_events(self, files: Sequence[Path]) -> None:
        columns = ", ".join((*c.EVENT_COLUMNS, "filename AS file"))
        parquet = [str(path) for path in files if path.name.lower().endswith(".parquet")]
        texts = [str(path) for path in files if not path.name.lower().endswith(".parquet")]
        # Columns are matched by name in each file: their order, and what else stands there, differ between exports.
        readers = []
        if parquet:
            readers.append(f"read_parquet({_literal(parquet)}, filename=true, union_by_name=true)")
        if texts:
            readers.append(f"read_csv({_literal(texts)}, {_CSV_OPTIONS})")
        parts = " UNION ALL ".join(f"SELECT {columns} FROM {reader}" for reader in readers)  # noqa: S608 (our own names)
        self._connection.execute(f"CREATE TEMPORARY VIEW raw_events AS {parts}")


def _literal(paths: Sequence[str]) -> str:
    """A SQL list of strings; a quotation mark within a path is doubled."""
    return "[" + ", ".join("'" + path.replace("'", "''") + "'" for path in paths) + "]"
