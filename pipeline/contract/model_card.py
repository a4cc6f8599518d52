"""A version's model card: what it is for, what it learned from, how good it is, its limits, lineage and contact.

In the schema of a model package's card: docs.aws.amazon.com/sagemaker/latest/dg/model-registry-details.html. Standard
library only: the function behind approvals writes the card to SageMaker's registry, the local run to its own.
`custom_details` has the fields under which a company files an automated decision system (docs/model-card.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pipeline.contract import names as c
from pipeline.contract.promotion import artifact_uri
from pipeline.contract.service_text import one_line
from pipeline.contract.spec import USE_CHARACTERS

STATUS: Final = "PendingReview"  # of a new card; people change it in SageMaker Studio
CONTENT_CHARACTERS: Final = 100_000  # ModelCardContent, botocore sagemaker/2017-07-24
LONG: Final = USE_CHARACTERS  # most texts of the schema
SHORT: Final = 1024
TITLE: Final = 63  # of a group of metrics
_LENGTHS: Final = {
    **dict.fromkeys(("model_creator", "training_observations", "container_image", "datasets", "metadata"), SHORT),
    **dict.fromkeys(("notes", "custom_details"), SHORT),
    **dict.fromkeys(("name", "value"), 255),  # of a metric or hyperparameter
}
HYPERPARAMETERS: Final = 100
NOT_GIVEN: Final = "not given"
OVERSIGHT: Final = (
    "A version is used only once it is approved: ModelApprovalStatus, ApprovalDescription and LastModifiedBy of the "
    "model package say by whom and why. The monitor judges it on the outcomes since, and people get its alarms."
)
Card = dict[str, Any]


def package_card(package: Mapping[str, Any], evaluation: Mapping[str, Any], contact: str = "") -> dict[str, str]:
    """The ModelCard of CreateModelPackage and UpdateModelPackage.

    `package` is in the shape of DescribeModelPackage, `evaluation` is evaluation.json, `contact` precedes the
    workload's. Raises ValueError, KeyError or TypeError where these are not what a run writes, or the card is too long.
    """
    card = card_content(package, evaluation, contact)
    text = json.dumps(card, allow_nan=False)  # one line of ASCII: the pattern of ModelCardContent is `.*`
    if len(text) > CONTENT_CHARACTERS:
        raise ValueError(f"the model card has {len(text):,} characters, and SageMaker takes {CONTENT_CHARACTERS:,}")
    return {"ModelCardContent": text, "ModelCardStatus": STATUS}


def is_written(package: Mapping[str, Any]) -> bool:
    """Whether the package has a card with an intended use: SageMaker may have made an empty one, which is no card."""
    try:
        card = json.loads((package.get("ModelCard") or {}).get("ModelCardContent") or "{}")
        return bool(card.get("intended_uses"))
    except (ValueError, AttributeError):
        return True  # people's own words


def card_content(package: Mapping[str, Any], evaluation: Mapping[str, Any], contact: str = "") -> Card:
    """The card before it becomes text; raises as `package_card`."""
    e, use = evaluation, evaluation["use"]
    contact = contact or use["contact"]
    data = e["data"]
    window = (
        f"{data['n_modelled']:,} {e['rows']} with a known outcome from {data['first_date']} to "
        f"{data['last_labelled_date']}, as of {e['as_of_date']}; fingerprint {e['fingerprint']}"
    )
    config = [*e["training_config"].items()][:HYPERPARAMETERS]
    card: Card = {
        "model_overview": {"model_creator": contact, "model_artifact": [artifact_uri(package)]},
        "intended_uses": {
            "purpose_of_model": f"{e['title']}: {_predicts(e)}.",
            "intended_uses": use["intended"] or f"Decisions that {_predicts(e)} supports.",
            "factors_affecting_model_efficiency": f"{e['rows'].capitalize()} unlike those of the training data: "
            f"{window}. The monitor compares their features with it and judges the predictions on later outcomes.",
            "risk_rating": use["risk"],
            "explanations_for_risk_rating": use["risk_reason"],
        },
        "business_details": {"business_problem": e["title"], "business_stakeholders": contact},
        "training_details": {
            "training_observations": window,
            "training_job_details": {
                "training_environment": {"container_image": [_image(package)]},
                "user_provided_hyper_parameters": [{"name": name, "value": str(value)} for name, value in config],
            },
        },
        "evaluation_details": [_comparison(package, e), _limits(e)],
        "additional_information": {
            "ethical_considerations": f"Not intended for: {use['excluded'] or NOT_GIVEN}.",
            "caveats_and_recommendations": _caveats(e),
            "custom_details": {name: str(value) for name, value in _record(package, e, contact).items()},
        },
    }
    fitted: Card = _fit(card)
    return fitted


def _fit(value: Any, length: int = LONG) -> Any:  # noqa: ANN401 - any part of a card
    """The texts of a card as the schema takes them: one line, of the length of their field, and not empty."""
    if isinstance(value, dict):
        return {key: _fit(item, _LENGTHS.get(key, length)) for key, item in value.items()}
    if isinstance(value, list):
        return [_fit(item, length) for item in value]
    return (one_line(value, length) or NOT_GIVEN) if isinstance(value, str) else value


def _predicts(e: Mapping[str, Any]) -> str:
    return f"{'the probability of ' if e['task'] == 'binary' else ''}{e['event']} for each {e['row']}"


def _image(package: Mapping[str, Any]) -> str:
    return str(package["InferenceSpecification"]["Containers"][0].get("Image") or "")


def _evaluation_uri(package: Mapping[str, Any]) -> str:
    return str(package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"])


def _caveats(e: Mapping[str, Any]) -> str:
    made_up = (
        f"The {e['rows']} are simulated: none is real, and no decision may rest on them. " if e["simulated"] else ""
    )
    return f"{made_up}The scores are of earlier {e['rows']}, each predicted from those before it. {e['summary']}"


def _comparison(package: Mapping[str, Any], e: Mapping[str, Any]) -> Card:
    """Candidate, champion, baseline and constant on the same rows, and the difference with its interval."""
    compared, scores = e["comparison"], e["metrics"]
    challenged = compared["champion_exists"] == c.YES
    groups = {
        c.CANDIDATE: scores[c.CANDIDATE],
        f"champion, version {compared['champion_version']}": scores[c.CHAMPION] if challenged else None,
        f"baseline: {e['baseline']}": scores[c.BASELINE],
        c.CONSTANT: scores[c.CONSTANT],
    }
    if challenged and compared["n_rows"] < scores[c.CANDIDATE][c.N_ROWS]:
        groups[f"candidate, on the champion's {e['rows']}"] = compared["metrics"][c.CANDIDATE]
    words = e["metric_words"]
    against = "champion" if challenged else "baseline"
    loss = words[e["primary_metric"]]["label"]
    difference = [_number(name, value, loss) for name, value in compared["difference"].items()]
    return {
        "name": "Out-of-sample comparison",
        "evaluation_observation": e["summary"],
        "datasets": [_evaluation_uri(package)],
        "metadata": {name: str(compared[name]) for name in ("first_date", "last_date", "n_rows", "basis")},
        "metric_groups": [
            *(_group(name, list(_metrics(words, values))) for name, values in groups.items() if values),
            _group(f"difference to the {against}, 95 % interval", difference),
        ],
    }


def _metrics(words: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Card]:
    for key, word in words.items():
        if values.get(key) is not None:
            better = f"{word['better']} is better. " if word["better"] else ""
            yield _number(word["label"], values[key], f"{better}{word['meaning']}")


def _limits(e: Mapping[str, Any]) -> Card:
    """Every limit that the candidate was held to, with its value."""
    parts = {"needed of every candidate": "quality", "needed to replace the champion": "promotion"}
    return {
        "name": "Limits",
        "evaluation_observation": f"{e['quality']['reason']}; {e['promotion']['reason']}",
        "metric_groups": [
            _group(name, [_limit(limit) for limit in e[part]["limits"] if limit["value"] is not None])
            for name, part in parts.items()
        ],
    }


def _limit(limit: Mapping[str, Any]) -> Card:
    verdict = "holds" if limit["holds"] else "does not hold"
    notes = f"{verdict}: {limit['operator']} {limit['limit']}; otherwise: {limit['why']}"
    return _number(f"{limit['words']} ({limit['parameter']})", limit["value"], notes)


def _group(name: str, numbers: list[Card]) -> Card:
    return {"name": one_line(name, TITLE), "metric_data": numbers}


def _number(name: str, value: float, notes: str) -> Card:
    return {"name": name, "type": "number", "value": value, "notes": notes}


def _record(package: Mapping[str, Any], e: Mapping[str, Any], contact: str) -> dict[str, Any]:
    """The record of the decision system: each name is a question that registers of such systems ask."""
    known, data, compared = package.get("CustomerMetadataProperties", {}), e["data"], e["comparison"]
    challenged = compared["champion_exists"] == c.YES
    return {
        "system_name": e["title"],
        "system_version": f"{package['ModelPackageGroupName']}, version {package['ModelPackageVersion']}",
        "contact": contact,
        "decision_supported": e["use"]["intended"],
        "not_intended_for": e["use"]["excluded"],
        "human_oversight": OVERSIGHT,
        "data_from": data["first_date"],
        "data_to": data["last_labelled_date"],
        "data_rows": data["n_modelled"],
        "data_simulated": c.YES if e["simulated"] else c.NO,
        "data_fingerprint": e["fingerprint"],
        "compared_with": f"champion, version {compared['champion_version']}" if challenged else e["baseline"],
        "outcome": e["decision"],
        "outcome_reason": e["reason"],
        **{name: known.get(name) for name in (*_LINEAGE, c.MODEL_SHA256) if known.get(name)},
        "evaluation": _evaluation_uri(package),
    }


_LINEAGE: Final = (
    *("trigger", "execution", "code_version", "git_revision", "definition_hash", "image", "report", "promoted_from"),
)
