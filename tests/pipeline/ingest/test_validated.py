"""The digest of rows: another for any other value, and a missing text is one."""

from __future__ import annotations

import pandas as pd

from pipeline.ingest.validated import rows_digest


def digest(*plans: str | None) -> str:
    return rows_digest(pd.DataFrame({"plan": pd.array([*plans], dtype="str"), "fee": [1.0] * len(plans)}))


def test_a_missing_text_is_neither_an_empty_nor_another_one() -> None:
    found = {digest("basic", None), digest("basic", ""), digest("basic", "nan"), digest(None, "basic"), digest("basic")}
    assert len(found) == 5
    assert digest("basic", None) == digest("basic", None)
