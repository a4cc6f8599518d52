"""The server as SageMaker starts it: a child process, its folders, its port; a model of a local run, promoted."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from served_model import (
    AS_OF,
    CSV,
    GAME,
    JSON,
    Answer,
    Server,
    many_games,
    predictions,
    promoted_store,
    started,
    unpack_champion,
)

from pipeline.training.model_files import write_digests


@pytest.fixture(scope="module")
def store(root: Path, tmp_path_factory: pytest.TempPathFactory, new_store: Callable[[Path], Path]) -> Path:
    folder = tmp_path_factory.mktemp("served")
    return promoted_store(root, folder, new_store(folder / "store"))


@pytest.fixture(scope="module")
def ml(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ml")
    unpack_champion(store, folder / "model")
    return folder


@pytest.fixture(scope="module")
def server(root: Path, ml: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("log") / "log"
    with started(root, log, SAGEMAKER_BASE_DIR=str(ml), MODEL_VERSION="1", STALE_AFTER_DAYS="100000") as one:
        yield one
        assert "Traceback" not in log.read_text()


def test_ping(server: Server) -> None:
    assert (server.request("GET", "/ping").status, server.request("GET", "/ping").body) == (200, b"")


def test_every_game_is_served_as_predict_wrote_it(server: Server, store: Path) -> None:
    predicted = predictions(store)
    assert {row["model"] for row in predicted} == {"champion"}
    games = [{name: row[name] for name in ("game_id", "date", "home_team", "away_team")} for row in predicted]
    answer = server.ask(*games)
    assert (answer.status, answer.headers["content-type"]) == (200, JSON)
    served = answer.json["predictions"]
    assert len(served) > 50
    assert [round(row["home_win_probability"], 4) for row in served] == [
        float(row["home_win_probability"]) for row in predicted
    ]
    assert [row["game_id"] for row in served] == [row["game_id"] for row in predicted]
    one = server.ask(games[-1]).json["predictions"][0]["home_win_probability"]
    assert one == pytest.approx(served[-1]["home_win_probability"], abs=1e-9)


def test_version_state_and_age_stand_beside_the_probabilities(server: Server) -> None:
    answer = server.ask(GAME).json
    assert (answer["model_version"], answer["state_date"], answer["stale"]) == ("1", AS_OF, False)
    assert answer["state_age_days"] > 0


def test_csv_says_the_same_as_json(server: Server) -> None:
    table = "home_team,away_team,date,neutral_site\nSIM01,SIM02,2025-03-20,false\nSIM03,SIM04,2025-03-21,true\n"
    answer = server.request("POST", "/invocations", table, Content_Type="text/csv; charset=utf-8")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    second = {"date": "2025-03-21", "home_team": "SIM03", "away_team": "SIM04", "neutral_site": True}
    expected = [row["home_win_probability"] for row in server.ask(GAME, second).json["predictions"]]
    assert [float(row["home_win_probability"]) for row in rows] == expected
    assert (rows[0]["model_version"], rows[0]["state_date"], rows[0]["stale"]) == ("1", AS_OF, "false")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", JSON),
        ("", JSON),
        (CSV, CSV),
        ("text/*", CSV),
        ("image/png, text/csv;q=0.5, application/json;q=0.1", CSV),
        ("application/json;q=0, */*", JSON),
        ("application/json;q=0.0, text/csv", CSV),
    ],
)
def test_the_answer_has_the_type_that_is_accepted(server: Server, accept: str, kind: str) -> None:
    answer = server.ask(GAME, Accept=accept)
    assert (answer.status, answer.headers["content-type"].split(";")[0]) == (200, kind)


def test_a_type_that_nobody_writes_is_refused(server: Server) -> None:
    answer = server.ask(GAME, Accept="image/png")
    assert (answer.status, answer.reason) == (406, "Accept should be one of application/json, text/csv")


@pytest.mark.parametrize(
    "headers", [{"Content_Type": "application/xml"}, {}, {"Content_Type": "text/csv; charset=latin-1"}]
)
def test_a_type_that_nobody_reads_is_refused(server: Server, headers: dict[str, str]) -> None:
    answer = server.request("POST", "/invocations", b"x", **headers)
    assert (answer.status, bool(answer.reason)) == (415, True)
    assert server.ask(GAME, Content_Encoding="gzip").status == 415


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is not JSON"),
        (b'{"games": [', "the body is not JSON"),
        (b'{"games": []}', "there is no game"),
        (b'{"games": [{}]}', "game 1: no date"),
        (json.dumps({"games": [{**GAME, "home_team": "SIM99"}]}).encode(), "is no team of this model"),
        (json.dumps({"games": [{**GAME, "date": "2025-02-28"}]}).encode(), "before the model's state"),
        (json.dumps({"games": [{**GAME, "away_team": "SIM01"}]}).encode(), "the same team"),
        (json.dumps({"games": [{**GAME, "home_points": 99}]}).encode(), 'unknown column "home_points"'),
        (json.dumps({"games": [{**GAME, "x": 1}]}).encode(), 'unknown column "x"; the columns are date'),
    ],
)
def test_refused_with_a_reason(server: Server, body: bytes, words: str) -> None:
    answer = server.request("POST", "/invocations", body, Content_Type=JSON)
    assert answer.status == 400
    assert words in answer.reason


def test_other_paths_and_methods(server: Server) -> None:
    assert server.request("GET", "/").status == 404
    assert server.request("GET", "/invocations").status == 405
    assert "GET /ping and POST /invocations" in server.request("POST", "/predict", b"").reason


def test_a_body_may_have_four_megabytes(server: Server) -> None:
    body = json.dumps({"games": [GAME]}).encode()
    largest = body + b" " * (4 * 1024 * 1024 - len(body))
    assert server.request("POST", "/invocations", largest, Content_Type=JSON).status == 200
    with_length = server.request("POST", "/invocations", largest + b" ", Content_Type=JSON)
    in_pieces = server.request("POST", "/invocations", iter([largest, b" "]), Content_Type=JSON)
    for answer in (with_length, in_pieces):
        assert (answer.status, "4,194,304 bytes" in answer.reason) == (413, True)


def test_ten_thousand_games_and_not_one_more(server: Server) -> None:
    games = many_games(10_001)
    answer = server.ask(*games[:-1])
    assert answer.status == 200
    probabilities = [row["home_win_probability"] for row in answer.json["predictions"]]
    assert len(probabilities) == 10_000
    assert all(0 < probability < 1 for probability in probabilities)
    assert len(answer.body) < 4_000_000, "a serverless endpoint passes on no more"
    refused = server.ask(*games)
    assert (refused.status, "more than 10,000 games" in refused.reason) == (413, True)


def test_answers_do_not_depend_on_who_else_is_asking(server: Server) -> None:
    """Single games and batches from eight clients at once get what each gets alone."""
    requests = [many_games(n) for n in (1, 2_000, 3, 500)] + [[game] for game in many_games(40)[8:]]
    alone = [server.ask(*games).body for games in requests]
    with ThreadPoolExecutor(8) as clients:
        together = list(clients.map(lambda games: server.ask(*games).body, requests * 3))
    assert together == alone * 3


def test_sigterm_lets_a_request_end_and_takes_no_other(root: Path, ml: Path, tmp_path: Path) -> None:
    with started(root, tmp_path / "log", SAGEMAKER_BASE_DIR=str(ml), STALE_AFTER_DAYS="1") as server:
        answers: list[Answer] = []
        asking = threading.Thread(target=lambda: answers.append(server.ask(*many_games(10_000))))
        asking.start()
        time.sleep(0.1)  # now the batch is being sent or computed
        server.process.send_signal(signal.SIGTERM)
        asking.join()
        assert server.process.wait(timeout=30) == 0
        assert (answers[0].status, len(answers[0].json["predictions"])) == (200, 10_000)
        assert (answers[0].json["model_version"], answers[0].json["stale"]) == ("unknown", True)
        with pytest.raises(OSError):
            server.request("GET", "/ping")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"STALE_AFTER_DAYS": "a week"}, 'STALE_AFTER_DAYS "a week" is not a whole number'),
        ({"SAGEMAKER_BASE_DIR": "old"}, "carries no state.parquet: it was made before models could be served"),
    ],
)
def test_what_cannot_be_served_ends_with_one_sentence(
    root: Path, ml: Path, tmp_path: Path, environment: dict[str, str], words: str
) -> None:
    shutil.copytree(ml, tmp_path / "old")
    (tmp_path / "old" / "model" / "state.parquet").unlink()
    write_digests(tmp_path / "old" / "model")  # as Train would have: what is missing was never there
    given = {"SAGEMAKER_BASE_DIR": str(ml), "MODEL_VERSION": "3", **environment}
    if given["SAGEMAKER_BASE_DIR"] == "old":
        given["SAGEMAKER_BASE_DIR"] = str(tmp_path / "old")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.serving.server"],
        cwd=root,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert words in done.stderr


def test_the_server_starts_without_pandas(root: Path) -> None:
    """Half a second of each start, and of each cold request to a serverless endpoint."""
    check = "import sys, pipeline.serving.server, pipeline.workloads.nba.serving; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=root, check=False).returncode == 0
