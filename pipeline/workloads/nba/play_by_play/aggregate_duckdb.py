"""The default engine of Aggregate: DuckDB, in the project's image, on one instance.

It works out of core: what does not fit under `memory_limit` goes to a temporary folder, removed when the engine closes.
"""

from __future__ import annotations

import glob
import itertools
import operator
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import duckdb

from pipeline.contract.container import StepError
from pipeline.ingest.files.file_content import HEAD_BYTES
from pipeline.ingest.files.parquet_pages import has_checksums
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.play_by_play import event_files
from pipeline.workloads.nba.play_by_play.event_sql import Query

# Nothing about a CSV file is left to be guessed.
_CSV_OPTIONS: Final = """
    filename=true, auto_detect=false, header=true, delim=',', quote='"', escape='"', encoding='utf-8'
"""
_BATCH: Final = 10_000  # rows that are Python objects at a time


@contextmanager
def open_duckdb(folder: Path, *, memory_limit: str = "") -> Iterator[DuckDB]:
    """The engine with `raw_events` read from the event files of `folder`; closed afterwards.

    `memory_limit` as DuckDB writes it (`1GB`; empty: 80 % of the instance's). Raises StepError for what DuckDB cannot
    read, and where the limit is too low.
    """
    with _orderly_end(), tempfile.TemporaryDirectory(prefix="duckdb-") as temporary:
        settings: dict[str, Any] = {"temp_directory": temporary, "preserve_insertion_order": False}
        settings.update({"memory_limit": memory_limit} if memory_limit else {})
        try:
            connection = duckdb.connect(config=settings)
        except duckdb.Error as error:
            raise StepError(f'--memory-limit "{memory_limit}": {_first_line(error)}; give it like 1GB') from error
        engine = DuckDB(connection)
        try:
            with connection:
                engine.read(folder)
                yield engine
        except duckdb.OutOfMemoryException as error:
            if "offload" in str(error):
                raise StepError(
                    f"the disk of {temporary} is full: what did not fit under the memory limit was to go there "
                    f"({_first_line(error)}); make room there, raise --memory-limit, or give the job a larger volume "
                    "(AGGREGATE_VOLUME_GB in pipeline/workloads/nba/steps.py)"
                ) from error
            raise StepError(
                f"DuckDB needs more than {memory_limit or 'this instance has'} ({_first_line(error)}); raise "
                "--memory-limit, or take an instance with more memory"
            ) from error
        except duckdb.Error as error:
            engine.files.refuse_bad_lines(str(error))
            raise StepError(f"DuckDB cannot read the event files: {_first_line(error)}; export them again") from error
        except RuntimeError as error:
            if "interrupted" not in str(error):  # DuckDB's word for a signal's exception
                raise
            raise StepError("stopped before it was done; run it again") from error


@contextmanager
def _orderly_end() -> Iterator[None]:
    """SIGTERM, with which jobs are stopped, becomes an exception: the temporary folder is removed on the way out."""

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # only the main one may say so
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


class DuckDB:
    """See `event_sql.Engine`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.files = event_files.EventFiles()

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

    def _parquet_columns(self, paths: Sequence[Path]) -> dict[Path, list[event_files.ParquetColumn]]:
        """The columns of Parquet files, asked for all at once; raises CorruptFile."""
        for path in paths:
            _compare_checksums(path)
        return self._columns_of(paths)

    def _columns_of(self, paths: Sequence[Path]) -> dict[Path, list[event_files.ParquetColumn]]:
        sql = f"""
            SELECT file_name, name, duckdb_type, COALESCE(num_children, 0) FROM parquet_schema({_literal(paths)})
            ORDER BY file_name, column_id
        """  # noqa: S608 (our own names)
        try:
            found = self._connection.execute(sql).fetchall() if paths else []
        except duckdb.Error as error:
            if len(paths) == 1:
                raise event_files.CorruptFile(paths[0], str(error)) from error
            return {path: columns for one in paths for path, columns in self._columns_of([one]).items()}
        return {
            Path(file): [
                event_files.ParquetColumn(name, _kind(type_), type_.lower()) for name, type_ in _top_level(schema)
            ]
            for file, schema in itertools.groupby(found, key=operator.itemgetter(0))
        }

    def read(self, folder: Path) -> None:
        """Define `raw_events` over the files of a folder. Raises StepError."""
        self.files = event_files.find(folder, self._parquet_columns)
        as_text = [f"CAST({column} AS VARCHAR) AS {column}" for column in n.EVENT_COLUMNS]
        columns = ", ".join((*as_text, "filename AS file"))
        # Columns are matched by name in each file: their order, and the other columns, differ between exports.
        # Files of different types are read apart. `union_by_name` would read them together, but it holds every file
        # open, and with a few thousand of them half a gigabyte is not enough.
        readers = []
        for (kind, *layout), paths in self.files.by_layout().items():
            if kind == event_files.PARQUET:
                readers.append(f"read_parquet({_literal(paths)}, filename=true)")
            else:
                types = dict.fromkeys(event_files.text_columns(layout[1:]), "VARCHAR")
                readers.append(f"read_csv({_literal(paths)}, columns={types}, skip={layout[0]}, {_CSV_OPTIONS})")
        parts = " UNION ALL ".join(f"SELECT {columns} FROM {reader}" for reader in readers)  # noqa: S608 (our own names)
        self._connection.execute(f"CREATE TEMPORARY VIEW raw_events AS {parts}")


def _compare_checksums(path: Path) -> None:
    """Compare the checksums of a Parquet file's pages, if it has any: DuckDB does not. Raises CorruptFile."""
    with path.open("rb") as file:
        if not has_checksums(file.read(HEAD_BYTES)):
            return
    import pyarrow as pa  # noqa: PLC0415 (a tenth of the time that DuckDB takes for a season, and seldom wanted)
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            wanted = [name for name in file.schema_arrow.names if name in n.EVENT_COLUMNS]
            for group in range(file.num_row_groups):
                file.read_row_group(group, columns=wanted)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise event_files.CorruptFile(path, str(error)) from error


def _top_level(schema: Iterable[tuple[str, str, str, int]]) -> Iterator[tuple[str, str]]:
    """Name and type of the columns. A schema is a tree, each node before its children; the first is the root."""
    below = 0
    for _file, name, type_, n_children in itertools.islice(schema, 1, None):
        if not below:
            yield name, type_
        below += n_children - (below > 0)


def _kind(type_: str) -> str:
    kinds = {
        event_files.TEXT: 'VARCHAR|"NULL"',
        event_files.WHOLE: "U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?",
        event_files.FLOATS: "FLOAT|DOUBLE",
        event_files.INSTANTS: "TIMESTAMP WITH TIME ZONE",
        event_files.DAYS: "DATE|TIMESTAMP.*",
    }
    return next((kind for kind, types in kinds.items() if re.fullmatch(types, type_)), event_files.OTHER)


def _literal(paths: Sequence[Path]) -> str:
    """A SQL list of strings: a quotation mark is doubled, and `events[1].csv` is a name here, not a pattern."""
    return "[" + ", ".join("'" + glob.escape(str(path)).replace("'", "''") + "'" for path in paths) + "]"
