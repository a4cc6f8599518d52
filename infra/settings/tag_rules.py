"""Validation of tags: what IAM, SageMaker and CloudFormation all accept.

docs.aws.amazon.com/sagemaker/latest/APIReference/API_Tag.html
docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Tag.html (no empty value)
docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html (two names of a role may not differ in case alone)
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

from pipeline.cost.run_limit import LIMIT_TAG

MAX_TAGS: Final = 50
MAX_NAME, MAX_VALUE = 128, 256
PIPELINE_TAG: Final = "pipeline"
ENVIRONMENT_TAG: Final = "environment"
VERSION_TAGS: Final = ("code-version", "definition-hash", "git-revision")  # of the pipeline alone
# `environment` may be overridden; `pipeline` is the cost allocation tag, and versions are set by the deploy.
OWN: Final = (PIPELINE_TAG, ENVIRONMENT_TAG, *VERSION_TAGS, LIMIT_TAG)


def wrong_tags(tags: Mapping[str, str]) -> str | None:
    """What is allowed where these are not; None where they are."""
    for name, value in tags.items():
        if not (_is_text(name, MAX_NAME) and _is_text(value, MAX_VALUE)):
            return (
                f"names of 1 to {MAX_NAME} and values of 1 to {MAX_VALUE} letters, digits, spaces or _.:/=+-@, "
                f"with no space at an end, not {name!r}: {value!r}"
            )
        if name.lower().startswith("aws:"):
            return f"names that do not begin with aws:, which AWS keeps for itself in any case, not {name!r}"
        if name.lower() in OWN and name != ENVIRONMENT_TAG:
            own = ", ".join(tag for tag in OWN if tag != ENVIRONMENT_TAG)
            return f"other names than the stack's own ({own}; {ENVIRONMENT_TAG} in this case only), not {name!r}"
    lower = [name.lower() for name in tags]
    if twice := next((name for name in tags if lower.count(name.lower()) > 1), None):
        return f"names that differ in more than case, not {twice!r} twice"
    if len({*tags, *OWN}) > MAX_TAGS:
        own = f"AWS takes {MAX_TAGS} for a resource, and {len(OWN)} are the stack's own"
        return f"at most {MAX_TAGS - len(OWN)} names: {own}"
    return None


def _is_text(text: str, most: int) -> bool:
    """Letters, numbers and separators of any script, and some signs."""
    allowed = all(unicodedata.category(char)[0] in "LNZ" or char in "_.:/=+-@" for char in text)
    return 1 <= len(text) <= most and allowed and text == text.strip()
