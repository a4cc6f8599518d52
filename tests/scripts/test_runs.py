"""`python -m scripts.runs` on local stores: small ones written here, and what real runs leave."""

from __future__ import annotations

import html
import json
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from click.testing import CliRunner, Result

from pipeline.contract.history.versions import Service
from pipeline.local.local_deployment import ARTIFACT_BUCKET, MODEL_PACKAGE_GROUP
from pipeline.local.store.history import HISTORY_FILE, note_run
from pipeline.local.store.local_champion import promote
from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.run_record import RunFailure, RunResult, StepResult, record_path, save_run
from pipeline.local.store.store import Store
from scripts.history.figures import in_service
from scripts.history.page import with_services
from scripts.review_model import main as review
from scripts.runs import main

DAY = 86_400.0
START = 1_740_000_000.0  # 2025-02-19
REASON = "log loss 0.70 is above <b>0.68</b>"


def processing(name: str, channel: str, uri: str) -> StepResult:
    outputs = [{"OutputName": channel, "S3Output": {"S3Uri": uri}}]
    properties = {"ProcessingOutputConfig": {"Outputs": outputs}}
    return StepResult(name, "Processing", "Succeeded", 1.0, 3.5, job_name=f"job-{name}", properties=properties)


def evaluation(loss: float, champion: float | None) -> dict[str, Any]:
    return {
        "rows": "trips",
        "primary_metric": "mae",
        "metric_words": {"mae": {"label": "mean absolute error"}},
        "metrics": {
            "candidate": {"mae": loss},
            "champion": None if champion is None else {"mae": champion},
            "baseline": {"mae": 9.0},
        },
        "reason": "good enough",
    }


def new_run(
    store: Store, n: int, *, status: str = "Succeeded", has_new_data: bool = True, version: bool = False
) -> RunResult:
    """A run of the n-th day, with the files that an entry is made of."""
    run_id, base = f"{n:012x}", f"s3://{ARTIFACT_BUCKET}/runs/{n:012x}"
    data = {"first_date": "2020-01-01", "last_labelled_date": f"2025-02-{n % 28 + 1:02}", "n_labelled": 1_000 + n}
    prepared = {"data": data, "data_fingerprint": f"{n:064x}", "fingerprint": "f", "reason": "nothing new"}
    store.write_json(store.object_path(f"{base}/report/prepared.json"), prepared)
    steps = [processing("Prepare", "report", f"{base}/report")]
    steps.append(StepResult("HasNewData", "Condition", "Succeeded", outcome=has_new_data))
    if has_new_data:
        store.write_json(store.object_path(f"{base}/evaluation/evaluation.json"), evaluation(8 - n / 100, 8.5))
        store.write(store.object_path(f"{base}/evaluation/report.html"), b"report")
        steps.append(processing("Evaluate", "evaluation", f"{base}/evaluation"))
    if version:
        store.write(store.object_path(f"{base}/model.tar.gz"), b"weights")
        container = {"Image": "image", "ModelDataUrl": f"{base}/model.tar.gz"}
        request = {"ModelPackageGroupName": MODEL_PACKAGE_GROUP, "InferenceSpecification": {"Containers": [container]}}
        package = LocalRegistry(store).register(request, f"execution/{run_id}")
        steps.append(StepResult("Register", "RegisterModel", "Succeeded", properties=package))
    run = RunResult(
        run_id,
        "p",
        "d" * 64,
        {"CodeVersion": f"code{n // 2}", "GitRevision": f"git{n // 2}"},
        {"TriggerReason": "schedule", "MaxDepth": 2 + n // 3},
        START + n * DAY,
        status,
        START + n * DAY + 65,
        steps=tuple(steps),
        failure=RunFailure("QualityGateFailed", REASON) if status == "Failed" else None,
        started_by="ann",
    )
    save_run(store, run)
    return run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Four runs: registered and approved, nothing new, failed, champion kept. The second has no line."""
    store = Store(tmp_path / "store #1 100%41")
    for n, given in enumerate(({"version": True}, {"has_new_data": False}, {"status": "Failed"}, {})):
        run = new_run(store, n, **given)  # type: ignore[arg-type] # keyword arguments of one kind each
        if n != 1:
            note_run(store, run)
    LocalRegistry(store).set_approval(MODEL_PACKAGE_GROUP, 1, "Approved", "better <i>each</i> month")
    promote(store, MODEL_PACKAGE_GROUP, ARTIFACT_BUCKET)
    return store


def invoke(store: Store, *arguments: str, command: Any = main) -> Result:
    done = CliRunner().invoke(command, [*arguments, "--store", str(store.root)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def listed(store: Store, *arguments: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(invoke(store, "list", "--json", *arguments).stdout)
    return rows


def test_the_list_says_when_why_what_and_who(store: Store) -> None:
    rows = listed(store)
    assert [row["decision"] for row in rows] == ["champion-kept", "failed", "no-new-data", "registered"]
    last = rows[-1]
    assert (last["trigger"], last["started_by"], last["duration"], last["cost_usd"]) == ("schedule", "ann", 65, None)
    assert (last["loss"], last["candidate_loss"], last["champion_loss"]) == ("mean absolute error", 8.0, 8.5)
    assert (last["version"], last["approval"]["approved"]) == (1, True)
    assert last["approval"]["reason"] == "better <i>each</i> month"
    assert last["approval"]["by"]
    assert last["data"]["n_rows"] == 1_000
    assert rows[1]["reason"] == REASON
    assert rows[2]["reason"] == "nothing new"
    assert [list(row["changed"]) for row in rows] == [["data", "parameters"], ["data", "code"], ["data"], []]
    text = invoke(store, "list").stdout
    assert "1 approved" in text
    assert len(text.splitlines()) == 5


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--status", "Failed"], [2]),
        (["--decision", "no-new-data"], [1]),
        (["--since", "2025-02-21"], [3, 2]),
        (["--limit", "1"], [3]),
        (["--since", "1d"], []),
    ],
)
def test_filters(store: Store, arguments: list[str], found: list[int]) -> None:
    assert [int(row["run_id"], 16) for row in listed(store, *arguments)] == found


def test_one_run_and_two(store: Store) -> None:
    shown = invoke(store, "show", f"{2:012x}").stdout
    for expected in ("Failed in QualityGateFailed", REASON, "ann (trigger: schedule)", "1 min 5 s", "1,002 trips"):
        assert expected in shown
    assert "code: git git0 -> git git1" in shown
    compared = invoke(store, "compare", f"{0:012x}", f"{3:012x}").stdout
    assert "parameters: MaxDepth 2 -> 3" in compared
    as_json = json.loads(invoke(store, "compare", f"{0:012x}", f"{3:012x}", "--json").stdout)
    assert list(as_json["changed"]) == ["data", "code", "parameters"]
    assert as_json["first"]["report"].endswith("evaluation/report.html")


def test_refusals(store: Store, tmp_path: Path) -> None:
    unknown = invoke(store, "show", "nosuch")
    assert (unknown.exit_code, "newest runs: 000000000003 (Succeeded)" in unknown.stderr) == (2, True)
    several = invoke(store, "show", "0000")
    assert (several.exit_code, "several runs begin with 0000" in several.stderr) == (2, True)
    for since in ("soon", "999999999d", "2025-13-01"):
        assert invoke(store, "list", "--since", since).exit_code == 2
    empty = CliRunner().invoke(main, ["list", "--store", str(tmp_path)])
    assert (empty.exit_code, "is no store of local runs" in empty.stderr) == (2, True)


def test_damage_is_named_and_blocks_only_itself(store: Store) -> None:
    """A line, the record of a run with a line, and that of a run without."""
    with (store.root / HISTORY_FILE).open("a") as file:
        file.write('{"run_id": "cut by a power fail')
    for n in (1, 3):
        record_path(store, f"{n:012x}").write_text("{")
    done = invoke(store, "list", "--json")
    assert [int(row["run_id"], 16) for row in json.loads(done.stdout)] == [3, 2, 0]
    assert "history.jsonl, line 4 is damaged" in done.stderr
    assert f"{record_path(store, f'{1:012x}')} is damaged" in done.stderr
    note_run(store, new_run(store, 7))
    assert next(row["run_id"] for row in listed(store)) == f"{7:012x}", "appended after the line that was cut"


def test_a_damaged_result_hides_what_it_said_and_not_the_run(store: Store) -> None:
    store.write(
        store.object_path(f"s3://{ARTIFACT_BUCKET}/runs/{1:012x}/report/prepared.json"), b'{"data": {"n_labelled": 1}}'
    )
    assert [row["data"] for row in listed(store) if row["run_id"] == f"{1:012x}"] == [None]


def test_records_of_an_earlier_release_are_listed(store: Store) -> None:
    """Without who started it, without lines, and versions without who approved them."""
    (store.root / HISTORY_FILE).unlink()
    (store.root / "registry" / f".{MODEL_PACKAGE_GROUP}.history.jsonl").unlink()
    for path in [*store.root.glob("runs/*/run.json"), *store.root.glob("registry/*/1.json")]:
        content = json.loads(path.read_text())
        content.pop("started_by", None)
        content.pop("LastModifiedBy", None)
        path.write_text(json.dumps(content))
    rows = listed(store)
    assert [row["started_by"] for row in rows] == ["", "", "", ""]
    approval = {"approved": True, "by": "", "at": 0, "reason": "better <i>each</i> month"}
    assert rows[-1]["approval"] | {"at": 0} == approval
    assert "by whom is not known" in invoke(store, "history", command=review).stdout


def test_which_version_was_in_service(store: Store) -> None:
    new_run(store, 4, version=True)
    for arguments in (
        ("approve", "--version", "2", "--reason", "more"),
        ("reject", "--version", "2", "--reason", "no"),
    ):
        assert invoke(store, *arguments, command=review).exit_code == 0
    found = json.loads(invoke(store, "history", "--json", command=review).stdout)
    assert [service["version"] for service in found] == [1, 2, 1]
    assert all(service["approved"]["by"] for service in found)
    assert found[1]["left"].endswith("no; version 1 followed")
    assert found[2]["until"] is None
    text = invoke(store, "history", command=review).stdout
    assert text.startswith("version 1: ")
    assert "until now" in text.splitlines()[0]
    first = datetime.fromtimestamp(found[0]["since"] + 0.0001, UTC).isoformat()
    assert invoke(store, "history", "--at", first, command=review).stdout.count("version 1: ") == 1
    assert "no version was in service" in invoke(store, "history", "--at", "2025-01-01", command=review).stdout


def test_the_history_is_that_of_the_records(store: Store) -> None:
    """What a line keeps and what the record still says are one."""
    before = [{**row, "alarms": []} for row in listed(store)]
    (store.root / HISTORY_FILE).unlink()
    assert listed(store) == before
    assert asdict(new_run(store, 9))["started_by"] == "ann"


def test_the_page_has_all_loads_nothing_and_every_run_leads_to_its_own_report(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "pages" / "runs.html"
    done = invoke(store, "report", "--output", str(path))
    assert done.stdout.strip() == str(path)
    page = path.read_text(encoding="utf-8")
    assert html.escape(REASON) in page
    assert "better &lt;i&gt;each&lt;/i&gt; month" in page
    assert not re.search(r"<script|<b>|<i>each|src=|@import|url\((?!#)|href=\"https?:", page)
    assert page.count('<svg class="figure"') == 3
    for title in ("Mean absolute error of candidate and champion by run", "Versions in service"):
        assert f'aria-label="{title}"' in page
    rows = dict(re.findall(r'<tr id="run-(\w+)".*?<a href="([^"]+)"', page))
    assert rows.keys() == {f"{n:012x}" for n in range(4)}
    for run_id, link in rows.items():
        assert (path.parent / unquote(urlsplit(link).path)).is_file()
        assert run_id in link


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("days", [0.2, 3.1, 1500])
def test_the_picture_of_versions_ends_with_what_followed_the_newest_run(days: float) -> None:
    """A version is approved when its run has ended: its bar would begin behind the picture, and go backwards."""
    last = START + days * DAY
    served = [Service(1, START, last + 50, None, ""), Service(2, last + 50, None, None, "")]
    span = with_services((START, last), served)
    assert span == (START, last + 50)
    assert with_services((START, last + 99), served) == (START, last + 99)
    assert in_service(served, span, "t")


def test_a_reason_that_is_no_text_is_kept_as_one_that_a_page_can_show(store: Store) -> None:
    """A byte of another encoding, and a line break: as the registry in AWS would keep it."""
    done = invoke(store, "reject", "--version", "1", "--reason", "wrong \udcff\nafter all", command=review)
    assert done.exit_code == 0
    assert invoke(store, "report").exit_code == 0
    assert "wrong after all" in (store.root / "runs.html").read_text(encoding="utf-8")


def test_a_page_of_one_run_that_read_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert "no run in" in invoke(store, "report").stderr
    note_run(store, RunResult("a1", "p", "d", {}, {}, START, "Stopped", START + 1))
    assert invoke(store, "report").exit_code == 0
    assert "No run has got so far" in (store.root / "runs.html").read_text()
