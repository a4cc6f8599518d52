"""What a model predicts, and the columns of a table of features that it predicts from. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Task = Literal["binary", "regression"]
_METADATA_KEY: Final = "feature_layout"


@dataclass(frozen=True)
class FeatureLayout:
    """The model's columns by name, in their order; the first of them have a linear part besides the trees.

    `categories`: the allowed values of each categorical feature; in the model's matrix a value is its index, and NaN
    where it is missing. Linear features are numbers without gaps. `intercept`: whether a classification's linear part
    has one; without, a row of zeros has even chances (a regression always has one). `quantiles`: of the target, to be
    predicted besides its mean; `low`, `high`: ends of the target, beyond which nothing is predicted. Raises ValueError
    for a layout that no model can have.
    """

    features: tuple[str, ...]
    n_linear: int = 0
    task: Task = "binary"
    quantiles: tuple[float, ...] = ()
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    intercept: bool = True
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.task not in ("binary", "regression"):
            raise ValueError(f'task "{self.task}" is not binary or regression')
        if self.quantiles and self.task == "binary":
            raise ValueError("a binary target has no quantiles: remove them, or make the task a regression")
        edges = (0.0, *self.quantiles, 1.0)
        if not all(low < high for low, high in pairwise(edges)):
            raise ValueError(f"quantiles {self.quantiles} do not ascend between 0 and 1")
        for name in self.categories:
            if name not in self.features[self.n_linear :]:
                raise ValueError(f'"{name}" has categories, but is not among the features of the trees alone')
        if not self.n_linear and not self.intercept:
            raise ValueError("a model without linear features needs an intercept")

    @property
    def linear(self) -> tuple[str, ...]:
        return self.features[: self.n_linear]

    @property
    def quantile_columns(self) -> tuple[str, ...]:
        """The columns of predicted quantiles, such as quantile_10."""
        return tuple(f"quantile_{100 * quantile:g}" for quantile in self.quantiles)

    def as_metadata(self) -> dict[str, str]:
        """As the metadata of a table of features holds it."""
        return {_METADATA_KEY: json.dumps(asdict(self))}

    @classmethod
    def from_metadata(cls, metadata: Mapping[bytes, bytes]) -> FeatureLayout:
        """Raises KeyError where the metadata hold none, TypeError or ValueError where they cannot be read."""
        return cls.from_json(json.loads(metadata[_METADATA_KEY.encode()]))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> FeatureLayout:
        lists = {name: tuple(fields[name]) for name in ("features", "quantiles")}
        categories = {name: tuple(values) for name, values in fields["categories"].items()}
        return cls(**{**fields, **lists, "categories": categories})


@dataclass(frozen=True)
class FeatureTables:
    """Core's columns (row_id, time, target) and the features; `labelled` in order of time, only known labels."""

    labelled: pa.Table
    upcoming: pa.Table
    state: bytes | None = None  # what a server needs of the past
