"""How the tests of the stack synthesise it: the context that the CDK CLI would pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resolved_template import Template

ALERTED = "oncall@example.com"
IMAGE = "111122223333.dkr.ecr.us-east-1.amazonaws.com/retraining@sha256:" + "5" * 64


def cdk_context(root: Path, **settings: Any) -> dict[str, Any]:
    """What the CDK CLI would pass: cdk.json, and `-c` for each setting; `image_uri=None` has the image built."""
    context: dict[str, Any] = json.loads((root / "cdk.json").read_text(encoding="utf-8"))["context"]
    given = {"image_uri": IMAGE, **({"alert_emails": ALERTED} if settings.get("env") == "prod" else {}), **settings}
    return {**context, **{key: value for key, value in given.items() if value is not None}}


Synthesise = Callable[..., Template]
