"""A Python program as the entrypoint of a job: the service takes 256 characters an argument, and no line breaks."""

from __future__ import annotations

import base64

_RUN = (
    "import base64, sys; n = int(sys.argv[1]); code = base64.b64decode(''.join(sys.argv[2:n + 2])); "
    "del sys.argv[1:n + 2]; exec(code)"
)


def inline(program: str) -> list[str]:
    """What stands for `python -c program` with the same `sys.argv`."""
    text = base64.b64encode(program.encode()).decode()
    pieces = [text[start : start + 256] for start in range(0, len(text), 256)]
    return ["python", "-c", _RUN, str(len(pieces)), *pieces]
