"""Which version is the champion, whatever happened in whatever order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract.names import MODEL_SHA256
from pipeline.contract.promotion import (
    APPROVAL_ID,
    Approval,
    Approvals,
    UnusablePackageError,
    approvals_as_json,
    artifact_sha256,
    artifact_uri,
    by_approval,
    champion_metadata,
    next_approval_id,
    read_approvals,
    seconds,
    update_approvals,
)

CREATED = 1_735_689_600.0


def package(version: int, status: str, modified: float | None = None, **metadata: str) -> dict[str, Any]:
    """`modified`: seconds after the creation."""
    return {
        "ModelPackageVersion": version,
        "ModelPackageArn": f"arn:{version}",
        "ModelApprovalStatus": status,
        "CreationTime": CREATED + version,
        **({"LastModifiedTime": CREATED + modified} if modified else {}),
        "InferenceSpecification": {"Containers": [{"Image": "image:1", "ModelDataUrl": f"s3://b/{version}"}]},
        "CustomerMetadataProperties": {"log_loss": "0.62", **metadata},
    }


def looks(*states: list[dict[str, Any]], **options: Any) -> tuple[int | None, dict[int, Approval]]:
    """The champion after looks at the registry, one after another, and what is recorded."""
    approvals: dict[int, Approval] = {}
    for packages in states:
        approvals = update_approvals(approvals, packages, **options)
    return first(states[-1], approvals), approvals


def first(packages: Iterable[Mapping[str, Any]], approvals: Approvals) -> int | None:
    """The version approved last."""
    return next((package["ModelPackageVersion"] for package in by_approval(packages, approvals)), None)


def test_none_without_an_approval() -> None:
    assert looks([])[0] is None
    assert looks([package(1, "PendingManualApproval"), package(2, "Rejected", 30)])[0] is None


def test_last_approval_wins_and_rejecting_it_falls_back() -> None:
    first, second = package(1, "Approved", 10), package(2, "Approved", 20)
    assert looks([first, second])[0] == 2
    assert looks([first, package(2, "Rejected", 30)])[0] == 1
    assert looks([first, second], [first, package(2, "Rejected", 30)])[0] == 1


def test_an_edit_of_an_older_version_is_no_approval() -> None:
    second = package(2, "Approved", 20)
    assert (
        looks([package(1, "Approved", 10), second], [package(1, "Approved", 30, note="looked again"), second])[0] == 2
    )
    marked = package(1, "Approved", 10, **{APPROVAL_ID: "a"})
    assert looks([marked, second], [package(1, "Approved", 30), second])[0] == 2, "the id was removed"


def test_a_roll_back_by_the_command_is_seen_although_nothing_but_its_id_changed() -> None:
    first, second = package(1, "Approved", 10, **{APPROVAL_ID: "a"}), package(2, "Approved", 20, **{APPROVAL_ID: "b"})
    again = package(1, "Approved", 30, **{APPROVAL_ID: "c"})
    assert looks([first, second], [again, second])[0] == 1


def test_counted_approvals_keep_their_order_although_the_first_was_edited_before_anybody_looked() -> None:
    first = package(1, "Approved", 90, **{APPROVAL_ID: next_approval_id([])})
    second = package(2, "Approved", 20, **{APPROVAL_ID: next_approval_id([first])})
    assert looks([first, second])[0] == 2
    third = package(3, "Approved", 10, **{APPROVAL_ID: next_approval_id([second, first, package(4, "Rejected")])})
    assert looks([first, second, third])[0] == 3


def test_of_two_counted_approvals_found_at_once_the_version_of_the_higher_count_is_the_last() -> None:
    second = package(2, "Approved", 90, **{APPROVAL_ID: "9-a"})
    assert looks([package(1, "Approved", 20, **{APPROVAL_ID: "10-b"}), second])[0] == 1


def test_the_count_of_approvals_goes_on() -> None:
    counted = package(1, "Approved", **{APPROVAL_ID: "2-a-b"})
    uncounted = {**package(2, "Approved"), "CustomerMetadataProperties": {}}
    bare = {name: value for name, value in uncounted.items() if name != "CustomerMetadataProperties"}
    for packages, number in (([], 1), ([uncounted, bare], 1), ([counted, uncounted], 3)):
        assert next_approval_id(packages).partition("-")[0] == str(number)


def test_what_is_recorded_of_a_version() -> None:
    waiting, approved = package(1, "PendingManualApproval"), package(1, "Approved", 20, **{APPROVAL_ID: "1-a"})
    seen = Approval(CREATED + 1, approved=True, at=CREATED + 20, id="1-a", arn="arn:1")
    rejected = replace(seen, approved=False, id="")
    assert looks([waiting])[1] == {1: replace(rejected, at=0.0)}
    assert looks([waiting], [approved])[1] == looks([approved], [approved])[1] == {1: seen}
    assert looks([approved], [package(1, "Rejected", 30)])[1] == {1: rejected}
    later = replace(seen, at=CREATED + 20.001)
    assert looks([approved], [package(1, "Rejected", 30)], [approved])[1] == {1: later}
    assert looks([package(1, "Approved")])[1] == {1: replace(seen, at=CREATED + 1, id="")}


def test_a_moment_of_1970_is_a_time_as_any_other() -> None:
    first_day = {**package(1, "Approved"), "CreationTime": 0, "LastModifiedTime": 0.5}
    assert looks([first_day], [first_day])[1][1].at == 0.5


def test_an_event_tells_of_a_roll_back_and_a_repeated_one_of_nothing() -> None:
    packages = [package(1, "Approved", 10), package(2, "Approved", 20)]
    _, approvals = looks(packages)
    for time, champion in ((10.0, 2), (30.0, 1)):
        renewed = update_approvals(approvals, packages, renewed={1: CREATED + time})
        assert first(packages, renewed) == champion


def test_a_clock_that_was_set_back_moves_nothing() -> None:
    waiting = [package(1, "Approved", 500), package(2, "PendingManualApproval")]
    assert looks(waiting, [package(1, "Approved", 500), package(2, "Approved", 100)])[0] == 2


def test_a_late_look_at_an_earlier_approval_does_not_make_it_the_last() -> None:
    """A list that lags behind: version 1 is seen after version 2, and was approved before it."""
    assert looks([package(2, "Approved", 20)], [package(1, "Approved", 10), package(2, "Approved", 20)])[0] == 2


def test_where_nothing_is_recorded_the_version_in_use_stays() -> None:
    packages = [package(1, "Approved", 30), package(2, "Approved", 20)]
    assert looks(packages, in_use=2)[0] == 2
    assert looks(packages, in_use=7)[0] == 1
    counted = [package(1, "Approved", 30, **{APPROVAL_ID: "1-a"}), package(2, "Approved", 40, **{APPROVAL_ID: "2-b"})]
    assert looks(counted, counted, in_use=1)[0] == 1, "nor does a look at what is known already move it"
    assert looks([package(1, "Approved", 30), package(2, "Rejected", 40)], in_use=2)[0] == 1


def test_a_version_of_a_group_that_was_made_again_is_another_version() -> None:
    old = package(1, "Approved", 900, **{APPROVAL_ID: "a"})
    new = {**package(1, "Approved", 20, **{APPROVAL_ID: "a"}), "CreationTime": CREATED + 10}
    _, approvals = looks([old], [new])
    assert approvals[1].at == CREATED + 20


statuses = st.sampled_from(["Approved", "Rejected", "PendingManualApproval"])
EDIT, decisions = 0, st.lists(st.tuples(st.integers(1, 4), st.one_of(statuses, st.just("edit")), st.integers(-50, 50)))


@given(decisions)
def test_looked_at_after_each_decision_the_champion_is_the_last_approved_whatever_the_clock(
    history: list[tuple[int, str, int]],
) -> None:
    state = {version: package(version, "PendingManualApproval") for version in range(1, 5)}
    approvals = update_approvals({}, state.values())
    order: list[int] = []
    for number, (version, what, clock) in enumerate(history):
        before = state[version]
        status = before["ModelApprovalStatus"] if what == "edit" else what
        marks = dict(before["CustomerMetadataProperties"])
        if what == "Approved":
            marks[APPROVAL_ID] = str(number)
        state[version] = package(version, status, 100.0 + clock, **marks)
        if what != "edit":
            order = [v for v in order if v != version] + ([version] if what == "Approved" else [])
        approvals = update_approvals(read_approvals(approvals_as_json(approvals)), state.values())
        assert first(state.values(), approvals) == (order[-1] if order else None)


@given(st.lists(statuses, max_size=6), st.randoms())
def test_order_does_not_matter_and_only_approved_versions_win(given_statuses: list[str], random: Any) -> None:
    packages = [package(n, status, n) for n, status in enumerate(given_statuses, start=1)]
    shuffled = list(packages)
    random.shuffle(shuffled)
    assert looks(packages) == looks(shuffled)
    assert (looks(packages)[0] is None) is ("Approved" not in given_statuses)


def test_metadata_of_the_champion() -> None:
    expected = {
        "version": 3,
        "artifact": "3/model.tar.gz",
        "sha256": "digest",
        "model_package_arn": "arn:3",
        "approval_reason": "better",
        "lineage": {"image": "image:1", "log_loss": "0.62", MODEL_SHA256: "digest"},
    }
    approved = {**package(3, "Approved", 20, **{APPROVAL_ID: "a", MODEL_SHA256: "digest"})}
    assert champion_metadata({**approved, "ApprovalDescription": "better"}) == expected
    del approved["CustomerMetadataProperties"]
    bare = {**approved, "InferenceSpecification": {"Containers": [{}]}}
    nothing = {"sha256": None, "approval_reason": "", "lineage": {"image": ""}}
    assert champion_metadata(bare) == expected | nothing
    assert artifact_sha256(bare) is None


SOURCE = {"S3Uri": "s3://b/m.tar.gz", "S3DataType": "S3Object", "CompressionType": "Gzip"}


@pytest.mark.parametrize(
    ("specification", "why"),
    [
        (None, "no container"),
        ({"Containers": []}, "no container"),
        ({"Containers": [{"Image": "i"}, {"Image": "j"}]}, "2 containers"),
        ({"Containers": [{"Image": "i"}]}, "names no model.tar.gz"),
        ({"Containers": [{"ModelDataSource": {"S3DataSource": {**SOURCE, "S3DataType": "S3Prefix"}}}]}, "a folder"),
        ({"Containers": [{"ModelDataSource": {"S3DataSource": {**SOURCE, "CompressionType": "None"}}}]}, "a folder"),
        ({"Containers": [{"ModelDataUrl": "https://h/m.tar.gz"}]}, "not in S3"),
    ],
)
def test_a_package_without_a_model_archive_says_why(specification: Any, why: str) -> None:
    strange = {**package(1, "Approved"), "InferenceSpecification": specification}
    with pytest.raises(UnusablePackageError, match=why):
        artifact_uri(strange)


def test_a_model_data_source_may_name_the_archive() -> None:
    one = {"Containers": [{"ModelDataSource": {"S3DataSource": SOURCE}}]}
    assert artifact_uri({**package(1, "Approved"), "InferenceSpecification": one}) == "s3://b/m.tar.gz"


def test_the_url_of_an_archive_counts_before_another_source() -> None:
    both = {"ModelDataUrl": "s3://b/1", "ModelDataSource": {"S3DataSource": {**SOURCE, "S3DataType": "S3Prefix"}}}
    assert artifact_uri({**package(1, "Approved"), "InferenceSpecification": {"Containers": [both]}}) == "s3://b/1"


def test_numbers_above_100_billion_are_milliseconds() -> None:
    assert (seconds(100_000_000_000), seconds(100_000_000_001)) == (100_000_000_000, 100_000_000.001)


def test_times_as_the_service_its_events_and_the_store_write_them() -> None:
    moment = datetime(2025, 3, 1, 6, tzinfo=UTC)
    for written in (
        moment,
        "2025-03-01T06:00:00Z",
        "2025-03-01T06:00:00.000Z",
        1740808800000,
        1740808800,
        "1740808800",
        "1740808800.0",
    ):
        assert seconds(written) == moment.timestamp()


SEEN = {"created": 1.0, "approved": True, "at": 2.0}


@pytest.mark.parametrize(
    "text",
    [{"1": 3}, {"1": {"created": 1}}, {"one": {}}, {"1": {**SEEN, "created": []}}, {"1": {**SEEN, "at": []}}],
)
def test_a_damaged_record_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match=r"record of approvals|invalid literal"):
        read_approvals(text)
