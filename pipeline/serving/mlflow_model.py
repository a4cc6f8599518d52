"""A model that was exported to MLflow: `predict` of a table of request rows, as the endpoint answers them.

    model.tar.gz     the version's own artifact
    exported.json    its SHA-256, its version and its workload

MLflow is not imported: a model is these two files and the code of the image, and no pickle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from pipeline.contract import names as c
from pipeline.contract.workload import load_workload
from pipeline.serving.predictor import Predictor
from pipeline.training.artifact import read_artifact

FACTS_FILE: Final = "exported.json"


class ServedModel:
    """A model behind MLflow's interface of Python functions."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, table: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """One line a row in the table's order: the prediction, and the quantiles where the model predicts them.

        A column whose value is missing counts as left out. Raises BadRequestError naming row, column, value and rule.
        """
        rows = [{str(k): _plain(v) for k, v in row.items() if not pd.isna(v)} for row in table.to_dict("records")]
        answer = self.predictor.answer(rows)
        prediction = self.predictor.requests.format.prediction
        return pd.DataFrame({prediction: answer.predictions, **answer.quantiles}, index=table.index)


def _plain(value: object) -> object:
    """A whole number as people write it: MLflow makes 5.0 of 5 where a column may have no value."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def open_model(folder: Path) -> ServedModel:
    """The model of a folder; raises StepError for one that is damaged, or that this code cannot serve."""
    facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
    artifact = read_artifact(folder / c.MODEL_ARCHIVE, sha256=facts["sha256"])
    workload = load_workload(facts["workload"])
    return ServedModel(Predictor(artifact, facts["version"], stale_after_days=0, workload=workload))
