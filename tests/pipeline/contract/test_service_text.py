"""Any text becomes one that the service's own patterns take."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import regex
from botocore.loaders import Loader
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract.service_text import UNSPECIFIED, argument, description, is_metadata_value, metadata_value

SHAPES = Loader().load_service_model("sagemaker", "service-2")["shapes"]
# hypothesis leaves out surrogates by default; a program may be handed them (an argument that is not UTF-8).
ANY_TEXT = st.text(st.characters(codec=None), max_size=600)


def taken(shape: str, text: str) -> bool:
    """Whether a shape of the service's model takes a text, its length counted in UTF-16 units."""
    rule = SHAPES[shape]
    # Model and API reference write the repetition of two patterns wrongly: `([...]*)${1,256}`.
    pattern = regex.sub(r"\$\{1,\d+\}$", "", rule["pattern"])
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    return rule["min"] <= units <= rule["max"] and regex.fullmatch(pattern, text) is not None


FIELDS: dict[str, Callable[[str], str]] = {
    "CustomerMetadataValue": metadata_value,
    "EntityDescription": description,
    "ApprovalDescription": description,
    "ContainerArgument": argument,
}


@pytest.mark.parametrize("shape", FIELDS)
@given(ANY_TEXT)
def test_any_text_becomes_one_that_the_service_takes(shape: str, text: str) -> None:
    clean = FIELDS[shape]
    assert taken(shape, clean(text)), repr(clean(text))
    assert clean(clean(text)) == clean(text)


def test_the_rule_of_this_test_refuses_what_the_service_refuses() -> None:
    assert not taken("CustomerMetadataValue", "drift, again")
    assert not taken("CustomerMetadataValue", "")
    assert not taken("CustomerMetadataValue", "x" * 257)
    assert not taken("EntityDescription", "two\nlines")
    assert not taken("ContainerArgument", "two\nlines")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("schedule", "schedule"),
        ("drift: calibration error 0.08, over (seven) days", "drift: calibration error 0.08 over seven days"),
        ("", UNSPECIFIED),
        (" \n\t", UNSPECIFIED),
        (",;!", UNSPECIFIED),
        ("Cafe\u0301 \u65e5\u672c", "Caf\u00e9 \u65e5\u672c"),
        ("s3://b/runs/x.html", "s3://b/runs/x.html"),
        ("image@sha256:0a", "image@sha256:0a"),
        ("x" * 300, "x" * 256),
        ("x" * 255 + "\U00020000", "x" * 255),  # never half of a pair
    ],
)
def test_metadata_value(text: str, value: str) -> None:
    assert metadata_value(text) == value


@given(ANY_TEXT)
def test_what_is_said_to_be_taken_is_taken(text: str) -> None:
    assert is_metadata_value(metadata_value(text))
    assert not is_metadata_value(text) or taken("CustomerMetadataValue", text)


def test_words_keep_their_punctuation_where_the_field_takes_it() -> None:
    assert argument("drift, (again)") == "drift, (again)"
    assert description('better "in every" month;\nsee report') == 'better "in every" month; see report'
    assert argument("") == UNSPECIFIED
    assert description("") == ""
