"""The model artifact: what Train puts into model.tar.gz, and how the other steps read it.

model.ubj        XGBoost's own format (never a pickle)
model.json       the card: recipe, features, cut-off, lineage
record.parquet   the walk-forward record: each of the last N games predicted only from games before it
state.parquet    the league on the morning of the training, from which serving computes features of games to come
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import contract as c
from pipeline.steps.arrow_memory import arrow_reader
from pipeline.steps.container import StepError
from pipeline.steps.league_state import LeagueState
from pipeline.steps.lean_xgboost import xgb
from pipeline.steps.state_file import read_state, write_state

_T = TypeVar("_T")


@dataclass(frozen=True)
class ModelCard:
    """What is known about a model: JSON beside the weights."""

    as_of_date: str  # the morning on which it was trained
    trained_before: str  # first day that the shipped weights have not seen
    n_games: int
    first_season: int
    fingerprint: str
    code_version: str
    feature_signature: str
    features: tuple[str, ...]
    hyperparameters: Mapping[str, float]
    walk_forward_games: int
    home_win_rate: float  # of the games trained on
    xgboost_version: str

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """The card from its file's text; raises TypeError or ValueError when a field is missing or unknown."""
        fields: dict[str, Any] = json.loads(text)
        return cls(**{**fields, "features": tuple(fields["features"])})


@dataclass(frozen=True)
class Artifact:
    """A model as it was trained: weights, card, record and league state (None in artifacts of older versions)."""

    booster: xgb.Booster
    card: ModelCard
    record: pa.Table
    state: LeagueState | None = None

    @property
    def cut_off(self) -> date:
        """First day that the shipped weights have not seen."""
        return date.fromisoformat(self.card.trained_before)


def write_artifact(folder: Path, artifact: Artifact) -> None:
    """Write the files into the folder that SageMaker packs as model.tar.gz."""
    folder.mkdir(parents=True, exist_ok=True)
    artifact.booster.save_model(folder / c.MODEL_FILE)
    (folder / c.MODEL_CARD_FILE).write_text(json.dumps(asdict(artifact.card), indent=2) + "\n", encoding="utf-8")
    pq.write_table(artifact.record, folder / c.RECORD_FILE)
    if artifact.state:
        write_state(folder / c.STATE_FILE, artifact.state)


def read_artifact(archive: Path) -> Artifact:
    """Read model.tar.gz by its members' names, in memory: nothing of a foreign archive is unpacked to disk.

    Raises StepError when the archive is unreadable or lacks one of the files (the state may be missing).
    """
    try:
        # Whole, so that its checksum is compared before XGBoost, which some damaged models crash, sees any of it.
        content = gzip.decompress(archive.read_bytes())
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            return _artifact(lambda name: _member(tar, name))
    except _UNREADABLE as error:
        raise StepError(
            f"{archive.name} is not a model of this pipeline ({error}): put the approved version's artifact there again"
        ) from error


def read_unpacked(folder: Path) -> Artifact:
    """Read what `write_artifact` wrote, or SageMaker unpacked; raises StepError as `read_artifact` does."""

    def content(name: str) -> bytes | None:
        file = folder / name
        return file.read_bytes() if file.exists() else None

    try:
        return _artifact(content)
    except _UNREADABLE as error:
        raise StepError(
            f"{folder} holds no model of this pipeline ({error}): unpack a version's model.tar.gz there"
        ) from error


# XGBoost's and some of Arrow's are ValueErrors.
_UNREADABLE: Final = (OSError, EOFError, KeyError, TypeError, ValueError, tarfile.TarError, zlib.error)


def _artifact(content: Callable[[str], bytes | None]) -> Artifact:
    """The model from its files' content, None for one that is missing; raises one of _UNREADABLE."""

    def needed(name: str, parse: Callable[[bytes], _T]) -> _T:
        data = content(name)
        if data is None:
            raise ValueError(f"no {name} in it")
        return _parsed(name, data, parse)

    state = content(c.STATE_FILE)
    return Artifact(
        booster=needed(c.MODEL_FILE, _booster),
        card=needed(c.MODEL_CARD_FILE, lambda data: ModelCard.from_json(data.decode())),
        record=needed(c.RECORD_FILE, lambda data: pq.read_table(arrow_reader(data))),
        state=None if state is None else _parsed(c.STATE_FILE, state, lambda data: read_state(arrow_reader(data))),
    )


def _parsed(name: str, data: bytes, parse: Callable[[bytes], _T]) -> _T:
    try:
        if not data:  # XGBoost crashes
            raise ValueError("it is empty")
        return parse(data)
    except _UNREADABLE as error:
        raise ValueError(f"{name} cannot be read: {_first_words(error)}") from error


def _booster(data: bytes) -> xgb.Booster:
    booster = xgb.Booster()
    booster.load_model(bytearray(data))
    return booster


def _first_words(error: Exception) -> str:
    """What it says, without XGBoost's place in C++ in front of it and its stack trace behind it."""
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]}"
    return re.sub(r"^\[[\d:]+\] \S+: ", "", str(error).partition("\n")[0])


def _member(tar: tarfile.TarFile, name: str) -> bytes | None:
    for spelling in (name, f"./{name}"):
        try:
            stream = tar.extractfile(spelling)
        except KeyError:
            continue
        if stream is not None:
            return stream.read()
    return None
