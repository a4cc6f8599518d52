"""The deployed definition: definition.json with the constants bound and the settings applied.

Nothing else differs from the committed file: the settings may change defaults of some parameters (instances, limits,
approval), tag the jobs, put them into a VPC, and name the MLflow that records the runs. CloudFormation binds the
constants (`Fn::Sub`): it alone knows them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk

from infra.settings.settings import Settings
from infra.settings.settings_validation import SettingError, limit_defaults, steps_with
from pipeline.contract.code_version import all_steps, code_version, definition_file, git_revision
from pipeline.contract.spec import Spec
from pipeline.contract.workload import read_definition
from pipeline.definition.service_rules import Finding, check_definition
from pipeline.definition.service_rules.instances import has_local_storage


def versions(workload: str) -> dict[str, str]:
    """What is deployed, as deployment constants: digest of the steps' code, digest of definition.json, git revision."""
    return {
        "CodeVersion": code_version(workload),
        "DefinitionHash": hashlib.sha256(definition_file(workload).read_bytes()).hexdigest(),
        "GitRevision": git_revision(),
    }


def changed_defaults(settings: Settings) -> dict[str, Any]:
    """Parameter defaults that the settings change: name to value."""
    approved = {"ApprovalStatus": "Approved"} if settings.approval == "automatic" else {}
    types = {f"{step}InstanceType": kind for step, kind in settings.instance_types.items()}
    counts = {f"{step}InstanceCount": count for step, count in settings.instance_counts.items()}
    events = {extra.parameter: settings.events_prefix for extra in settings.spec.inputs}
    data = {**events, "TimeZone": settings.time_zone}
    return {**data, **approved, **types, **counts, **settings.limits}


def deployed_definition(settings: Settings) -> dict[str, Any]:
    """The committed definition with the settings' defaults, tags and VPC; constants are not bound yet.

    Raises SettingError, which names the setting, for one that SageMaker would refuse in it.
    """
    definition = _with_settings(settings)
    found = check_definition(definition)
    if found:
        spec = settings.spec
        setting = _setting_of(spec, found[0])
        named = f"{setting}: {getattr(settings, setting)!r} cannot be used; " if setting else ""
        raise SettingError(named + "; ".join(str(item) for item in found if _setting_of(spec, item) == setting))
    return definition


def _setting_of(spec: Spec, found: Finding) -> str | None:
    """The setting that put a refused value into the definition; None for a fault of the definition itself."""
    by_parameter = {
        **{f"{step}InstanceType": "instance_types" for step in steps_with(spec, "InstanceType")},
        **{f"{step}InstanceCount": "instance_counts" for step in steps_with(spec, "InstanceCount")},
        **dict.fromkeys(limit_defaults(spec), "limits"),
        "EventsPrefix": "events_prefix",
        "TimeZone": "time_zone",
        "ApprovalStatus": "approval",
    }
    by_field = {"Tags": "tags", "SecurityGroupIds": "security_group_ids", "Subnets": "subnet_ids"}
    named = (by_parameter[parameter] for parameter in found.parameters if parameter in by_parameter)
    return next(named, next((setting for part, setting in by_field.items() if part in found.field), None))


def _with_settings(settings: Settings) -> dict[str, Any]:
    definition = read_definition(settings.workload)
    changed = changed_defaults(settings)
    for parameter in definition["Parameters"]:
        if parameter["Name"] in changed:
            parameter["DefaultValue"] = changed[parameter["Name"]]
    defaults = {parameter["Name"]: parameter["DefaultValue"] for parameter in definition["Parameters"]}
    for cluster in (_cluster(step) for step in all_steps(definition["Steps"])):
        # Hardware encrypts local storage, and SageMaker refuses a key for it: API_ResourceConfig, VolumeKmsKeyId.
        if cluster and has_local_storage(defaults[cluster["InstanceType"]["Get"].removeprefix("Parameters.")]):
            del cluster["VolumeKmsKeyId"]
    if settings.mlflow_arn:
        definition["MlflowConfig"] = {
            "MlflowResourceArn": settings.mlflow_arn,
            "MlflowExperimentName": settings.pipeline_name,
        }
    if settings.tags or settings.monthly_budget_usd:
        for step in all_steps(definition["Steps"]):
            if step["Type"] in ("Processing", "Training"):  # a pipeline does not hand its own tags to its jobs
                step["Arguments"]["Tags"] = [{"Key": k, "Value": v} for k, v in settings.all_tags.items()]
    if settings.subnet_ids:
        vpc = {"SecurityGroupIds": list(settings.security_group_ids), "Subnets": list(settings.subnet_ids)}
        for step in all_steps(definition["Steps"]):
            if step["Type"] == "Processing":
                step["Arguments"]["NetworkConfig"]["VpcConfig"] = vpc
            elif step["Type"] == "Training":
                step["Arguments"]["VpcConfig"] = vpc
    return definition


def _cluster(step: Mapping[str, Any]) -> dict[str, Any] | None:
    """The instances of a step's job; None where it has no job."""
    arguments = step.get("Arguments", {})
    found: dict[str, Any] | None = arguments.get("ResourceConfig") or arguments.get("ProcessingResources", {}).get(
        "ClusterConfig"
    )
    return found


def bound_body(settings: Settings, constants: Mapping[str, str]) -> str:
    """The text of the deployed definition, as a token that CloudFormation resolves.

    Raises ValueError when the definition names a constant that is not given, or one is given that it does not name.
    """
    body = json.dumps(deployed_definition(settings), separators=(",", ":"))
    named = set(re.findall(r"\$\{(\w+)\}", body))
    if named != set(constants):
        raise ValueError(f"deployment constants: the definition names {sorted(named)}, bound are {sorted(constants)}")
    return cdk.Fn.sub(body, dict(constants))
