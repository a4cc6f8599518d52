"""How much input is read at most: what is beyond is a mistake or an attack, and ends in one sentence.

The reference workload's real rows of 77 years are 73,357, in 3 MB. A job of the default instance has 4 GB.
"""

from __future__ import annotations

from typing import Final

MAX_ROWS: Final = 2_000_000  # of all files: 27 times the reference; reading so many takes about 1 GB
MAX_COLUMNS: Final = 1_000  # of a file; a box score has a hundred
MAX_GZIP_PARTS: Final = 100_000  # of a file; an empty one of 20 bytes takes as long as a thousand bytes of text
MAX_LINE: Final = 131_072  # bytes of a line of CSV, and characters of a field: Python's csv module has the same limit
MAX_VIOLATIONS: Final = 500_000  # in quarantine.csv: a spreadsheet opens twice as many, and no person reads them
LISTED_OF_TOO_MANY: Final = 100_000  # of them, where there are more; they are refused, whatever the share allowed
MAX_TEXT_BYTES: Final = 64 << 20  # of all different values together: 300 times the reference; it is copied often
MAX_BYTES: Final = 256 << 20  # of all files together, unpacked: 85 times the reference
