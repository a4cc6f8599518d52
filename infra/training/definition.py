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
from infra.settings.settings_validation import SettingError
from pipeline.contract.code_version import all_steps, code_version, definition_file, git_revision
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


def changed_defaults(settings: Settings) -> dict[str, tuple[str, Any]]:
    """Parameters whose default a setting changes: name to setting and value."""
    return {
        **{extra.parameter: ("events_prefix", settings.events_prefix) for extra in settings.spec.inputs},
        "TimeZone": ("time_zone", settings.time_zone),
        **({"ApprovalStatus": ("approval", "Approved")} if settings.approval == "automatic" else {}),
        **{f"{step}InstanceType": ("instance_types", kind) for step, kind in settings.instance_types.items()},
        **{f"{step}InstanceCount": ("instance_counts", count) for step, count in settings.instance_counts.items()},
        **{name: ("limits", value) for name, value in settings.limits.items()},
    }


def deployed_definition(settings: Settings) -> dict[str, Any]:
    """The committed definition with the settings' defaults, tags and VPC; constants are not bound yet.

    Raises SettingError, which names the setting, for one that SageMaker would refuse in it.
    """
    changed = changed_defaults(settings)
    definition = _with_settings(settings, {name: value for name, (_, value) in changed.items()})
    if found := check_definition(definition):
        blamed = [_setting_of(changed, finding) for finding in found]
        setting = blamed[0]
        named = f"{setting}: {getattr(settings, setting)!r} cannot be used; " if setting else ""
        same = (str(finding) for finding, other in zip(found, blamed, strict=True) if other == setting)
        raise SettingError(named + "; ".join(same))
    return definition


def _setting_of(changed: Mapping[str, tuple[str, Any]], found: Finding) -> str | None:
    """The setting that put a refused value into the definition; None for a fault of the definition itself."""
    by_field = {"Tags": "tags", "SecurityGroupIds": "security_group_ids", "Subnets": "subnet_ids"}
    named = (changed[parameter][0] for parameter in found.parameters if parameter in changed)
    return next(named, next((setting for part, setting in by_field.items() if part in found.field), None))


def _with_settings(settings: Settings, changed: Mapping[str, Any]) -> dict[str, Any]:
    definition = read_definition(settings.workload)
    for parameter in definition["Parameters"]:
        parameter["DefaultValue"] = changed.get(parameter["Name"], parameter["DefaultValue"])
    defaults = {parameter["Name"]: parameter["DefaultValue"] for parameter in definition["Parameters"]}
    tags = [{"Key": key, "Value": value} for key, value in settings.all_tags.items()]
    vpc = {"SecurityGroupIds": list(settings.security_group_ids), "Subnets": list(settings.subnet_ids)}
    for step in all_steps(definition["Steps"]):
        if step["Type"] not in ("Processing", "Training"):
            continue
        job, processing = step["Arguments"], step["Type"] == "Processing"
        cluster = job["ProcessingResources"]["ClusterConfig"] if processing else job["ResourceConfig"]
        # Hardware encrypts local storage, and SageMaker refuses a key for it: API_ResourceConfig, VolumeKmsKeyId.
        if has_local_storage(defaults[cluster["InstanceType"]["Get"].removeprefix("Parameters.")]):
            del cluster["VolumeKmsKeyId"]
        if settings.tags or settings.monthly_budget_usd:  # a pipeline does not hand its own tags to its jobs
            job["Tags"] = tags
        if settings.subnet_ids:
            (job["NetworkConfig"] if processing else job)["VpcConfig"] = vpc
    if settings.mlflow_arn:
        definition["MlflowConfig"] = {
            "MlflowResourceArn": settings.mlflow_arn,
            "MlflowExperimentName": settings.pipeline_name,
        }
    return definition


def bound_body(settings: Settings, constants: Mapping[str, str]) -> str:
    """The text of the deployed definition, as a token that CloudFormation resolves.

    Raises ValueError when the definition names a constant that is not given, or one is given that it does not name.
    """
    body = json.dumps(deployed_definition(settings), separators=(",", ":"))
    named = set(re.findall(r"\$\{(\w+)\}", body))
    if named != set(constants):
        raise ValueError(f"deployment constants: the definition names {sorted(named)}, bound are {sorted(constants)}")
    return cdk.Fn.sub(body, dict(constants))
