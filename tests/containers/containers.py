"""Real containers, through the engine's own command."""

from __future__ import annotations

import subprocess


def run(*arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """`docker run --rm` with these arguments."""
    return subprocess.run(
        ["docker", "run", "--rm", *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )
