"""Why a step failed, as people read it: one line without control characters, short enough with its remedy.

SageMaker says the reason in several places. A step's FailureReason is the reason of a training job (which writes it)
and of a Fail step. Of a processing job it says no more than "AlgorithmError: See job logs for more information"
(aws/sagemaker-spark-container, test/integration/sagemaker/test_spark.py, asserts it of a live job): what the container
wrote is the job's ExitMessage.

Standard library only, and Python 3.9 of a Spark image.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pipeline.contract.names import DEFAULT_BASE_DIR, PROCESSING_CONFIG_FILE, REASON_CHARACTERS

_CUT: Final = " ... "
_END: Final = 400  # bytes of the end that are kept: a reason ends with what to do


def printable(text: str) -> str:
    r"""The text in one line; a character that is not printed but obeyed (of a terminal, say) is written as `\x1b`."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "replace").decode()
        for letter in " ".join(text.split("\n"))
    )


def counted(count: int, one: str, many: str = "") -> str:
    """`1 row`, `2 rows`; `many` where that is more than the word with an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def bad_share(n_bad: int, n_rows: int, limit: float, row: str = "row") -> str:
    """`2 of 40 rows are bad (5.00%, limit 1.00%)`."""
    verb = "is" if n_bad == 1 else "are"
    return f"{n_bad:,} of {counted(n_rows, row)} {verb} bad ({n_bad / n_rows:.2%}, limit {limit:.2%})"


def some(names: Sequence[str], shown: int) -> str:
    """The first `shown` names, and how many more there are."""
    return ", ".join(names[:shown]) + (f" and {len(names) - shown:,} more" if len(names) > shown else "")


def hint(word: object, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or nothing; capitals are no difference."""
    spelled = {one.casefold(): one for one in known}
    close = get_close_matches(str(word).casefold(), spelled, n=1)
    return f'; did you mean "{spelled[close[0]]}"?' if close else ""


def shorten(text: str, limit: int = REASON_CHARACTERS) -> str:
    """The text in at most `limit` bytes of UTF-8, which is how SageMaker counts: beginning and end, if it is longer."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return text
    end = min(_END, limit // 2)
    head = data[: limit - end - len(_CUT)].decode("utf-8", "ignore")
    return head + _CUT + data[-end:].decode("utf-8", "ignore")


def public_paths(text: str, base_dir: Path) -> str:
    """The text with the locations of a processing job's inputs and outputs in place of its container's folders."""
    try:
        config = json.loads((base_dir / PROCESSING_CONFIG_FILE).read_text(encoding="utf-8"))
        pairs = [entry["S3Input"] for entry in config.get("ProcessingInputs") or []]
        pairs += [entry["S3Output"] for entry in (config.get("ProcessingOutputConfig") or {}).get("Outputs") or []]
        places = {str(pair["LocalPath"]): str(pair["S3Uri"]).rstrip("/") for pair in pairs}
        places |= {str(base_dir / Path(local).relative_to(DEFAULT_BASE_DIR)): uri for local, uri in places.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return text  # not a processing job of SageMaker's
    for local in sorted(places, key=len, reverse=True):  # a folder before the one that it is in
        if not places[local].startswith("file:"):  # of local mode: a link that ends with the job
            text = text.replace(local, places[local])
    return text


def readable(reason: str, base_dir: Path) -> str:
    return shorten(printable(public_paths(reason.strip(), base_dir)))


_GENERIC: Final = "AlgorithmError"


def processing_job(step: Mapping[str, Any]) -> str | None:
    """The name of the processing job of a step as ListPipelineExecutionSteps gives it; None for any other step."""
    arn = step.get("Metadata", {}).get("ProcessingJob", {}).get("Arn")
    return str(arn).rsplit("/", maxsplit=1)[-1] if arn else None


def failure_reason(step: Mapping[str, Any], exit_message: str | None = None) -> str:
    """The reason of a failed step; `exit_message` is its processing job's. Empty where there is none.

    What SageMaker itself says (a time limit, no capacity) is kept beside what the container said.
    """
    given = str(step.get("FailureReason") or "").strip()
    told = str(step.get("Metadata", {}).get("Fail", {}).get("ErrorMessage") or "").strip()
    if told:  # up to 3,072 characters, of which FailureReason keeps 1,024
        return told if told.startswith(given) or not given else given
    message = (exit_message or "").strip()
    if not message:
        return given
    return message if not given or given.startswith(_GENERIC) else f"{message} (SageMaker: {given})"


def unexpected(error: BaseException) -> str:
    """What people read of an exception that the code did not foresee; its traceback is printed besides."""
    return f"{type(error).__name__}: {error} (unexpected error: see the traceback in the step's log)"
