"""The engine of Aggregate for more than one instance: Spark, which runs the same queries.

On this machine `local[*]`; in SageMaker Processing's own Spark image whatever `smspark-submit` gives. pyspark is in
that image and in the development environment, not in the project's image.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from py4j.protocol import Py4JJavaError, Py4JNetworkError
from pyspark.errors import PySparkException, PySparkRuntimeError
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f

from pipeline.contract.container import StepError
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.play_by_play import event_files
from pipeline.workloads.nba.play_by_play.event_sql import Query

# One instance needs neither 200 partitions (Spark's default, a hundred times slower on a season) nor a page to watch.
# With its default of 1 GB it would write to disk at ten seasons.
_LOCAL: Final = {
    "spark.driver.memory": "2g",
    "spark.driver.extraJavaOptions": "-XX:+UseParallelGC",
    "spark.sql.shuffle.partitions": "4",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
# Kinds of columns by how Parquet stores them, and what it says that they are.
_PARQUET_KINDS: Final = {
    ("BINARY", "STRING"): event_files.TEXT,
    ("INT32", ""): event_files.WHOLE,
    ("INT64", ""): event_files.WHOLE,
    ("INT32", "INTEGER"): event_files.WHOLE,
    ("INT64", "INTEGER"): event_files.WHOLE,
    ("FLOAT", ""): event_files.FLOATS,
    ("DOUBLE", ""): event_files.FLOATS,
    ("INT32", "DATE"): event_files.DAYS,
    ("INT64", "TIMESTAMP"): event_files.DAYS,
    ("INT96", ""): event_files.DAYS,
}
# Signs in Spark's errors that the instances are to blame, not the files, and what they mean.
_LOST: Final = {
    "OutOfMemoryError": "out of memory",
    "No space left on device": "disk full",
    "ExecutorLostFailure": "an executor was lost",
    "Initial job has not accepted any resources": "no executor started",
    "SparkContext was shut down": "the cluster went down",
    "LiveListenerBus is stopped": "no master of a cluster answered",
}
LARGER_INSTANCES: Final = (
    "choose larger instances (AggregateOnSparkInstanceType) or more of them (AggregateInstanceCount)"
)


@contextmanager
def open_spark(folder: Path, *, master: str = "") -> Iterator[Spark]:
    """The engine with `raw_events` defined; the session, and with it Java's process, is stopped afterwards.

    `folder`: that of the event files, which every instance of the cluster has under the same path. `master` empty: that
    of spark-submit. Raises StepError for what Spark cannot read, where it does not start, and where it dies.
    """
    builder = SparkSession.builder.appName("aggregate").config("spark.sql.session.timeZone", "UTC")
    builder = builder.config("spark.hadoop.parquet.page.verify-checksum.enabled", "true")
    for key, value in (_LOCAL if master.startswith("local") else {}).items():
        builder = builder.config(key, value)
    try:
        session = (builder.master(master) if master else builder).getOrCreate()
    except (PySparkRuntimeError, Py4JJavaError) as error:
        raise StepError(
            f"Spark did not start ({_first_line(error)}); it needs Java 17, or use --engine duckdb"
        ) from error
    session.sparkContext.setLogLevel("OFF")
    try:
        with on_session(session, folder) as engine:
            yield engine
    finally:
        with suppress(Exception):  # one that has died cannot be stopped, and has been reported
            session.stop()


@contextmanager
def on_session(session: SparkSession, folder: Path) -> Iterator[Spark]:
    """The same on a session that goes on."""
    engine = Spark(session)
    try:
        engine.read(folder)
        yield engine
        sys.stderr.write(f"Spark's tasks by host: {_tasks_by_host(session)}\n")
    except (PySparkException, Py4JJavaError) as error:
        raise _why(error, engine.files) from error
    except (Py4JNetworkError, ConnectionError) as error:
        reason = "Spark's driver has ended, which it does for want of memory most often"
        raise StepError(f"{reason}; {LARGER_INSTANCES}") from error


def _tasks_by_host(session: SparkSession) -> str:
    """`algo-1 60, algo-2 58`: whether the whole cluster worked, or one instance of it."""
    executors: Any = session.sparkContext._jsc.sc().statusStore().executorList(False)
    tasks: dict[str, int] = {}
    for number in range(executors.size()):
        executor = executors.apply(number)
        host = str(executor.hostPort()).rpartition(":")[0]
        tasks[host] = tasks.get(host, 0) + int(executor.totalTasks())
    return ", ".join(f"{host} {n:,}" for host, n in sorted(tasks.items()))


def _why(error: Exception, files: event_files.EventFiles) -> StepError:
    """What an error of Spark means: an instance that could not do the work, or a file that cannot be read."""
    line = _first_line(error)
    if lost := next((sign for sign in _LOST if sign in str(error)), None):
        return StepError(f"Spark could not do the work ({_LOST[lost]}: {line}); {LARGER_INSTANCES}")
    files.refuse_bad_lines(str(error))
    return StepError(f"Spark cannot read the event files: {line}; export them again")


def _first_line(error: Exception) -> str:
    """What went wrong first: Java wraps it into the failures of task, stage and job."""
    causes = [line for line in str(error).splitlines() if line.startswith(("Caused by: ", ": "))]
    return (causes[-1].partition(": ")[2] if causes else str(error).splitlines()[0]).rstrip(".")


class Spark:
    """See `event_sql.Engine`."""

    def __init__(self, session: SparkSession) -> None:
        self._session = session
        self.files = event_files.EventFiles()

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

    def read(self, folder: Path) -> None:
        """Define `raw_events` over the files of a folder. Raises StepError."""
        self.files = event_files.find(folder, self._parquet_columns)
        layouts = self.files.by_layout().items()
        frames = [self._read([*map(_address, paths)], kind, more[1:]) for (kind, *more), paths in layouts]
        functools.reduce(DataFrame.unionByName, frames).createOrReplaceTempView("raw_events")

    def _parquet_columns(self, paths: Sequence[Path]) -> dict[Path, list[event_files.ParquetColumn]]:
        """The columns of Parquet files, by Spark's own library, in the driver (a cluster has no pyarrow)."""
        return {path: self._columns_of(path) for path in paths}

    def _columns_of(self, path: Path) -> list[event_files.ParquetColumn]:
        jvm: Any = self._session._jvm
        hadoop, parquet = jvm.org.apache.hadoop, jvm.org.apache.parquet
        configuration = self._session._jsc.hadoopConfiguration()
        try:
            file = parquet.hadoop.util.HadoopInputFile.fromPath(
                hadoop.fs.Path(f"file://{path.absolute()}"), configuration
            )
            reader = parquet.hadoop.ParquetFileReader.open(file)
        except Py4JJavaError as error:
            raise event_files.CorruptFile(path, _first_line(error)) from error
        try:
            return [_column(field) for field in reader.getFileMetaData().getSchema().getFields()]
        finally:
            reader.close()

    def _read(self, paths: Sequence[str], kind: str, header: Sequence[str]) -> DataFrame:
        """EVENT_COLUMNS as text, and the file of each row. `header`: that of all CSV files."""
        if kind == event_files.PARQUET:
            frame = self._session.read.parquet(*paths)
        else:
            # As RFC 4180 and DuckDB have it: a quotation mark within a field is doubled, it may contain a line break.
            strict = {"mode": "FAILFAST", "unescapedQuoteHandling": "RAISE_ERROR"}
            reader = self._session.read.options(header="true", escape='"', multiLine="true", **strict)
            types = ", ".join(f"{name} STRING" for name in event_files.text_columns(header))
            frame = reader.schema(types).csv(list(paths))
        columns = [f.col(column).cast("string").alias(column) for column in nba.EVENT_COLUMNS]
        return frame.select(*columns, _file())


def _file() -> Column:
    """The address of a row's file."""
    return f.url_decode(f.regexp_replace(f.input_file_name(), "[+]", "%2B")).alias("file")


def _address(path: Path) -> str:
    """The address of a file, whose name Spark must not take for a pattern."""
    return "file://" + re.sub(r"([][{}*?\\])", r"\\\1", str(path.absolute()))


def _column(field: Any) -> event_files.ParquetColumn:  # noqa: ANN401 (a Java object)
    """A field of a Parquet schema (parquet.apache.org/docs/file-format/types)."""
    name = str(field.getName())
    if not field.isPrimitive():
        return event_files.ParquetColumn(name, event_files.OTHER, "group")
    annotation = field.getLogicalTypeAnnotation()
    stored = str(field.asPrimitiveType().getPrimitiveTypeName().toString())
    logical = "" if annotation is None else str(annotation.toString())
    if logical.startswith("TIMESTAMP") and logical.endswith("true)"):  # "adjusted to UTC"
        return event_files.ParquetColumn(name, event_files.INSTANTS, f"{stored} {logical}")
    kind = _PARQUET_KINDS.get((stored, logical.partition("(")[0]), event_files.OTHER)
    return event_files.ParquetColumn(name, kind, f"{stored} {logical}".strip())
