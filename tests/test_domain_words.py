"""Core knows no domain: a word of the reference workload's stands in its folder, its tests and its pages only."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

CORE = ("app.py", "infra", "pipeline", "scripts")
WORKLOADS = "pipeline/workloads/"
WORDS = (
    r"games?|teams?|seasons?|leagues?|playoffs?|franchises?|elo|nba|basketball|home.(?:win|team|points)|play.by.play"
)
# As words of text, and as parts of identifiers: home_team, HomeTeam, HOME_TEAM.
WORD = re.compile(rf"(?<![a-zA-Z])({WORDS})(?![a-zA-Z])", re.IGNORECASE)
PRODUCT = re.compile(r"microsoft[ _]?teams|teams_(?:tenant|channel)_id|team_id=", re.IGNORECASE)  # AWS's names
PART = re.compile(rf"(?<=[a-z])({'|'.join(word.capitalize() for word in WORDS.split('|'))})(?![a-z])")


def test_core_has_no_word_of_a_domain(root: Path) -> None:
    listed = subprocess.run(["git", "ls-files", *CORE], cwd=root, capture_output=True, text=True, check=True).stdout
    files = [name for name in listed.split() if name.endswith((".py", ".json", ".in")) and WORKLOADS not in name]
    assert len(files) > 150, "the files are looked for in the wrong place"
    found = []
    for name in files:
        for number, line in enumerate((root / name).read_text(encoding="utf-8").splitlines(), 1):
            line = PRODUCT.sub("", line)  # noqa: PLW2901
            if WORD.search(line) or PART.search(line):
                found.append(f"{name}:{number}: {line.strip()[:120]}")
    assert not found, "\n".join(found)


def test_a_word_in_an_identifier_or_a_text_is_seen() -> None:
    for line in (
        "n_games = 1",
        "class RawGames:",
        "HOME_TEAM",
        '"the home win"',
        "of a season,",
        "homeTeams",
        "aGameDay",
    ):
        assert WORD.search(line) or PART.search(line), line
    assert not WORD.search("gamesome element chrome_path")
