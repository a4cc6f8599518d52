"""The champion as a step's input: champion.json, and its artifact where a version is in use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.contract import names as c
from pipeline.contract.container import StepError, read_record
from pipeline.contract.feature_layout import FeatureLayout
from pipeline.training.artifact import Artifact, read_artifact


@dataclass(frozen=True)
class Champion:
    """The approved version in use and its own artifact."""

    version: str
    artifact: Artifact


def load_champion(folder: Path) -> Champion | None:
    """The champion of the channel's folder; None where no version is in use yet.

    Raises StepError when champion.json is missing or names a version whose artifact is missing or unreadable.
    """
    metadata = read_record(folder, c.CHAMPION_FILE)
    version = metadata["version"]
    if version is None:
        return None
    artifact = folder / str(metadata.get("artifact", c.MODEL_ARCHIVE))
    if not artifact.resolve().is_relative_to(folder.resolve()):
        raise StepError(f"champion/{c.CHAMPION_FILE} names {metadata['artifact']}, which is not below champion/")
    try:
        model = read_artifact(artifact, sha256=metadata.get("sha256"))
    except StepError as error:
        raise StepError(f"champion {version}: {error} (approving version {version} again does)") from error
    return Champion(str(version), model)


def features_skip_reason(champion: Champion, feature_signature: str, layout: FeatureLayout) -> str | None:
    """Why today's code cannot score the champion, or None if it can."""
    card = champion.artifact.card
    if card.layout != layout or card.feature_signature != feature_signature:
        return (
            f"version {champion.version} was trained on other features (code {card.code_version[:12]}) "
            "than today's code computes"
        )
    return None


def as_of_skip_reason(champion: Champion, as_of: str) -> str | None:
    """Why a run of that morning (YYYY-MM-DD) cannot predict with the champion, or None if it can.

    A run of an earlier day would else be shown forecasts by weights that have seen the rows' results.
    """
    card = champion.artifact.card
    if card.as_of_date > as_of:
        return f"version {champion.version} was trained on {card.as_of_date}, after the morning of {as_of}"
    return None
