"""A file whose content is not what its name says is called what it is, with the remedy."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.feather
import pytest

from pipeline.ingest.csv_rows import unzip
from pipeline.ingest.files.file_content import HEAD_BYTES, kind_of, text_unlike_csv, unlike_its_name
from pipeline.ingest.files.limits import MAX_GZIP_PARTS
from pipeline.ingest.quarantine import BadData

CSV = b"date,season\n2021-01-01,2021\n"
GZIPPED = gzip.compress(CSV, mtime=0)  # it is part of tests' names, which must be the same in each process


def zipped(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, CSV)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("a.csv")
        member.size = len(CSV)
        archive.addfile(member, io.BytesIO(CSV))
    return file.getvalue()


def feather() -> bytes:
    file = io.BytesIO()
    pyarrow.feather.write_feather(pa.table({"a": [1]}), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (GZIPPED, "a gzip file: name it .csv.gz"),
        (bz2.compress(CSV), "a bzip2 file: unpack it"),
        (lzma.compress(CSV), "an xz file: unpack it"),
        (zipped("a.csv"), "a zip archive: unpack it"),
        (zipped("[Content_Types].xml"), "an Excel workbook: save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "an old Excel workbook"),
        (tarred(), "a tar archive: unpack it"),
        (feather(), "a Feather or Arrow file: write it as Parquet"),
        (b"PAR1\x15\x04", "a Parquet file: name it .parquet"),
        (b"PARE\x15\x04", "an encrypted Parquet file: write it without encryption"),
        (b"ORC\x08\x03\x10", "an ORC file: write it as Parquet"),
        (b"%PDF-1.7\n", "a PDF document: save it as CSV"),
        (b"-----BEGIN PGP MESSAGE-----\n", "an encrypted file (PGP): decrypt it"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "a Git LFS pointer"),
        (b"/annex/objects/SHA256E-s9--00.csv\n", "a git-annex pointer"),
        (b"\n <!DOCTYPE html><html>", "a web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "an XML document"),
        (b'{"games": []}', "JSON: save it as CSV"),
        (b'\xef\xbb\xbf[{"date": 1}]', "JSON"),
        (b'[["id", "date"], [1, 2]]', "JSON"),
        (b"sep=;\n" + CSV, "a table that starts with Excel's line sep=: remove that line"),
        (CSV.decode().encode("utf-16"), "UTF-16, not UTF-8: save it as UTF-8"),
        (CSV.decode().encode("utf-16-le"), "UTF-16 without a byte-order mark"),
        (CSV.decode().encode("utf-16-be"), "UTF-16 without a byte-order mark"),
        (CSV.decode().encode("utf-32"), "UTF-32 text"),
    ],
)
def test_content_that_is_no_csv_is_called_what_it_is(content: bytes, words: str) -> None:
    found = unlike_its_name("a.csv", content[:HEAD_BYTES])
    assert found is not None and found.startswith(f"a.csv is {words}")


@pytest.mark.parametrize(
    "content",
    [
        *(CSV, b"\xef\xbb\xbf" + CSV, "date,h\u00f6me\n".encode(), b"a,b\n1,\x00\n", b"1", b"\n\n" + CSV),
        *(b"PARENT_ID,date\n", b"ORCID,date\n", b"PAR1,date\n"),  # names that begin as a binary file does
        *(b"<TICKER>,<DATE>\n", b"[id],[date]\n"),  # or as XML and JSON do
    ],
)
def test_csv_is_csv(content: bytes) -> None:
    assert unlike_its_name("a.csv", content) is None and kind_of(content) is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.parquet", CSV, "a.parquet is text, not a Parquet file: if it is CSV, name it .csv"),
        ("a.csv.gz", CSV, "a.csv.gz is text, not gzipped: if it is CSV, name it .csv"),
        ("a.csv.gz", zipped("a.csv"), "a.csv.gz is a zip archive: unpack it, and put the files that it holds here"),
        ("a.parquet", b'{"a": 1}', "a.parquet is JSON: save it as CSV (comma-separated, UTF-8)"),
        ("a.parquet", b"PAR1\x00", None),
        ("a.csv.gz", GZIPPED, None),
        ("a.csv.gz", b"\x1f", None),  # its reader says how it is damaged
    ],
)
def test_other_kinds_of_files(name: str, content: bytes, words: str | None) -> None:
    assert unlike_its_name(name, content) == words


def test_a_gzip_file_of_parts_is_read_and_one_of_too_many_is_not() -> None:
    parts = b"".join(gzip.compress(line, mtime=0) for line in CSV.splitlines(keepends=True))
    assert unzip(parts, "a.csv.gz", 1_000_000) == CSV
    empty = gzip.compress(b"", mtime=0) * MAX_GZIP_PARTS
    with pytest.raises(BadData, match=r"a\.csv\.gz has more than 100,000 gzip parts; pack it as one"):
        unzip(empty + GZIPPED, "a.csv.gz", 1_000_000)


def test_what_a_gzip_file_holds_is_looked_at_too() -> None:
    assert text_unlike_csv("a.csv.gz", GZIPPED) == "a.csv.gz is compressed twice: unpack it once"
    assert "holds a tar archive" in str(text_unlike_csv("a.csv.gz", tarred()))
    assert text_unlike_csv("a.csv.gz", CSV) is None
