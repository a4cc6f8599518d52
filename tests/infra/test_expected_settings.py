"""What the template sets is what expected_settings.yaml says, with every option and without."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from resolved_template import Template
from synthesis import Synthesise
from template_summary import as_text, difference, settings_of, with_usual
from test_policies import EVERYTHING

EXPECTED = Path(__file__).with_name("expected_settings.yaml")
HEAD = """# What the stack with every option (test_policies.EVERYTHING) sets, and in what others differ from it.
# docs/permissions.md has what is allowed. After a change that is meant: make permissions, and read the difference.
"""


@pytest.fixture(scope="module")
def found(synthesise: Synthesise, dev: Template, prod: Template) -> dict[str, Any]:
    """What the templates say, of which `prod` keeps its data."""
    everything = synthesise(**EVERYTHING)
    others = {"dev": difference(everything, dev), "prod": difference(everything, prod)}
    return {**with_usual(settings_of(everything)), **others}


def test_the_template_sets_what_is_expected(found: dict[str, Any]) -> None:
    if os.environ.get("WRITE_PERMISSIONS"):
        EXPECTED.write_text(HEAD + as_text(found), encoding="utf-8")
    expected = yaml.safe_load(EXPECTED.read_text(encoding="utf-8"))
    assert expected.keys() == found.keys()
    for part in expected:
        assert found[part] == expected[part], part
