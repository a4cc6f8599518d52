"""The model: a linear part on a few features, corrected by shallow boosted trees on all of them.

The linear part (linear.py) is the trees' base margin. Where most of what can be known is linear, trees alone have to
build lines from steps, and lose by it. A regression may have trees for quantiles, too, as a booster beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.feature_layout import FeatureLayout
from pipeline.training.lean_xgboost import xgb
from pipeline.training.linear import LinearPart, check_complete, fit_linear
from pipeline.training.logistic import ONE_HOST, Reducer, sigmoid
from pipeline.training.model_files import MAX_UNPACKED_BYTES
from pipeline.training.training_sets import FeatureMatrix, FloatArray, MemoryRows, Rows

_SEED: Final = 2004
_MAX_BIN: Final = 64  # bins of a histogram; with 26,000 rows more only cost time
_OBJECTIVES: Final = {"binary": "binary:logistic", "regression": "reg:squarederror"}
_NO_SPLIT: Final = 1e30  # as the gain that a split must have

# Lowest and highest value of each hyperparameter
_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "boosting_rounds": (0, 5_000),
    "learning_rate": (0.001, 1.0),
    "max_depth": (1, 10),
    "min_child_weight": (0.0, 10_000.0),
    "subsample": (0.1, 1.0),
    "column_sample": (0.05, 1.0),
    "reg_lambda": (0.0, 10_000.0),
}
_BYTES_A_LEAF: Final = 80  # of a full tree, with the nodes above it; measured: 76
_WHOLE: Final = ("boosting_rounds", "max_depth")


@dataclass(frozen=True)
class Hyperparameters:
    """The trees' training config. Raises ValueError that names key, value and allowed range."""

    boosting_rounds: int = 40
    learning_rate: float = 0.03
    max_depth: int = 2
    min_child_weight: float = 100.0
    subsample: float = 0.7
    column_sample: float = 0.3
    reg_lambda: float = 20.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            _checked(name, str(value))

    @classmethod
    def from_strings(cls, strings: Mapping[str, str]) -> Hyperparameters:
        """From SageMaker's strings; what is missing keeps its default."""
        unknown = sorted(set(strings) - set(_RANGES))
        if unknown:
            raise ValueError(f'hyperparameter "{unknown[0]}" does not exist; there are {", ".join(_RANGES)}')
        return cls(**{name: _checked(name, text) for name, text in strings.items()})  # type: ignore[arg-type]

    def check_size(self, layout: FeatureLayout) -> None:
        """Raises ValueError where trees for all of the layout's outputs may be too large to read again."""
        size = self.boosting_rounds * (1 + len(layout.quantiles)) * 2**self.max_depth * _BYTES_A_LEAF
        if size > MAX_UNPACKED_BYTES:
            raise ValueError(
                f"{self.boosting_rounds} rounds of depth {self.max_depth} for {1 + len(layout.quantiles)} outputs may "
                f"give a model of {size >> 20:,} MiB, more than {MAX_UNPACKED_BYTES >> 20}: lower one of them"
            )


def _checked(name: str, text: str) -> float:
    low, high = _RANGES[name]
    is_whole = name in _WHOLE
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not low <= number <= high or (is_whole and not number.is_integer()):
        kind = "a whole number" if is_whole else "a number"
        raise ValueError(f'hyperparameter {name} "{text}" is not {kind} from {low:g} to {high:g}')
    return int(number) if is_whole else number


def fit(
    X: FeatureMatrix, y: FloatArray, hyperparameters: Hyperparameters, layout: FeatureLayout, seed: int = _SEED
) -> xgb.Booster:
    """Fit on `X` of the shape (rows, features) and targets `y` of the shape (rows,); of a classification 1 or 0.

    Single-threaded and seeded: the same input gives the same model. Raises ValueError when there is no row, StepError
    where a linear feature has a missing value.
    """
    return fit_set(MemoryRows(X, y, layout), hyperparameters, seed=seed)


def fit_set(
    rows: Rows, hyperparameters: Hyperparameters, reducer: Reducer = ONE_HOST, seed: int = _SEED
) -> xgb.Booster:
    """The same on this host's part of the rows, together with the hosts behind `reducer`, which must all call it.

    XGBoost itself adds up the hosts' histograms, and draws columns alike on all (its collective, see cluster.py).
    """
    linear = fit_linear(rows, reducer)
    parameters = _xgboost_parameters(hyperparameters, _OBJECTIVES[rows.layout.task], seed)
    booster = rows.grow(
        [(parameters, hyperparameters.boosting_rounds)], lambda X, y: {"label": y, "base_margin": linear.margin(X)}
    )
    return linear.store(booster)


def fit_quantiles(
    rows: Rows, booster: xgb.Booster, hyperparameters: Hyperparameters, seed: int = _SEED
) -> xgb.Booster | None:
    """Trees for each of the layout's quantiles of what the linear part of `booster` leaves; None where it has none.

    The first tree of a quantile has no split: its leaf is the quantile of all rows. On several hosts a leaf is the mean
    of the hosts' own quantiles (xgboost.readthedocs.io/en/release_3.2.0/parameter.html).
    """
    if not rows.layout.quantiles:
        return None
    linear = LinearPart.of(booster)
    parameters = _xgboost_parameters(hyperparameters, "reg:quantileerror", seed)
    parameters |= {"quantile_alpha": list(rows.layout.quantiles), "gamma": 0.0}  # else the next stage keeps the first's
    start = {**parameters, "eta": 1.0, "subsample": 1.0, "gamma": _NO_SPLIT}
    stages = [(start, 1), (parameters, hyperparameters.boosting_rounds)]
    trees = rows.grow(stages, lambda X, y: {"label": y - linear.margin(X)})
    return replace(linear, n_outputs=len(rows.layout.quantiles)).store(trees)


def _xgboost_parameters(hyperparameters: Hyperparameters, objective: str, seed: int) -> dict[str, Any]:
    return {
        "objective": objective,
        "tree_method": "hist",
        "max_bin": _MAX_BIN,
        "eta": hyperparameters.learning_rate,
        "max_depth": hyperparameters.max_depth,
        "min_child_weight": hyperparameters.min_child_weight,
        "subsample": hyperparameters.subsample,
        "colsample_bytree": hyperparameters.column_sample,
        "lambda": hyperparameters.reg_lambda,
        "seed": seed,
        "nthread": 1,  # sums in another order would give another model
    }


def predict(booster: xgb.Booster, X: FeatureMatrix) -> FloatArray:
    """Probabilities of target 1, or a regression's targets, of the shape (rows,) for `X` of the shape (rows, features).

    Raises StepError where a linear feature has a missing value.
    """
    margin = predict_log_odds(booster, X).astype(np.float64)
    return sigmoid(margin) if LinearPart.of(booster).task == "binary" else margin


def predict_log_odds(booster: xgb.Booster, X: FeatureMatrix) -> NDArray[np.float32]:
    """The log-odds behind `predict` (a regression's prediction itself) in XGBoost's own precision: half the memory."""
    matrix = _matrix(booster, X, base_margin=True)  # even of nothing: hosts that train together agree on its columns
    if len(X) == 0:
        return np.empty(0, dtype=np.float32)
    return LinearPart.of(booster).within_ends(np.asarray(booster.predict(matrix, output_margin=True), dtype=np.float32))


def predict_quantiles(quantile_booster: xgb.Booster, X: FeatureMatrix) -> FloatArray:
    """Ascending quantiles of the target, of the shape (rows, quantiles)."""
    matrix, linear = _matrix(quantile_booster, X), LinearPart.of(quantile_booster)  # even of nothing, as above
    if len(X) == 0:
        return np.empty((0, linear.n_outputs))
    trees = quantile_booster.predict(matrix).astype(np.float64)
    return linear.within_ends(np.sort(linear.margin(X)[:, None] + trees.reshape(len(X), linear.n_outputs), axis=1))


def importance(booster: xgb.Booster, X: FeatureMatrix) -> FloatArray:
    """Each feature's share of how far predictions move, of the shape (features,), summing to 1.

    Mean absolute contribution to the log-odds (or the target) over the rows of `X`: coefficient times value, plus the
    trees' SHAP value (Lundberg et al. 2018). A tree's gain would hide what the linear part knows.
    """
    matrix = _matrix(booster, X, base_margin=True)
    contributions = booster.predict(matrix, pred_contribs=True)[:, :-1].astype(np.float64)
    coefficients = LinearPart.of(booster).coefficients
    contributions[:, : len(coefficients)] += X[:, : len(coefficients)].astype(np.float64) * coefficients
    moves = np.abs(contributions).mean(axis=0)
    return np.asarray(moves / (moves.sum() or 1.0))


def _matrix(booster: xgb.Booster, X: FeatureMatrix, *, base_margin: bool = False) -> xgb.DMatrix:
    linear, names = LinearPart.of(booster), booster.feature_names
    check_complete(X, names[: len(linear.coefficients)])
    margin = linear.margin(X) if base_margin else None
    types = booster.feature_types
    return xgb.DMatrix(
        X, base_margin=margin, feature_names=names, feature_types=types, enable_categorical=True, nthread=1
    )
