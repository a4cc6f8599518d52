"""Which version is the champion, whatever happened in whatever order."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.promotion import champion_metadata, choose_champion


def package(version: int, status: str, modified: str | None = None) -> dict[str, Any]:
    return {
        "ModelPackageVersion": version,
        "ModelPackageArn": f"arn:{version}",
        "ModelApprovalStatus": status,
        "CreationTime": f"2025-01-{version:02d}",
        **({"LastModifiedTime": modified} if modified else {}),
        "CustomerMetadataProperties": {"log_loss": "0.62"},
    }


def test_none_without_an_approval() -> None:
    assert choose_champion([]) is None
    assert choose_champion([package(1, "PendingManualApproval"), package(2, "Rejected", "2025-02-01")]) is None


def test_last_approval_wins_and_rejecting_it_falls_back() -> None:
    first, second = package(1, "Approved", "2025-02-01"), package(2, "Approved", "2025-02-02")
    assert choose_champion([first, second]) is second
    assert choose_champion([{**first, "LastModifiedTime": "2025-02-03"}, second])["ModelPackageVersion"] == 1  # type: ignore[index]
    assert choose_champion([first, package(2, "Rejected", "2025-02-04")]) is first


statuses = st.sampled_from(["Approved", "Rejected", "PendingManualApproval"])


@given(st.lists(statuses, max_size=6), st.randoms())
def test_order_does_not_matter_and_only_approved_versions_win(given_statuses: list[str], random: Any) -> None:
    packages = [package(n, status, f"2025-02-{n:02d}") for n, status in enumerate(given_statuses, start=1)]
    shuffled = list(packages)
    random.shuffle(shuffled)
    chosen = choose_champion(packages)
    assert chosen == choose_champion(shuffled)
    assert (chosen is None) is ("Approved" not in given_statuses)
    assert chosen is None or chosen["ModelApprovalStatus"] == "Approved"


def test_metadata_names_version_and_its_own_artifact() -> None:
    metadata = champion_metadata(package(3, "Approved", "2025-02-01"))
    assert (metadata["version"], metadata["artifact"]) == (3, "3/model.tar.gz")
    assert metadata["lineage"] == {"log_loss": "0.62"}
