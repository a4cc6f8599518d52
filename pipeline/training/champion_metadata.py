"""champion.json, for steps that need no model: importing XGBoost is a quarter of Prepare's start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.contract import names as c
from pipeline.contract.container import StepError


def read_metadata(folder: Path) -> dict[str, Any]:
    """champion.json; its `version` is None where none is in use yet. Raises StepError when it cannot be read."""
    try:
        metadata: dict[str, Any] = json.loads((folder / c.CHAMPION_FILE).read_text(encoding="utf-8"))
        _ = metadata["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StepError(
            f"champion/{c.CHAMPION_FILE} is missing or unreadable ({error}): approve a version again to write it"
        ) from error
    return metadata
