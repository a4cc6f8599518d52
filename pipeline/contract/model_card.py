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
SHORT: Final = 1024  # a note, a custom detail, an attribute of the evaluation, a URI
NAME: Final = 255  # of a metric or hyperparameter
TITLE: Final = 63  # of an evaluation or a group of metrics
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
    contact = contact or use["contact"] or NOT_GIVEN
    data = e["data"]
    window = (
        f"{data['n_modelled']:,} {e['rows']} with a known outcome from {data['first_date']} to "
        f"{data['last_labelled_date']}, as of {e['as_of_date']}; fingerprint {e['fingerprint']}"
    )
    config = [*e["training_config"].items()][:HYPERPARAMETERS]
    return {
        "model_overview": {"model_creator": one_line(contact, SHORT), "model_artifact": [artifact_uri(package)]},
        "intended_uses": {
            "purpose_of_model": one_line(f"{e['title']}: {_predicts(e)}.", LONG),
            "intended_uses": one_line(use["intended"] or f"Decisions that {_predicts(e)} supports.", LONG),
            "factors_affecting_model_efficiency": one_line(
                f"{e['rows'].capitalize()} unlike those of the training data: {window}. The monitor compares their "
                "features with it and judges the predictions on later outcomes.",
                LONG,
            ),
            "risk_rating": use["risk"],
            "explanations_for_risk_rating": one_line(use["risk_reason"] or NOT_GIVEN, LONG),
        },
        "business_details": {
            "business_problem": one_line(e["title"], LONG),
            "business_stakeholders": one_line(contact, LONG),
        },
        "training_details": {
            "training_observations": one_line(window, SHORT),
            "training_job_details": {
                "training_environment": {"container_image": [one_line(_image(package), SHORT) or NOT_GIVEN]},
                "user_provided_hyper_parameters": [
                    {"name": one_line(name, NAME), "value": one_line(str(value), NAME) or NOT_GIVEN}
                    for name, value in config
                ],
            },
        },
        "evaluation_details": [_comparison(package, e), _limits(e)],
        "additional_information": {
            "ethical_considerations": one_line(f"Not intended for: {use['excluded'] or NOT_GIVEN}.", LONG),
            "caveats_and_recommendations": one_line(_caveats(e), LONG),
            "custom_details": {
                name: one_line(str(value), SHORT) or NOT_GIVEN for name, value in _record(package, e, contact).items()
            },
        },
    }


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
        "evaluation_observation": one_line(e["summary"], LONG),
        "datasets": [one_line(_evaluation_uri(package), SHORT)],
        "metadata": {
            name: one_line(str(compared[name]), SHORT) for name in ("first_date", "last_date", "n_rows", "basis")
        },
        "metric_groups": [
            *(
                {"name": one_line(name, TITLE), "metric_data": list(_metrics(words, values))}
                for name, values in groups.items()
                if values
            ),
            {"name": f"difference to the {against}, 95 % interval", "metric_data": difference},
        ],
    }


def _metrics(words: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Card]:
    for key, word in words.items():
        if values.get(key) is not None:
            better = f"{word['better']} is better. " if word["better"] else ""
            yield _number(word["label"], values[key], f"{better}{word['meaning']}")


def _limits(e: Mapping[str, Any]) -> Card:
    """Every limit that the candidate was held to, with its value."""
    return {
        "name": "Limits",
        "evaluation_observation": one_line(f"{e['quality']['reason']}; {e['promotion']['reason']}", LONG),
        "metric_groups": [
            {
                "name": name,
                "metric_data": [
                    _number(
                        f"{limit['words']} ({limit['parameter']})",
                        limit["value"],
                        f"{'holds' if limit['holds'] else 'does not hold'}: {limit['operator']} {limit['limit']}; "
                        f"otherwise: {limit['why']}",
                    )
                    for limit in e[part]["limits"]
                    if limit["value"] is not None
                ],
            }
            for name, part in (
                ("needed of every candidate", "quality"),
                ("needed to replace the champion", "promotion"),
            )
        ],
    }


def _number(name: str, value: float, notes: str) -> Card:
    return {"name": one_line(name, NAME), "type": "number", "value": value, "notes": one_line(notes, SHORT)}


def _record(package: Mapping[str, Any], e: Mapping[str, Any], contact: str) -> dict[str, Any]:
    """The record of the decision system: each name is a question that registers of such systems ask."""
    known, data, compared = package.get("CustomerMetadataProperties", {}), e["data"], e["comparison"]
    challenged = compared["champion_exists"] == c.YES
    return {
        "system_name": e["title"],
        "system_version": f"{package['ModelPackageGroupName']}, version {package['ModelPackageVersion']}",
        "contact": contact,
        "decision_supported": e["use"]["intended"] or NOT_GIVEN,
        "not_intended_for": e["use"]["excluded"] or NOT_GIVEN,
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
