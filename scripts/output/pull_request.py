"""A comment on a pull request of GitHub, written over by the next one.

docs.github.com/en/rest/issues/comments: a pull request is an issue there, too.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Mapping
from itertools import count
from typing import Any, Final
from urllib.error import URLError

MARK: Final = "<!-- change report -->"
_PAGE: Final = 100
_SECONDS: Final = 30


class CommentError(RuntimeError):
    """The comment could not be posted; the message says why."""


def comment(environment: Mapping[str, str], number: int, text: str) -> None:
    """Post a text that begins with MARK, over the comment of that mark if there is one; raises CommentError."""
    missing = [name for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN") if not environment.get(name)]
    if missing:
        raise CommentError(f"to post a comment, set {' and '.join(missing)}")
    api, repository = environment.get("GITHUB_API_URL", "https://api.github.com"), environment["GITHUB_REPOSITORY"]
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository) or not re.match(
        "https://|http://(localhost|127.0.0.1)[:/]", api
    ):
        raise CommentError(f"cannot post to {repository} at {api}: an owner/name and an https:// address are needed")
    issues, token = f"{api}/repos/{repository}/issues", environment["GITHUB_TOKEN"]
    comments = f"{issues}/{number}/comments"
    try:
        if known := _ours(comments, token):
            _call("PATCH", f"{issues}/comments/{known}", token, text)
        else:
            _call("POST", comments, token, text)
    except (URLError, ValueError) as error:
        raise CommentError(f"the comment was not posted: {error}") from error


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
