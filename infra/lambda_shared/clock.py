"""Names of a custom resource that only wants to know when it was created or changed."""

from __future__ import annotations

from typing import Final

CLOCK: Final = "Custom::Clock"
NOW: Final = "Now"  # its attribute: seconds since 1970
