"""Emails about model versions, and what SNS takes as subject and message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from infra.lambda_shared.console import s3_object
from infra.lambda_shared.environment import Environment
from infra.lambda_shared.notifications import MESSAGE_BYTES, Facts, NotificationType
from pipeline.contract import names as c
from pipeline.contract.metrics import decimal, signed

# docs.aws.amazon.com/sns/latest/api/API_Publish.html
_SUBJECT_LENGTH: Final = 99  # ASCII without control characters, fewer than 100 characters


@dataclass(frozen=True)
class Email:
    """A subject and a plain text, and the same for programs; two of the same text are the same email."""

    subject: str
    text: str
    facts: Facts | None = field(default=None, compare=False)


def sns_subject(text: str) -> str:
    """One line of printable ASCII as SNS takes it; the end is cut."""
    printable = "".join(ch if " " <= ch <= "~" else "?" for ch in text)
    return " ".join(printable.split())[:_SUBJECT_LENGTH].rstrip() or "(no subject)"


def sns_message(text: str) -> str:
    """The text, cut where SNS would refuse it."""
    encoded = text.encode(errors="replace")
    return text if len(encoded) <= MESSAGE_BYTES else encoded[:MESSAGE_BYTES].decode(errors="ignore") + "\n(cut)\n"


def approval_notice(
    package: Mapping[str, Any], evaluation: Mapping[str, Any] | None, environment: Environment
) -> Email:
    """The email about a version that waits for approval.

    `evaluation` is evaluation.json; where it is missing, the numbers that the package carries are shown.
    """
    version, known = package["ModelPackageVersion"], package.get("CustomerMetadataProperties", {})
    evaluation, report = evaluation or {}, known.get("report")
    lines = [
        f"Version {version} of {environment.group} waits for your approval.",
        "",
        str(package.get("ModelPackageDescription", "")),
        *([f"These {evaluation['rows']} are simulated: none is real."] if evaluation.get("simulated") else []),
        "",
        *_scores(evaluation, known),
        "",
        *_report(report, environment),
        "",
        "To approve it (the next run then predicts with it):",
        f"  {_command('approve', version, environment)}",
        "To reject it:",
        f"  {_command('reject', version, environment)}",
        "",
        *(f"{name.replace('_', ' ')}: {known[name]}" for name in _LINEAGE if known.get(name)),
    ]
    loss = str(known.get("primary_metric", "loss")).replace("_", " ")
    title = f"[{environment.pipeline}] version {version} waits for approval: {loss} {_number(known.get('loss'))}"
    facts = Facts(
        type=NotificationType.VERSION_WAITING,
        pipeline=environment.pipeline,
        reason=str(evaluation.get("reason") or package.get("ModelPackageDescription") or "a new version"),
        run=str(known.get("execution", "")),
        version=version,
        trigger=str(known.get("trigger", "")),
        links={"report": s3_object(environment.region, environment.partition, report)} if report else {},
        next_steps=[_command(verb, version, environment) for verb in ("approve", "reject")],
    )
    return Email(title, "\n".join(lines) + "\n", facts)


_LINEAGE: Final = ("trigger", "execution", "as_of_date", "fingerprint", "git_revision", "definition_hash", "image")


def withdrawal_notice(version: int, environment: Environment) -> Email:
    """The email about a champion that was withdrawn without a successor."""
    reason = "is no longer approved, and no other version is approved"
    return _registry_notice(
        f"no champion: version {version} was withdrawn",
        f"Version {version} of {environment.group} {reason}.\n\n"
        "Until one is approved, predictions come from the workload's fallback (column model: fallback), and the next\n"
        "candidate is compared with the baseline alone.",
        "approve",
        environment,
        type=NotificationType.NO_CHAMPION,
        reason=f"version {version} {reason}",
        version=version,
    )


def problem_notice(text: str, environment: Environment) -> Email:
    """The email about something in the registry or in champion/ that a person must check; sent once."""
    return _registry_notice(
        text.partition(":")[0],
        f"{text}\n\nEverything else continues. This email is sent once.",
        "reject",
        environment,
        type=NotificationType.REGISTRY_PROBLEM,
        reason=text,
    )


def _registry_notice(
    subject: str,
    text: str,
    verb: str,
    environment: Environment,
    **facts: Any,  # noqa: ANN401 - what Facts takes
) -> Email:
    """An email that ends with the commands to list versions, and to do something with one."""
    listing = f"python -m scripts.review_model list {_options(environment)}"
    commands = f"To list the versions:\n  {listing}\nTo {verb} a version:\n  {_command(verb, 'N', environment)}\n"
    told = Facts(pipeline=environment.pipeline, next_steps=[listing], **facts)
    return Email(f"[{environment.pipeline}] {subject}", f"{text}\n\n{commands}", told)


def _scores(evaluation: Mapping[str, Any], known: Mapping[str, str]) -> list[str]:
    try:
        return _comparison(evaluation)
    except (KeyError, TypeError, ValueError, AttributeError):
        # Missing, or another program's file: the version is announced all the same.
        return _package_metrics(known)


def _command(verb: str, version: int | str, environment: Environment) -> str:
    return f'python -m scripts.review_model {verb} --version {version} --reason "..." {_options(environment)}'


def _options(environment: Environment) -> str:
    return f"--aws --pipeline {environment.pipeline} --region {environment.region}"


def _comparison(evaluation: Mapping[str, Any]) -> list[str]:
    """Candidate beside champion on the same rows, and the difference with its interval."""
    compared = evaluation["comparison"]
    challenged = compared["champion_exists"] == c.YES
    same_rows = compared.get("metrics") or evaluation["metrics"]
    incumbent = f"champion (version {compared['champion_version']})" if challenged else "no champion"
    columns = {
        "candidate": same_rows[c.CANDIDATE],
        incumbent: same_rows.get(c.CHAMPION),
        evaluation["baseline"]: same_rows.get(c.BASELINE) or evaluation["metrics"][c.BASELINE],
    }
    metrics = evaluation["metric_words"]
    loss = metrics[evaluation["primary_metric"]]["label"]
    lower = [metric["label"] for metric in metrics.values() if metric["better"] == "lower"]
    mean, low, high = (signed(compared["difference"][key]) for key in ("mean", "lower", "upper"))
    width = max(20, *(len(metric["label"]) + 2 for metric in metrics.values()))
    return [
        f"{'':<{width}}" + "".join(f"{title:>26}" for title in columns),
        *(
            f"{metric['label']:<{width}}"
            + "".join(f"{_number((scores or {}).get(key)):>26}" for scores in columns.values())
            for key, metric in metrics.items()
        ),
        "",
        f"Lower is better: {', '.join(lower)}. Basis: {compared['basis']}.",
        f"{loss.capitalize()}, candidate less {'champion' if challenged else evaluation['baseline']}: "
        f"{mean} (95 % interval {low} to {high}) on {compared['n_rows']:,} {evaluation['rows']}, "
        f"{compared['first_date']} to {compared['last_date']}.",
        f"Why it was registered: {evaluation['reason']}.",
    ]


def _package_metrics(known: Mapping[str, str]) -> list[str]:
    """The candidate's numbers as the package carries them."""
    loss = known.get("primary_metric", "loss").replace("_", " ")
    labels = {"loss": loss, "baseline_loss": f"{loss} of baseline", "skill": "skill", c.N_ROWS: "rows"}
    lines = [f"{label:<20}{_number(known[key]):>26}" for key, label in labels.items() if key in known]
    if "difference_to_incumbent" in known:
        numbers = [_number(known.get(f"difference_{end}")) for end in ("to_incumbent", "lower", "upper")]
        lines.append(
            f"{loss.capitalize()}, candidate less champion ({known.get('champion_version', 'none')}): {numbers[0]} "
            f"(95 % interval {numbers[1]} to {numbers[2]})."
        )
    return [*lines, "evaluation.json could not be read: the champion's own numbers are in the report."]


def _report(uri: str | None, environment: Environment) -> list[str]:
    if not uri:
        return ["The package names no report."]
    return [
        "Report:",
        f"  {s3_object(environment.region, environment.partition, uri)}",
        f"  aws s3 cp {uri} . --region {environment.region}",
    ]


def _number(value: object) -> str:
    """At most four significant digits; whole numbers with thousands separators; a dash for what is not known."""
    try:
        number = float(str(value))
    except ValueError:
        return "-"
    if number.is_integer() and abs(number) > 1:
        return f"{number:,.0f}"
    return decimal(number)
