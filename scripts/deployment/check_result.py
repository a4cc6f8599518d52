"""The result of a check: status, reason, and the command that fixes it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

OK: Final = "ok"
WARNING: Final = "warning"
FAILED: Final = "failed"
# 2 is bad usage and what stops the command before it has checked anything, as in all commands.
EXIT_CODES: Final = {OK: 0, WARNING: 3, FAILED: 1}
_WORST_LAST: Final = (OK, WARNING, FAILED)


@dataclass(frozen=True)
class CheckResult:
    """The result of one check; `fix` is what to type, or what to do where no command does it."""

    check: str
    status: str
    reason: str
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)

    def text(self, width: int) -> str:
        """For people; `width` is that of the longest name."""
        fix = f"\n         {'':<{width}}  fix: {self.fix}" if self.fix else ""
        return f"{self.status:<8} {self.check:<{width}}  {self.reason}{fix}"


def worst(lines: list[CheckResult]) -> str:
    """The worst status of some lines."""
    return max((line.status for line in lines), key=_WORST_LAST.index, default=OK)
