"""What a file holds by its first bytes, for one whose content is not what its name says. Standard library, Python 3.9.

The first bytes of binary formats are in their specifications; pointers, pages and marker lines are what downloads and
spreadsheets leave behind in place of a table.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

HEAD_BYTES: Final = 1024  # that `unlike_its_name` and `kind_of` want to see

GZIP: Final = b"\x1f\x8b"
PARQUET: Final = b"PAR1"
_UNPACK: Final = "unpack it, and put the files that it holds here"
_AS_CSV: Final = "save it as CSV (comma-separated, UTF-8)"
_AGAIN: Final = "download it again"

# First bytes, what that is, and what to do.
_BINARY: Final = (
    (GZIP, "a gzip file", "name it .csv.gz"),
    (PARQUET, "a Parquet file", "name it .parquet"),
    (b"PARE", "an encrypted Parquet file", "write it without encryption"),
    (b"BZh", "a bzip2 file", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz file", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", _UNPACK),
    (b"\x04\x22\x4d\x18", "an LZ4 file", _UNPACK),
    (b"\x1f\x9d", "a compress (.Z) file", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (or another Office document)", _AS_CSV),
    (b"SQLite format 3\x00", "a SQLite database", "export its table as CSV"),
    (b"ORC", "an ORC file", "write it as Parquet"),
    (b"Obj\x01", "an Avro file", "write it as Parquet"),
    (b"ARROW1", "a Feather or Arrow file", "write it as Parquet"),
    (b"FEA1", "a Feather file", "write it as Parquet"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "write it as Parquet"),
    (b"\x93NUMPY", "a NumPy file", "write it as Parquet"),
    (b"\x80\x03", "a Python pickle", "write it as Parquet"),
    (b"\x80\x04", "a Python pickle", "write it as Parquet"),
    (b"\x80\x05", "a Python pickle", "write it as Parquet"),
    (b"Salted__", "an encrypted file (OpenSSL)", "decrypt it"),
    (b"\xff\xfe\x00\x00", "UTF-32 text, not UTF-8", "save it as UTF-8"),
    (b"\x00\x00\xfe\xff", "UTF-32 text, not UTF-8", "save it as UTF-8"),
    (b"\xff\xfe", "UTF-16, not UTF-8", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16, not UTF-8", "save it as UTF-8"),
)
# The same for text, in lower case and without what precedes its first letter.
_TEXT: Final = (
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file itself", "run git lfs pull"),
    (b"/annex/objects/", "a git-annex pointer, not the file itself", "run git annex get"),
    (b"%pdf-", "a PDF document", _AS_CSV),
    (b"-----begin pgp", "an encrypted file (PGP)", "decrypt it"),
    (b"<!doctype html", "a web page (of an error or a sign-in, perhaps)", _AGAIN),
    (b"<html", "a web page (of an error or a sign-in, perhaps)", _AGAIN),
    (b"<error>", "an error message in XML", _AGAIN),
    (b"<", "an XML document (an error message, perhaps)", _AGAIN),
    (b"{", "JSON", _AS_CSV),
    (b"[", "JSON", _AS_CSV),
    (b"sep=", "a table that starts with Excel's line sep=", "remove that line, and separate fields by commas"),
)
_NAMES_IN_BRACKETS: Final = re.compile(rb"[<\[][^<>\[\]\n]*[>\]],")  # <TICKER>,<DATE> or [id],[date]


def unlike_its_name(name: str, head: bytes) -> str | None:
    """What is wrong with a file by its first bytes, in words with the remedy; None where they fit the name.

    `name` ends with one of data_folder.SUFFIXES; of a `.gz` file, `head` is as it is packed.
    """
    if not head:
        return f"{name} is empty (0 bytes); export it again or remove it"
    lower = name.lower()
    wanted = PARQUET if lower.endswith(".parquet") else GZIP if lower.endswith(".gz") else None
    if wanted and head.startswith(wanted):
        return None
    if found := kind_of(head):
        return f"{name} is {found}"
    if not wanted:
        return None
    other = "a Parquet file" if wanted == PARQUET else "gzipped"
    if is_text(head):
        return f"{name} is text, not {other}: if it is CSV, name it .csv"
    return None  # damaged: its reader says how


def text_unlike_csv(name: str, head: bytes) -> str | None:
    """The same for the unpacked content of a `.csv.gz` file."""
    if head.startswith(GZIP):
        return f"{name} is compressed twice: unpack it once"
    found = kind_of(head)
    return None if found is None else f"{name} holds {found}"


def kind_of(head: bytes) -> str | None:
    """`an Excel workbook: save it as CSV ...`, for first bytes that are known and are no CSV."""
    for start, what, remedy in _BINARY:
        if head.startswith(start) and not is_text(head):  # PARENT_ID and ORCID are names of columns
            return f"{what}: {remedy}"
    if head.startswith(b"PK\x03\x04"):
        is_workbook = b"[Content_Types].xml" in head or b"xl/" in head or b"opendocument.spreadsheet" in head
        return f"an Excel workbook: {_AS_CSV}" if is_workbook else f"a zip archive: {_UNPACK}"
    if head[257:262] == b"ustar":
        return f"a tar archive: {_UNPACK}"
    if _is_utf_16(head):
        return "UTF-16 without a byte-order mark, not UTF-8: save it as UTF-8"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if _NAMES_IN_BRACKETS.match(text):
        return None
    return next((f"{what}: {remedy}" for start, what, remedy in _TEXT if text.startswith(start)), None)


def is_text(head: bytes) -> bool:
    """Whether the bytes can be text: UTF-8, as far as they go, without control characters."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return bool(head) and not any(byte < ord(" ") and byte not in b"\t\n\r\f" for byte in head)


def _is_utf_16(head: bytes) -> bool:
    """Every second byte is NUL, as in UTF-16 of Latin letters; in UTF-8 a NUL is damage, and rare."""
    pairs = head[: len(head) // 2 * 2]
    half = len(pairs) // 2
    return half > 1 and max(pairs[0::2].count(0), pairs[1::2].count(0)) > 0.7 * half
