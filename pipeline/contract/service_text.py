"""Any text as SageMaker takes it: the characters and lengths of the fields that people's words end up in.

The service refuses a whole request for one character: a comma in a metadata value fails CreateModelPackage. Patterns
and lengths are those of the API's model (botocore, sagemaker/2017-07-24): CustomerMetadataValue, EntityDescription,
ApprovalDescription, ContainerArgument. Standard library only.
"""

from __future__ import annotations

import unicodedata
from typing import Final

UNSPECIFIED: Final = "unspecified"  # in place of no text: a metadata value has at least one character
METADATA_LENGTH: Final = 256
ARGUMENT_LENGTH: Final = 256
DESCRIPTION_LENGTH: Final = 1024
_METADATA_PUNCTUATION: Final = frozenset("_.:/=+-@")
# Categories of a character, by their first letter: letter, mark, separator, symbol, number, punctuation.
_METADATA: Final = frozenset("LNZ")
_DESCRIPTION: Final = frozenset("LMNPSZ")


def metadata_value(text: str) -> str:
    """A value of CustomerMetadataProperties: 1 to 256 letters, numbers, spaces and `_.:/=+-@`."""
    composed = unicodedata.normalize("NFC", text)  # a letter and its accent become one letter where there is one
    kept = "".join(ch if ch in _METADATA_PUNCTUATION or _is(ch, _METADATA) else " " for ch in composed)
    return _shortened(kept, METADATA_LENGTH) or UNSPECIFIED


def is_metadata_value(text: str) -> bool:
    """Whether CreateModelPackage takes the text as it is."""
    length = len(text.encode("utf-16-le", errors="replace")) // 2
    return 1 <= length <= METADATA_LENGTH and all(ch in _METADATA_PUNCTUATION or _is(ch, _METADATA) for ch in text)


def description(text: str) -> str:
    """A ModelPackageDescription or an ApprovalDescription: one line of at most 1,024 printable characters."""
    return one_line(text, DESCRIPTION_LENGTH)


def argument(text: str) -> str:
    """An argument of a container: one line of 1 to 256 characters."""
    return one_line(text, ARGUMENT_LENGTH) or UNSPECIFIED


def one_line(text: str, length: int) -> str:
    """One line of at most so many printable characters."""
    return _shortened("".join(ch if _is(ch, _DESCRIPTION) else " " for ch in text), length)


def _is(character: str, categories: frozenset[str]) -> bool:
    """In Python's table and in Unicode 3.2: the service's own may be older than ours."""
    tables = (unicodedata.category, unicodedata.ucd_3_2_0.category)
    return all(category(character)[0] in categories for category in tables)


def _shortened(text: str, length: int) -> str:
    """One space for each run of blanks, none at the ends, cut to a length in UTF-16 units, as Java counts."""
    words = " ".join(text.split())
    encoded = words.encode("utf-16-le")[: 2 * length]
    return encoded.decode("utf-16-le", errors="ignore").rstrip()
