"""The report of a change: its parts, and the one comment on a pull request of a GitHub that is emulated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from scripts import change_report
from scripts.change_report import MARK, Section, comment, cost_table, markdown
from scripts.cloud.connection import CommandError


class GitHub(BaseHTTPRequestHandler):
    """The comments of pull request 12 of own/repo."""

    comments: list[dict[str, Any]]

    def answer(self, status: int, body: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def asked(self) -> dict[str, Any]:
        return dict(json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}"))

    def do_GET(self) -> None:
        if self.headers["Authorization"] != "Bearer token":
            return self.answer(401, {"message": "Bad credentials"})
        page = re.fullmatch(r"/repos/own/repo/issues/12/comments\?per_page=100&page=(\d+)", self.path)
        assert page
        start = 100 * (int(page[1]) - 1)
        return self.answer(200, self.comments[start : start + 100])

    def do_POST(self) -> None:
        assert self.path == "/repos/own/repo/issues/12/comments"
        self.comments.append({"id": len(self.comments), "user": {"type": "Bot"}, **self.asked()})
        self.answer(201, self.comments[-1])

    def do_PATCH(self) -> None:
        at = int(self.path.removeprefix("/repos/own/repo/issues/comments/"))
        self.comments[at].update(self.asked())
        self.answer(200, self.comments[at])

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def github() -> Iterator[dict[str, str]]:
    """What an action's environment has; comments of others are there, one of them a copy of the report."""
    others = [{"id": n, "user": {"type": "User"}, "body": MARK if n == 7 else "fine"} for n in range(120)]
    GitHub.comments = others
    server = HTTPServer(("127.0.0.1", 0), GitHub)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield {"GITHUB_API_URL": url, "GITHUB_REPOSITORY": "own/repo", "GITHUB_TOKEN": "token"}
    server.shutdown()
    server.server_close()


def test_each_report_writes_over_the_one_before(github: dict[str, str]) -> None:
    for text in ("first", "second"):
        comment(github, 12, f"{MARK}\n{text}")
    assert [c["body"] for c in GitHub.comments[120:]] == [f"{MARK}\nsecond"]
    assert GitHub.comments[7]["body"] == MARK, "that of a person stays"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"GITHUB_TOKEN": ""}, "set GITHUB_TOKEN"),
        ({"GITHUB_TOKEN": "wrong"}, "401"),
        ({"GITHUB_REPOSITORY": "own/repo/../x"}, "an owner/name"),
        ({"GITHUB_API_URL": "file:///etc/"}, "an https:// address"),
    ],
)
def test_why_it_could_not_be_posted(github: dict[str, str], changed: dict[str, str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        comment({**github, **changed}, 12, MARK)
    assert len(GitHub.comments) == 120


def estimate(run: float, training: float, month: float) -> dict[str, Any]:
    return {
        "run_without_training": {"dollars": run},
        "run_with_training": {"dollars": training},
        "fixed_dollars_a_month": month,
    }


def test_costs_side_by_side() -> None:
    assert cost_table(estimate(0.005, 0.013, 7.5), estimate(0.005, 0.0145, 6.5)).splitlines()[2:] == [
        "a run with training         0.0130    0.0145   +0.0015",
        "fixed cost a month          7.5000    6.5000   -1.0000",
    ]


def test_a_report_fits_a_comment_and_ends_no_block_early() -> None:
    text = markdown("prod", "main", [Section("a", "```\n" + "x" * 90_000), Section("b", "y" * 90_000)])
    assert text.startswith(MARK)
    assert len(text) < 65_536
    assert text.count("```") == 4


def test_a_part_that_cannot_be_made_says_why_and_the_others_are_there() -> None:
    """No credentials and no such revision."""
    nowhere = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "eu-west-1"}
    done = CliRunner().invoke(change_report.main, ["--env", "dev", "--base", "no-such-revision"], env=nowhere)
    assert done.exit_code == 1
    assert [line for line in done.output.splitlines() if line.startswith("### ")] == [
        "### Resources (`cdk diff`)",
        "### Definition (`scripts.versions diff`)",
        "### Cost (`scripts.estimate_cost`)",
    ]
    assert done.output.count("could not be made:") == 3
    assert "no-such-revision is neither a file nor a git revision" in done.output
