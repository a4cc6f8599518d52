"""The engine of Aggregate for more than one machine: Spark, which runs the same queries.

On this machine `local[*]`; in SageMaker Processing's own Spark image whatever `smspark-submit` gives. pyspark is in
that image and in the development environment, not in the project's image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, PySparkException, PySparkRuntimeError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from pipeline import contract as c
from pipeline.steps.container import StepError
from pipeline.steps.event_sql import Query

# One machine needs neither 200 partitions (Spark's default, a hundred times slower on a season) nor a page to watch.
_LOCAL: Final = {
    "spark.sql.shuffle.partitions": "4",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}


@contextmanager
def open_spark(layouts: Sequence[Sequence[Path]] | str, *, master: str = "") -> Iterator[Spark]:
    """The engine with `raw_events` defined; the session, and with it Java's process, is stopped afterwards.

    `layouts`: event files, those of one layout together, or the URI of a folder that the cluster can read. `master`
    empty: that of spark-submit. Raises StepError for what Spark cannot read, and where it does not start.
    """
    builder = SparkSession.builder.appName("aggregate").config("spark.sql.session.timeZone", "UTC")
    for key, value in (_LOCAL if master.startswith("local") else {}).items():
        builder = builder.config(key, value)
    try:
        session = (builder.master(master) if master else builder).getOrCreate()
    except PySparkRuntimeError as error:
        raise StepError(
            f"Spark did not start ({_first_line(error)}); it needs Java 17, or use --engine duckdb"
        ) from error
    session.sparkContext.setLogLevel("OFF")
    try:
        yield Spark(session, layouts)
    except (PySparkException, Py4JJavaError) as error:
        raise StepError(f"Spark cannot read the event files: {_first_line(error)}; export them again") from error
    finally:
        session.stop()


def _first_line(error: Exception) -> str:
    """What went wrong first: Java wraps it into the failures of task, stage and job."""
    causes = [line for line in str(error).splitlines() if line.startswith(("Caused by: ", ": "))]
    return (causes[-1].partition(": ")[2] if causes else str(error).splitlines()[0]).rstrip(".")


class Spark:
    """See `event_sql.Engine`."""

    def __init__(self, session: SparkSession, layouts: Sequence[Sequence[Path]] | str) -> None:
        """Define `raw_events` over the files."""
        self._session = session
        self._define_raw_events(layouts)

    def define(self, query: Query) -> None:
        """A temporary view, cached (in memory, then on disk) where it is kept."""
        frame = self._session.sql(query.sql)
        (frame.persist() if query.kept else frame).createOrReplaceTempView(query.name)

    def columns(self, name: str) -> list[str]:
        """The column names of a defined query."""
        return list(self._session.table(name).columns)

    def rows(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, a partition at a time."""
        for row in self._session.sql(sql).coalesce(1).toLocalIterator():
            yield tuple(row)

    def _define_raw_events(self, layouts: Sequence[Sequence[Path]] | str) -> None:
        if isinstance(layouts, str):
            frames = self._read_uri(layouts)
        else:
            frames = [self._read([f"file://{path.absolute()}" for path in paths], paths[0].name) for paths in layouts]
        events = frames[0]
        for frame in frames[1:]:
            events = events.unionByName(frame)
        events.createOrReplaceTempView("raw_events")

    def _read_uri(self, uri: str) -> list[DataFrame]:
        frames = []
        for suffix in ("*.parquet", "*.csv*"):
            try:
                frames.append(self._read([uri], suffix.rstrip("*"), pathGlobFilter=suffix, recursiveFileLookup="true"))
            except AnalysisException:  # "unable to infer schema": there is no such file
                continue
        if not frames:
            raise StepError(f"{uri} holds no *.csv, *.csv.gz or *.parquet file; put the event files there")
        return frames

    def _read(self, paths: Sequence[str], name: str, **options: str) -> DataFrame:
        """EVENT_COLUMNS as text, and the file of each row."""
        if name.lower().endswith(".parquet"):
            frame = self._session.read.options(**options).parquet(*paths)
        else:
            # As RFC 4180 and DuckDB have it: a quotation mark within a field is doubled, a line break may stand in one.
            # A header of another order must not be read as if it were the first file's: enforceSchema would.
            quoting = {
                "header": "true",
                "escape": '"',
                "multiLine": "true",
                "mode": "FAILFAST",
                "enforceSchema": "false",
            }
            frame = self._session.read.options(**quoting, **options).csv(list(paths))
        missing = [column for column in c.EVENT_COLUMNS if column not in frame.columns]
        if missing:
            found = ", ".join(frame.columns)
            raise StepError(f'the event files: column "{missing[0]}" is missing; found: {found}; add it')
        columns = [f.col(column).cast("string").alias(column) for column in c.EVENT_COLUMNS]
        name_as_uri = f.regexp_replace(f.input_file_name(), "[+]", "%2B")
        return frame.select(*columns, f.url_decode(name_as_uri).alias("file"))
