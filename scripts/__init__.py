"""Commands: `python -m scripts.NAME`."""

import sys
from types import TracebackType


def _without_ctrl_c(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
    else:
        sys.__excepthook__(kind, error, trace)


if sys.argv[0] == "-m":  # a command whose module Python is looking for: while it imports, no Command is there to ask
    sys.excepthook = _without_ctrl_c
