"""What a change would do to a deployed environment, as Markdown for a pull request: resources, definition, cost.

python -m scripts.change_report --env prod --base origin/main
python -m scripts.change_report --env prod --base origin/main --pull-request 12        and post it (GITHUB_TOKEN)

Runs `cdk diff` against the account, `scripts.versions diff` and `scripts.estimate_cost` against the base revision.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError

import click

from scripts.cloud.connection import CommandError
from scripts.output.command_line import command

ROOT: Final = Path(__file__).resolve().parents[1]
CDK: Final = ROOT / "node_modules" / ".bin" / "cdk"
MARK: Final = "<!-- change report -->"  # by which its comment is found again
_SECTION: Final = 20_000  # characters; GitHub takes 65,536 of a comment

_PAGE: Final = 100
_SECONDS: Final = 30


@dataclass(frozen=True)
class Section:
    """A part of the report, and whether its command ran."""

    title: str
    text: str
    done: bool = True


@command
@click.option("--env", default="prod", help="Environment, as for `npx cdk deploy -c env=`.")
@click.option("--base", default="origin/main", help="Git revision that the change is compared with.")
@click.option("-c", "--context", "settings", multiple=True, metavar="KEY=VALUE", help="A setting, on both sides.")
@click.option("--pull-request", type=click.IntRange(min=1), help="Post it there, over the comment of the last time.")
def main(env: str, base: str, settings: tuple[str, ...], pull_request: int | None) -> None:
    """Report what a change would do to a deployed environment: cdk diff, the definition in words, the cost.

    With --pull-request it needs GITHUB_REPOSITORY and GITHUB_TOKEN (and GITHUB_API_URL for a server of your own). Exit
    code 0; 1 when a part could not be made, which the report says; 2 when it could not be posted.
    """
    context = [part for setting in (f"env={env}", *settings) for part in ("-c", setting)]
    sections = [resources(context), definition(base), cost(base, context)]
    text = markdown(env, base, sections)
    click.echo(text)
    if pull_request:
        comment(os.environ, pull_request, text)
    sys.exit(0 if all(section.done for section in sections) else 1)


def resources(context: Sequence[str]) -> Section:
    """What changes in the account, by templates alone: a role that may only read is enough."""
    done = _run([str(CDK), "diff", "--method", "template", "--ci", "--no-color", "--no-notices", *context])
    return _section("Resources (`cdk diff`)", done, 0)


def definition(base: str) -> Section:
    done = _run([sys.executable, "-m", "scripts.versions", "diff", base])
    return _section("Definition (`scripts.versions diff`)", done, 0, 1)  # 1: they differ


def cost(base: str, context: Sequence[str]) -> Section:
    title = "Cost (`scripts.estimate_cost`)"
    try:
        with checkout(base) as folder:
            both = [_estimate(folder, context), _estimate(ROOT, context)]
    except (OSError, subprocess.CalledProcessError) as error:
        return Section(title, f"could not be made: {base} cannot be read from git: {error}", done=False)
    if wrong := next((done for done in both if done.returncode), None):
        return _section(title, wrong, 0)
    before, after = (json.loads(done.stdout) for done in both)
    return Section(title, cost_table(before, after))


def cost_table(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Two estimates, as scripts.estimate_cost --json gives them, side by side."""

    def dollars(estimate: dict[str, Any]) -> dict[str, float]:
        return {
            "a run without training": estimate["run_without_training"]["dollars"],
            "a run with training": estimate["run_with_training"]["dollars"],
            "fixed cost a month": estimate["fixed_dollars_a_month"],
        }

    lines = [f"{'US dollars':<24}{'before':>10}{'after':>10}{'change':>10}"]
    for name, old in dollars(before).items():
        new = dollars(after)[name]
        lines.append(f"{name:<24}{old:>10.4f}{new:>10.4f}{new - old:>+10.4f}")
    return "\n".join(lines)


def _estimate(folder: Path, context: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.estimate_cost", "--seconds-from", "committed", "--json", *context]
    return _run(command, folder)


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """A folder with the repository as it was at a revision; raises OSError or CalledProcessError."""
    with tempfile.TemporaryDirectory() as folder:
        archive = ["git", "archive", "--format=tar", "--end-of-options", revision]
        packed = subprocess.run(archive, cwd=ROOT, capture_output=True, check=True)
        subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)  # noqa: S607
        yield Path(folder)


def _run(command: list[str], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", f"{error}: make setup")


def _section(title: str, done: subprocess.CompletedProcess[str], *expected: int) -> Section:
    if done.returncode in expected:
        return Section(title, done.stdout)
    return Section(title, f"could not be made:\n{done.stderr.strip() or done.stdout.strip()}", done=False)


def markdown(env: str, base: str, sections: Sequence[Section]) -> str:
    """The report; its first line is the mark by which the comment is found again."""
    lines = [MARK, f"## What this changes in `{env}`, compared with `{base}`"]
    for section in sections:
        text = section.text.strip().replace("```", "'''")
        cut = f"\n(cut: {len(text):,} characters)" if len(text) > _SECTION else ""
        lines += ["", f"### {section.title}", "", "```text", text[:_SECTION] + cut, "```"]
    return "\n".join(lines) + "\n"


def comment(environment: Mapping[str, str], number: int, text: str) -> None:
    """Post a text that begins with MARK, over the comment of that mark if there is one; raises CommandError.

    docs.github.com/en/rest/issues/comments: a pull request is an issue there, too.
    """
    missing = [name for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN") if not environment.get(name)]
    if missing:
        raise CommandError(f"to post a comment, set {' and '.join(missing)}")
    api, repository = environment.get("GITHUB_API_URL", "https://api.github.com"), environment["GITHUB_REPOSITORY"]
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository) or not re.match(
        "https://|http://(localhost|127.0.0.1)[:/]", api
    ):
        raise CommandError(f"cannot post to {repository} at {api}: an owner/name and an https:// address are needed")
    issues, token = f"{api}/repos/{repository}/issues", environment["GITHUB_TOKEN"]
    comments = f"{issues}/{number}/comments"
    try:
        if known := _ours(comments, token):
            _call("PATCH", f"{issues}/comments/{known}", token, text)
        else:
            _call("POST", comments, token, text)
    except (URLError, ValueError) as error:
        raise CommandError(f"the comment was not posted: {error}") from error


def _ours(url: str, token: str) -> int | None:
    """The id of the comment that a robot posted with the mark."""
    for page in count(1):
        found = _call("GET", f"{url}?per_page={_PAGE}&page={page}", token)
        for entry in found:
            if entry["body"].startswith(MARK) and entry["user"]["type"] == "Bot":
                return int(entry["id"])
        if len(found) < _PAGE:
            break
    return None


def _call(method: str, url: str, token: str, text: str | None = None) -> Any:  # noqa: ANN401 - JSON
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
    body = None if text is None else json.dumps({"body": text}).encode()
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - the scheme was checked
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
        return json.load(answer)


if __name__ == "__main__":
    main()
