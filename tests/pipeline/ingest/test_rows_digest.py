"""The digest of rows: another wherever a value differs, a missing text included."""

from __future__ import annotations

import pandas as pd

from pipeline.ingest.validated import rows_digest


def test_a_text_that_is_missing_is_not_an_empty_one() -> None:
    def digest(*texts: str | None) -> str:
        return rows_digest(pd.DataFrame({"plan": pd.array(texts, dtype="str")}))

    assert len({digest("a", None), digest("a", ""), digest(None, "a"), digest("a", "nan"), digest("a")}) == 5
    assert digest("a", None) == digest("a", None)
