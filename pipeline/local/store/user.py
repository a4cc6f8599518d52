"""Who runs this program, for records."""

from __future__ import annotations

import getpass
import os


def user_name() -> str:
    """The user's name, as the system or LOGNAME, USER, ... say; the number of one without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # in a container, under a number that no file names
        return f"user {os.getuid()}"
