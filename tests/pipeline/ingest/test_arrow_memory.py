"""A program that ends right after Arrow read bytes ends as it meant to: no thread of Arrow's wants the interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ingest.files.arrow_memory import arrow_reader

READS_AND_ENDS = """
import sys
from pathlib import Path
import pyarrow.parquet as pq
from pipeline.ingest.files.arrow_memory import arrow_reader
assert pq.read_table(arrow_reader(Path(sys.argv[1]).read_bytes())).num_rows == 5000
"""


def test_arrow_keeps_nothing_of_the_bytes() -> None:
    data = b"abc" * 1000
    before = sys.getrefcount(data)
    reader = arrow_reader(data)
    assert sys.getrefcount(data) == before
    assert reader.read() == data


def test_ends_with_zero_each_time(root: Path, tmp_path: Path) -> None:
    """With Python's own memory each of these runs aborts with a chance of about a third."""
    pq.write_table(pa.table({f"column_{i}": list(range(5000)) for i in range(8)}), tmp_path / "table.parquet")
    command = [sys.executable, "-c", READS_AND_ENDS, str(tmp_path / "table.parquet")]
    codes = [subprocess.run(command, cwd=root, check=False, capture_output=True).returncode for _ in range(12)]
    assert codes == [0] * 12
