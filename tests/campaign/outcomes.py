"""What may become of an input that was tampered with, and which of these outcomes are failures of the program."""

from __future__ import annotations

import io
import re
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MOST_CHARACTERS = 1_024
HANG_SECONDS = 30.0  # on a busy machine; a case takes a tenth of a second


class Outcome(StrEnum):
    """In the order of the table's columns."""

    RIGHT = "right"
    QUARANTINED = "quarantined"  # or otherwise named: a note, a column or an entry that takes no part
    REFUSED = "refused clearly"
    LIMIT = "known limit"  # read as written, by a kind of mutation that nothing in the file contradicts
    UNCLEAR = "unclear"
    TRACEBACK = "traceback"
    HANG = "hang"
    SILENT = "silently wrong"


BAD = (Outcome.UNCLEAR, Outcome.TRACEBACK, Outcome.HANG, Outcome.SILENT)


@dataclass(frozen=True)
class Case:
    """One tampered input: `area/kind/number` names it, and with the seed makes it again."""

    name: str
    outcome: Outcome
    detail: str = ""

    @property
    def kind(self) -> tuple[str, str]:
        """Area and kind of the mutation."""
        area, kind, _ = self.name.split("/")
        return area, kind


class SilentlyWrongError(Exception):
    """What was read differs from what is in the input, and nothing says so."""


class UnclearError(Exception):
    """An answer that people cannot act on."""


class HangError(BaseException):
    """Not an Exception: no handler of the program may swallow it."""


# What a remedy tells people to do.
_REMEDY = re.compile(
    r"\b(add|ask|choose|check|close|correct|decrypt|did you mean|download|encode|export|give|keep|leave|lower|make|"
    r"name|put|raise|remove|rename|run|save|see|separate|set|shorten|should|start|unpack|use|write|"
    r"are read|from \d+ to \d+|its teams are|needs|the columns are|there are|YYYY-MM-DD)\b",  # or which value is one
    re.IGNORECASE,
)
_OF_PROGRAMS = re.compile(
    r"Traceback|unexpected error|\b[A-Z]\w+(?:Error|Exception|Warning)\b|\bArrow[A-Z]\w+| at 0x|\.py\b"
)
_QUOTED = re.compile(r"\((?!unexpected error)[^()]*\)|\"[^\"]*\"")  # the cause in a library's words, and values


def faults_of(reason: str, must_name: Iterable[str] = ()) -> list[str]:
    """Why people cannot act on a refusal; nothing where it is clear.

    Clear is one sentence of at most MOST_CHARACTERS, without control characters and words of programs, that has each
    of `must_name` (file, line, column; `a|b`: one of them) and says what to do.
    """
    said = _QUOTED.sub("", reason)
    return [
        *(["is empty"] if not reason.strip() else []),
        *([f"has {len(reason):,} characters"] if len(reason) > MOST_CHARACTERS else []),
        *(["has control characters or several lines"] if not reason.isprintable() else []),
        *(["is several sentences"] if re.search(r"[a-z)]\. [A-Z][a-z]+ [a-z]", said) else []),
        *(["speaks of programs"] if _OF_PROGRAMS.search(said) else []),
        *(["has no remedy"] if not _REMEDY.search(said) else []),
        *(f"does not name {word}" for word in must_name if not any(part in reason for part in word.split("|"))),
    ]


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises HangError in the main thread; a timer that runs already (pytest's) goes on afterwards."""

    def ring(*_: Any) -> None:
        raise HangError

    handler = signal.signal(signal.SIGALRM, ring)
    before = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)
        signal.signal(signal.SIGALRM, handler)


def classify(
    name: str,
    read: Callable[[], Outcome],
    refusals: tuple[type[Exception], ...],
    *,
    must_name: Iterable[str] = (),
    must_be_read: bool = False,
    readable: Callable[[str], str] = str,
    seconds: float = HANG_SECONDS,
) -> Case:
    """Read an input and say what became of it.

    `read` compares what was read with the original. `refusals`: exceptions whose text, `readable` for people, is the
    reason; one of an input with nothing wrong (`must_be_read`) is unclear, however well it is worded.
    """
    try:
        with time_limit(seconds), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            return Case(name, read())
    except HangError:
        return Case(name, Outcome.HANG, f"no end within {seconds:g} s")
    except SilentlyWrongError as error:
        return Case(name, Outcome.SILENT, str(error))
    except UnclearError as error:
        return Case(name, Outcome.UNCLEAR, str(error))
    except refusals as error:
        reason = readable(str(error))
        faults = faults_of(reason, must_name) + (["refuses what is right"] if must_be_read else [])
        return Case(name, Outcome.UNCLEAR if faults else Outcome.REFUSED, "; ".join([*faults, reason]))
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Case(name, Outcome.TRACEBACK, f"{last.filename}:{last.lineno}: {type(error).__name__}: {error}")
