"""The columns of a table of features that are the model's. Standard library only."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class FeatureLayout:
    """The model's columns by name, in their order; the first of them have a linear part besides the trees."""

    features: tuple[str, ...]
    n_linear: int = 0

    @property
    def linear(self) -> tuple[str, ...]:
        """Those of the linear part."""
        return self.features[: self.n_linear]

    def as_metadata(self) -> dict[str, str]:
        """As the metadata of a table of features holds it."""
        return {"features": json.dumps(self.features), "n_linear_features": str(self.n_linear)}
