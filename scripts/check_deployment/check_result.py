"""The result of a check: status, reason, and the command that fixes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OK: Final = "ok"
WARNING: Final = "warning"
FAILED: Final = "failed"
# From the best to the worst. 2 is bad usage and what stops the command before it has checked anything, as everywhere.
EXIT_CODES: Final = {OK: 0, WARNING: 3, FAILED: 1}


@dataclass(frozen=True)
class CheckResult:
    """The result of one check; `fix` is what to type, or what to do where no command does it."""

    check: str  # empty: the name under which it is listed
    status: str
    reason: str
    fix: str = ""

    def text(self, width: int) -> str:
        """For people; `width` is that of the longest name."""
        fix = f"\n         {'':<{width}}  fix: {self.fix}" if self.fix else ""
        return f"{self.status:<8} {self.check:<{width}}  {self.reason}{fix}"


def ok(reason: str, *, check: str = "") -> CheckResult:
    return CheckResult(check, OK, reason)


def warning(reason: str, fix: str = "", *, check: str = "") -> CheckResult:
    """Something that need not be wrong."""
    return CheckResult(check, WARNING, reason, fix)


def failed(reason: str, fix: str, *, check: str = "") -> CheckResult:
    """Something that keeps runs, emails or the endpoint from working."""
    return CheckResult(check, FAILED, reason, fix)


def worst(results: list[CheckResult]) -> str:
    """The worst status of some results."""
    return max((result.status for result in results), key=list(EXIT_CODES).index, default=OK)
