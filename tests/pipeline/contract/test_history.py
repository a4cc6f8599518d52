"""Entries of runs, what differs between two, and which version was in service when."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from pipeline.contract.history import runs, versions
from pipeline.contract.history.runs import DataWindow, RunEntry, changes, decision_of, read_entries, with_results
from pipeline.contract.history.versions import IN_SERVICE, VersionEvent, new_events, services

WINDOW = DataWindow("2020-01-01", "2025-02-28", 1_000, "aaaaaaaaaa")
RUN = RunEntry(
    "r1", "Succeeded", 10.0, 20.0, data=WINDOW, code="c1", git="g1", definition="d1", parameters={"MaxDepth": "2"}
)


def test_an_entry_survives_its_line() -> None:
    run = replace(RUN, alarms=("late",), seconds={"Train": 1.5})
    assert read_entries(run.line, "f") == ({"r1": run}, [])
    later = json.dumps({**run.as_json(), "of_a_later_release": 1})
    assert read_entries(later, "f")[0] == {"r1": run}


def test_the_last_line_of_a_run_counts_and_a_damaged_one_blocks_only_itself() -> None:
    text = replace(RUN, status="Failed").line + '{"run_id": "r2"\n[]\n{"run_id": "r3"}\n\n' + RUN.line
    entries, faults = read_entries(text, "history.jsonl")
    assert entries == {"r1": RUN}
    assert [fault.split(" is damaged")[0] for fault in faults] == [f"history.jsonl, line {n}" for n in (2, 3, 4)]


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: None} for name in ("run_id", "status", "started_at", "reason", "trigger", "parameters", "seconds")),
        *(
            {name: "x"}
            for name in ("started_at", "ended_at", "version", "candidate_loss", "parameters", "seconds", "data")
        ),
        *({name: 3} for name in ("decision", "code", "report", "alarms", "as_of_date")),
        *({"started_at": value} for value in (1e300, float("nan"), -1)),
        {"seconds": {"Train": "x"}},
        {"data": {"first_date": "2020-01-01", "last_date": "2025-02-28", "n_rows": "x"}},
    ],
    ids=str,
)
def test_a_line_with_another_kind_of_value_is_damaged_and_not_what_reads_it(wrong: dict[str, Any]) -> None:
    entries, faults = read_entries(json.dumps({**RUN.as_json(), **wrong}) + "\n" + replace(RUN, run_id="r2").line, "f")
    assert [*entries] == ["r2"]
    assert [fault.split(" is damaged")[0] for fault in faults] == ["f, line 1"]


def test_events_of_versions_are_read_as_strictly() -> None:
    event = VersionEvent(IN_SERVICE, 1, 10.0)
    lines = [json.dumps({**asdict(event), **other}) for other in ({}, {"later": 1}, {"at": "x"}, {"by": None})]
    found, faults = versions.read_events("\n".join(lines), "f")
    assert (found, len(faults)) == ([event, event], 2)


@pytest.mark.parametrize(
    ("status", "registered", "news", "decision"),
    [
        ("Failed", False, True, "failed"),
        ("Stopped", False, None, None),
        ("Executing", False, None, None),
        ("Succeeded", True, True, "registered"),
        ("Succeeded", False, True, "champion-kept"),
        ("Succeeded", False, False, "no-new-data"),
    ],
)
def test_decisions(status: str, registered: bool, news: bool | None, decision: str | None) -> None:
    assert decision_of(status, registered=registered, has_new_data=news) == decision


def test_what_changed_is_said_where_both_know_it() -> None:
    assert changes(RUN, RUN) == {}
    window = replace(WINDOW, n_rows=1_010, last_date="2025-03-01", fingerprint="bbbbbbbbbb")
    other = replace(RUN, data=window, code="c2", git="g2", definition="d2", parameters={"MaxDepth": "3", "New": "1"})
    assert changes(RUN, other) == {
        "data": "1,000 rows to 2025-02-28 (aaaaaaaa) -> 1,010 rows to 2025-03-01 (bbbbbbbb)",
        "code": "git g1 -> git g2",
        "definition": "d1 -> d2",
        "parameters": "MaxDepth 2 -> 3, New default -> 1",
    }
    assert list(changes(RUN, replace(RUN, data=replace(WINDOW, fingerprint="cccc")))) == ["data"], "corrected rows"
    assert changes(RUN, replace(RUN, data=replace(WINDOW, fingerprint=None))) == {}, "an older record has no digest"
    assert changes(RUN, replace(RUN, data=None, code=None, definition=None)) == {}


def test_results_of_a_run_without_an_evaluation() -> None:
    prepared = {
        "reason": "nothing new",
        "as_of_date": "2025-03-01",
        "fingerprint": "f",
        "data_fingerprint": "aaaaaaaaaa",
        "code_version": "c9",
        "data": {"first_date": "2020-01-01", "last_labelled_date": "2025-02-28", "n_labelled": 1_000},
    }
    entry = RunEntry("r", "Succeeded", 0.0, decision="no-new-data")
    found = with_results(entry, prepared, None, {"rows": "trips", "alarms": [{"what": "late data"}]})
    assert (found.data, found.reason, found.code) == (WINDOW, "nothing new", "c9")
    assert (found.rows, found.alarms, found.candidate_loss) == ("trips", ("late data",), None)
    failed = {"failure": "KeyError: 'x'", "summary": "the monitor could not be computed (KeyError: 'x')"}
    assert with_results(entry, prepared, None, failed).alarms == (failed["summary"],)
    assert with_results(entry, None, None, None) == entry
    damaged = {**prepared, "data": {**prepared["data"], "n_labelled": "x"}}  # type: ignore[dict-item]
    assert with_results(entry, damaged, None, None) == with_results(entry, {**prepared, "as_of_date": 3}, None, None)
    assert with_results(entry, damaged, None, None) == entry


# --- versions ---------------------------------------------------------------------------------------------------------


def package(version: int, status: str, at: float, *, by: str = "ann", why: str = "", approval_id: str = "") -> Any:
    return {
        "ModelPackageVersion": version,
        "ModelApprovalStatus": status,
        "CreationTime": 1.0,
        "LastModifiedTime": at,
        "LastModifiedBy": {"UserProfileName": by},
        "ApprovalDescription": why,
        "CustomerMetadataProperties": {"approval_id": approval_id} if approval_id else {},
    }


def story(*looks: tuple[list[Any], int | None, float]) -> list[VersionEvent]:
    events: list[VersionEvent] = []
    for packages, in_service, now in looks:
        events += new_events(events, packages, in_service, now)
        assert new_events(events, packages, in_service, now + 1) == [], "to look again changes nothing"
    return events


def test_a_roll_back_and_a_rejection() -> None:
    first, second = package(1, "Approved", 10.0, why="ok", approval_id="1-a"), package(2, "PendingManualApproval", 11.0)
    approved = package(2, "Approved", 20.0, by="bob", why="better", approval_id="2-b")
    back = package(1, "Approved", 30.0, by="eve", why="back", approval_id="3-c")
    events = story(
        ([first, second], 1, 12.0),
        ([first, approved], 2, 21.0),
        ([back, approved], 1, 31.0),
        ([package(1, "Rejected", 40.0, by="eve", why="wrong"), approved], 2, 41.0),
        ([package(1, "Rejected", 40.0), package(2, "Rejected", 50.0, by="", why="")], None, 51.0),
    )
    found = services(events)
    assert [(s.version, s.since, s.until, s.approved and s.approved.by) for s in found] == [
        (1, 10.0, 21.0, "ann"),  # an existing registry: in service since the approval
        (2, 21.0, 31.0, "bob"),
        (1, 31.0, 41.0, "eve"),
        (2, 41.0, 51.0, "bob"),
    ]
    assert [s.left for s in found] == [
        "version 2 was approved by bob: better",
        "version 1 was approved by eve: back",
        "rejected by eve: wrong; version 2 followed",
        "rejected: no reason given; none followed",
    ]


def test_an_edit_is_no_decision_and_a_lost_model_says_so() -> None:
    approved = package(1, "Approved", 10.0, approval_id="1-a")
    events = story(([approved], 1, 10.0), ([{**approved, "LastModifiedTime": 99.0}], 1, 99.0), ([], None, 100.0))
    assert [event.event for event in events] == ["Approved", IN_SERVICE, IN_SERVICE]
    assert "its entry was deleted, or its model could not be used" in services(events)[0].left


def test_events_survive_their_lines_and_a_damaged_one_blocks_only_itself() -> None:
    events = story(([package(1, "Approved", 10.0)], 1, 10.0))
    text = versions.as_lines(events) + '{"event": "InService"}\n{\n[]\n'
    found, faults = versions.read_events(text, "v.jsonl")
    assert found == events
    assert len(faults) == 3
    assert faults[0].startswith("v.jsonl, line 3 is damaged")
    assert runs.HISTORY_KEY.split("/")[0] == versions.HISTORY_KEY.split("/")[0], "one prefix to grant"
