"""The model artifact: what Train puts into model.tar.gz, and how the other steps read it.

model.ubj             XGBoost's own format (never a pickle)
quantiles.ubj         the same for quantiles, where the model predicts them
model.json            the card: training config, features, task, cut-off, lineage
walk_forward.parquet  each of the last N rows predicted only from rows before it
state.parquet         what a server needs of the past to compute features, where the workload has such a state
SHA256SUMS            the digests of the others, compared before any of them is parsed (model_files.py)
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.contract import names as c
from pipeline.contract.code_version import file_digest
from pipeline.contract.container import StepError
from pipeline.contract.feature_layout import FeatureLayout
from pipeline.contract.reasons import printable
from pipeline.ingest.files.arrow_memory import arrow_reader
from pipeline.training.lean_xgboost import xgb
from pipeline.training.model import predict, predict_quantiles
from pipeline.training.model_files import UNREADABLE, Content, files_of_archive, files_of_folder, write_digests
from pipeline.training.training_sets import FeatureMatrix, FloatArray
from pipeline.training.ubjson import check_ubjson

_T = TypeVar("_T")

MAX_CARD: Final = 1_000_000  # characters; a card has some 2,000, and the categories
MAX_ROWS: Final = 100_000  # walk-forward predictions are at most 20,000, a state some 5,000


@dataclass(frozen=True)
class ModelCard:
    """What is known about a model: JSON beside the weights."""

    as_of_date: str  # the morning on which it was trained
    trained_before: str  # first day that the shipped weights have not seen
    n_rows: int
    trained_from: str  # first day of the rows trained on
    fingerprint: str
    code_version: str
    feature_signature: str
    layout: FeatureLayout
    hyperparameters: Mapping[str, float]
    walk_forward_rows: int
    target_mean: float  # of the rows trained on
    xgboost_version: str
    time_zone: str = "UTC"  # of the rows' days

    @property
    def features(self) -> tuple[str, ...]:
        return self.layout.features

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """The card from its file's text, without fields of a later release; raises TypeError when one is missing."""
        if len(text) > MAX_CARD:
            raise ValueError(f"it has more than {MAX_CARD:,} characters")
        written: dict[str, Any] = json.loads(text)
        known = {field.name: written[field.name] for field in fields(cls) if field.name in written}
        return cls(**{**known, "layout": FeatureLayout.from_json(written["layout"])})


@dataclass(frozen=True)
class Artifact:
    """A trained model: weights, card, walk-forward predictions and the state's file, where the workload has a state."""

    booster: xgb.Booster
    card: ModelCard
    walk_forward: pa.Table
    state: bytes | bytearray | None = None
    quantile_booster: xgb.Booster | None = None

    @property
    def cut_off(self) -> int:
        """First day that the shipped weights have not seen, in days since 1970-01-01."""
        return (date.fromisoformat(self.card.trained_before) - date(1970, 1, 1)).days

    def predict(self, X: FeatureMatrix) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Predictions of the shape (rows,) for `X` of the shape (rows, features), and the quantiles by column."""
        found = predict_quantiles(self.quantile_booster, X).T if self.quantile_booster else ()
        return predict(self.booster, X), dict(zip(self.card.layout.quantile_columns, found, strict=True))

    def parsed_state(self, parse: Callable[[pa.BufferReader], _T]) -> _T:
        """The state as the workload reads it; raises StepError where the file is invalid."""
        try:
            return _parsed(c.STATE_FILE, self.state or b"", lambda data: parse(bounded_table(data)))
        except UNREADABLE as error:
            raise StepError(
                f"the artifact holds no model of this pipeline ({_first_words(error)}): put the version's own there "
                "again"
            ) from error


def write_artifact(folder: Path, artifact: Artifact) -> None:
    """Write the files into the folder that SageMaker packs as model.tar.gz."""
    folder.mkdir(parents=True, exist_ok=True)
    artifact.booster.save_model(folder / c.MODEL_FILE)
    (folder / c.MODEL_CARD_FILE).write_text(json.dumps(asdict(artifact.card), indent=2) + "\n", encoding="utf-8")
    pq.write_table(artifact.walk_forward, folder / c.WALK_FORWARD_FILE)
    if artifact.quantile_booster:
        artifact.quantile_booster.save_model(folder / c.QUANTILE_MODEL_FILE)
    if artifact.state:
        (folder / c.STATE_FILE).write_bytes(artifact.state)
    write_digests(folder)


def read_artifact(path: Path, *, sha256: str | None = None) -> Artifact:
    """Read model.tar.gz, or a folder into which it was unpacked, after comparing the files with their digests.

    `sha256` is that of model.tar.gz, where it is known. Raises StepError when the archive is damaged, larger than a
    model can be, or lacks one of the files (state and quantiles may be missing).
    """
    try:
        if sha256 is not None and (found := file_digest(path)) != sha256:
            raise ValueError(f"its SHA-256 is {found[:12]}..., that of the evaluated model is {sha256[:12]}...")
        return _artifact(files_of_folder(path) if path.is_dir() else files_of_archive(path))
    except UNREADABLE as error:
        problem = _first_words(error)
        raise StepError(
            f"{path} holds no model of this pipeline ({problem}): unpack a version's model.tar.gz there"
            if path.is_dir()
            else f"{path.parent.name}/{path.name} is not a model of this pipeline, or not this version's ({problem}): "
            "put the version's own artifact there again"
        ) from error


def _artifact(files: Mapping[str, Content]) -> Artifact:
    """The model from its files' content; raises ValueError that names the file that cannot be read."""
    quantiles = files.get(c.QUANTILE_MODEL_FILE)
    return Artifact(
        booster=_parsed(c.MODEL_FILE, files[c.MODEL_FILE], _booster),
        card=_parsed(c.MODEL_CARD_FILE, files[c.MODEL_CARD_FILE], lambda data: ModelCard.from_json(data.decode())),
        walk_forward=_parsed(
            c.WALK_FORWARD_FILE, files[c.WALK_FORWARD_FILE], lambda data: pq.read_table(bounded_table(data))
        ),
        state=files.get(c.STATE_FILE),
        quantile_booster=_parsed(c.QUANTILE_MODEL_FILE, quantiles, _booster) if quantiles else None,
    )


def bounded_table(data: Content) -> pa.BufferReader:
    """A reader of a small table; raises ValueError for one of too many rows."""
    rows = pq.read_metadata(arrow_reader(data)).num_rows
    if rows > MAX_ROWS:
        raise ValueError(f"it has {rows:,} rows, more than {MAX_ROWS:,}")
    return arrow_reader(data)


def _parsed(name: str, data: Content, parse: Callable[[Content], _T]) -> _T:
    try:
        if not data:  # XGBoost crashes
            raise ValueError("it is empty")
        return parse(data)
    except UNREADABLE as error:
        raise ValueError(f"{name} cannot be read: {_first_words(error)}") from error


def _booster(data: Content) -> xgb.Booster:
    if not data.startswith(b"{L"):  # UBJSON as XGBoost writes it; as JSON, a text of few bytes may take any memory
        raise ValueError("it is not in XGBoost's binary format (UBJSON)")
    check_ubjson(data)
    booster = xgb.Booster()
    booster.load_model(data if isinstance(data, bytearray) else bytearray(data))
    return booster


def _first_words(error: Exception) -> str:
    """What it says in one printable line, without XGBoost's place in C++ in front of it and its stack trace behind."""
    text = f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
    return printable(re.sub(r"^\[[\d:]+\] \S+: ", "", text))
