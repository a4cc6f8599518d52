"""A layout survives the metadata of its table, and one that contradicts itself is refused in words."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.contract.feature_layout import FeatureLayout


def test_a_layout_comes_back_from_metadata() -> None:
    layout = FeatureLayout(
        ("hour", "wind", "sky"), 2, "regression", (0.025, 0.5), categories={"sky": ("clear", "wet")}, intercept=False
    )
    metadata = {key.encode(): value.encode() for key, value in layout.as_metadata().items()}
    assert FeatureLayout.from_metadata(metadata) == layout
    assert layout.linear == ("hour", "wind")
    assert layout.quantile_columns == ("quantile_2.5", "quantile_50")
    with pytest.raises(KeyError, match="feature_layout"):
        FeatureLayout.from_metadata({})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"task": "ranking"}, 'task "ranking" is not binary or regression'),
        ({"quantiles": (0.5,)}, "a binary target has no quantiles"),
        ({"task": "regression", "quantiles": (0.9, 0.1)}, "do not ascend between 0 and 1"),
        ({"task": "regression", "quantiles": (0.5, 1.0)}, "do not ascend between 0 and 1"),
        ({"n_linear": 1, "categories": {"a": ("x",)}}, '"a" has categories, but is not among'),
        ({"categories": {"c": ("x",)}}, '"c" has categories, but is not among'),
        ({"intercept": False}, "without linear features needs an intercept"),
    ],
)
def test_a_contradiction_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FeatureLayout(("a", "b"), **fields)
