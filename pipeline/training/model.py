"""The model: a logistic regression on a few features, corrected by shallow boosted trees on all of them.

The linear part (ridge, no intercept, on the layout's first features) is the trees' base margin. On games it is nearly
all that can be known: trees alone have to build its lines from steps, and lose by it. Its coefficients travel inside
the booster as an attribute, so that one file holds the whole model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.feature_layout import FeatureLayout
from pipeline.training.lean_xgboost import xgb
from pipeline.training.logistic import ONE_HOST, Reducer, fit_logistic_in_batches, sigmoid
from pipeline.training.training_sets import FeatureMatrix, FloatArray, MemorySet, TrainingSet

_SEED: Final = 2004
_RIDGE: Final = 1.0
_MAX_BIN: Final = 64  # bins of a histogram; with 26,000 rows more only cost time
_COEFFICIENTS: Final = (
    "linear_coefficients"  # the booster's attribute: JSON, one number for each of the linear features
)

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
            low, high = _RANGES[name]
            if not low <= value <= high:
                raise ValueError(_refusal(name, f"{value:g}"))

    @classmethod
    def from_strings(cls, strings: Mapping[str, str]) -> Hyperparameters:
        """From SageMaker's strings; what is missing keeps its default."""
        unknown = sorted(set(strings) - set(_RANGES))
        if unknown:
            raise ValueError(f'hyperparameter "{unknown[0]}" does not exist; there are {", ".join(_RANGES)}')
        return cls(**{name: _parse(name, text) for name, text in strings.items()})  # type: ignore[arg-type]

    def as_numbers(self) -> dict[str, float]:
        """All of them by name."""
        return asdict(self)


def _parse(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(_refusal(name, text)) from None
    if not _is_whole(name):
        return number
    if not number.is_integer():  # false for NaN and infinity, too
        raise ValueError(_refusal(name, text))
    return int(number)


def _is_whole(name: str) -> bool:
    return any(field.name == name and field.type == "int" for field in fields(Hyperparameters))


def _refusal(name: str, text: str) -> str:
    low, high = _RANGES[name]
    kind = "a whole number" if _is_whole(name) else "a number"
    return f'hyperparameter {name} "{text}" is not {kind} from {low:g} to {high:g}'


def fit(
    X: FeatureMatrix, y: FloatArray, hyperparameters: Hyperparameters, layout: FeatureLayout, seed: int = _SEED
) -> xgb.Booster:
    """Fit on `X` of the shape (rows, features) and targets `y` of the shape (rows,), 1 or 0.

    Single-threaded and seeded: the same input gives the same model. Raises ValueError when there is no row.
    """
    return fit_set(MemorySet(X, y, layout), hyperparameters, seed=seed)


def fit_set(
    rows: TrainingSet, hyperparameters: Hyperparameters, reducer: Reducer = ONE_HOST, seed: int = _SEED
) -> xgb.Booster:
    """The same on this host's part of the rows, together with the hosts behind `reducer`, which must all call it.

    XGBoost itself adds up the hosts' histograms, and draws columns alike on all (its collective, see cluster.py).
    """
    linear = rows.layout.linear
    coefficients = fit_logistic_in_batches(
        lambda: ((X.astype(np.float64), y) for X, y in rows.batches(linear)), len(linear), _RIDGE, reducer
    )
    parameters = _xgboost_parameters(hyperparameters, seed)
    booster = rows.grow(parameters, hyperparameters.boosting_rounds, lambda X: _margin(X, coefficients))
    booster.set_attr(**{_COEFFICIENTS: json.dumps(coefficients.tolist())})
    return booster


def _xgboost_parameters(hyperparameters: Hyperparameters, seed: int) -> dict[str, str | float]:
    return {
        "objective": "binary:logistic",
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


def _margin(X: FeatureMatrix, coefficients: FloatArray) -> FloatArray:
    return np.asarray(X[:, : len(coefficients)].astype(np.float64) @ coefficients)


def linear_coefficients(booster: xgb.Booster) -> FloatArray:
    """The linear part, one number for each of the first features; raises ValueError where the booster has none."""
    text = booster.attr(_COEFFICIENTS)
    if text is None:
        raise ValueError("this booster is not a model of this pipeline: it has no linear part")
    return np.array(json.loads(text), dtype=np.float64)


def predict(booster: xgb.Booster, X: FeatureMatrix) -> FloatArray:
    """Probabilities of target 1, of the shape (rows,) for `X` of the shape (rows, features)."""
    return sigmoid(predict_log_odds(booster, X).astype(np.float64))


def predict_log_odds(booster: xgb.Booster, X: FeatureMatrix) -> NDArray[np.float32]:
    """The log-odds behind `predict`, as XGBoost gives them: whoever keeps many needs half the room, loses nothing."""
    matrix = _matrix(booster, X)  # even of nothing: hosts that train together agree on its columns
    if len(X) == 0:
        return np.empty(0, dtype=np.float32)
    return np.asarray(booster.predict(matrix, output_margin=True), dtype=np.float32)


def importance(booster: xgb.Booster, X: FeatureMatrix) -> FloatArray:
    """Each feature's share of how far forecasts move, of the shape (features,), summing to 1.

    Mean absolute contribution to the log-odds over the rows of `X`: coefficient times value, plus the trees' SHAP
    value (Lundberg et al. 2018). A tree's gain would hide what the linear part knows.
    """
    contributions = booster.predict(_matrix(booster, X), pred_contribs=True)[:, :-1].astype(np.float64)
    coefficients = linear_coefficients(booster)
    contributions[:, : len(coefficients)] += X[:, : len(coefficients)].astype(np.float64) * coefficients
    moves = np.abs(contributions).mean(axis=0)
    return np.asarray(moves / (moves.sum() or 1.0))


def _matrix(booster: xgb.Booster, X: FeatureMatrix) -> xgb.DMatrix:
    margin = _margin(X, linear_coefficients(booster))
    return xgb.DMatrix(X, base_margin=margin, feature_names=booster.feature_names, nthread=1)


def save(booster: xgb.Booster, path: Path) -> None:
    """Write the model in XGBoost's own binary format; the name must end in .ubj."""
    booster.save_model(path)


def load(path: Path) -> xgb.Booster:
    """Read a model that `save` wrote."""
    booster = xgb.Booster()
    booster.load_model(path)
    return booster
