"""The machine-readable twin of an email: what a chat shows, and what a pager or a program routes by.

SNS hands each protocol its own message of one notice (MessageStructure=json): email gets the text, every other protocol
this JSON. Its form is the one that Amazon Q Developer in chat applications shows; it drops any other without an error:
docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html. The schema is docs/schemas/notification.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

# docs.aws.amazon.com/sns/latest/api/API_Publish.html
MESSAGE_BYTES: Final = 256 * 1024 - 2048  # of UTF-8, over all protocols, attributes and subject included
_CHAT_CHARACTERS: Final = 1500  # of the reason; a chat shows some thousand in all
_REASON_CHARACTERS: Final = 10_000
# In a chat, <!channel> calls everybody, <url|text> is a link, and ` ends the block: the reason may quote bad data.
_PLAIN: Final = str.maketrans({"<": "‹", ">": "›", "`": "'"})


class NotificationType(StrEnum):
    """What happened."""

    STEP_FAILED = "step-failed"
    RUN_FAILED = "run-failed"
    RUN_STOPPED = "run-stopped"
    VERSION_WAITING = "version-waiting"
    NO_CHAMPION = "no-champion"
    REGISTRY_PROBLEM = "registry-problem"
    ENDPOINT_FAILED = "endpoint-failed"
    TEST = "test"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What an email says, for programs; `run` is an ARN, `links` are URLs by name."""

    type: NotificationType
    pipeline: str
    reason: str
    run: str = ""
    step: str = ""
    version: int | None = None
    trigger: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    next_steps: Sequence[str] = ()


def notification(subject: str, facts: Facts) -> str:
    """The JSON: `content` is what a chat shows; `metadata.additionalContext` has each fact that there is, as text."""
    reason = facts.reason.encode(errors="replace").decode()
    links = {name: url for name, url in facts.links.items() if url.startswith("https://")}
    context = {
        "type": facts.type.value,
        "pipeline": facts.pipeline,
        "reason": reason[:_REASON_CHARACTERS],
        "run": facts.run,
        "step": facts.step,
        "version": "" if facts.version is None else str(facts.version),
        "trigger": facts.trigger,
        **{f"{name}_url": url for name, url in links.items()},
    }
    shown = [f"```{reason[:_CHAT_CHARACTERS].translate(_PLAIN)}```", *(f"{name}: {url}" for name, url in links.items())]
    document: dict[str, Any] = {
        "version": "1.0",
        "source": "custom",
        "content": {
            "textType": "client-markdown",
            "title": subject.translate(_PLAIN),
            "description": "\n".join(shown),
            "nextSteps": [f"`{step.translate(_PLAIN)}`" for step in facts.next_steps],
            "keywords": [facts.pipeline, facts.type.value],
        },
        "metadata": {
            "threadId": facts.run or facts.pipeline,
            "summary": subject,
            "eventType": facts.type.value,
            "relatedResources": [facts.run] if facts.run else [],
            "additionalContext": {name: value for name, value in context.items() if value},
        },
    }
    return json.dumps(document)


def for_each_protocol(text: str, twin: str) -> str:
    """The Message of a Publish with MessageStructure=json; the text is cut where SNS would refuse the whole."""
    text = text.encode(errors="replace").decode()
    message, kept = json.dumps({"default": twin, "email": text}), len(text)
    while len(message) > MESSAGE_BYTES:  # ASCII: a byte a character
        kept = kept * 9 // 10
        message = json.dumps({"default": twin, "email": text[:kept] + "\n(cut)\n"})
    return message
