"""The settings of a deployment: an environment of cdk.json, overridden with `-c key=value`, validated at synthesis.

No network: what needs an account (does the image exist?) is not validated here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from infra.settings import settings_validation as rule
from infra.settings.settings_validation import SettingError
from infra.settings.tag_rules import ENVIRONMENT_TAG, PIPELINE_TAG
from pipeline.contract.names import promoter_name
from pipeline.contract.rules.calls import WorkloadError
from pipeline.contract.spec import Spec
from pipeline.contract.workload import WORKLOAD_KEY, default_workload, load_spec, read_definition

ENVIRONMENT_KEY: Final = "env"
ENVIRONMENTS_KEY: Final = "environments"
ENVIRONMENTS: Final = ("dev", "prod")
# The other variables of the endpoint's function take up to 1.9 KB: docs.aws.amazon.com/lambda, quotas.
_TAGS_OF_ENDPOINT: Final = 2000
_EMAIL: Final = rule.matching(
    r"(?=.{1,254}$)(?=[^@]{1,64}@)[A-Za-z0-9_!#$%&'*+/=?^`{|}~-]+(\.[A-Za-z0-9_!#$%&'*+/=?^`{|}~-]+)*"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]",
    "an email address such as oncall@example.com",
)
# The domain is the partition's: amazonaws.com, amazonaws.com.cn, ...
_REPOSITORY: Final = r"[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+(\.[a-z0-9-]+)+/[a-z0-9._/-]+"
_DIGEST: Final = "@sha256:[0-9a-f]{64}"
_IMAGE: Final = rule.matching(
    _REPOSITORY + _DIGEST,
    "an image in ECR by its digest, such as 111122223333.dkr.ecr.us-east-1.amazonaws.com/retraining@sha256:<64 digits> "
    "(a tag may be moved between training and serving); `python -m scripts.build_image --push` prints it, as does `aws "
    "ecr describe-images --repository-name <name> --image-ids imageTag=<tag> --query 'imageDetails[0].imageDigest'`",
)
_IMAGE_OR_TAG: Final = rule.matching(
    f"{_REPOSITORY}(:[\\w.-]{{1,128}}|{_DIGEST})",
    "an image in ECR with tag or digest, such as 111122223333.dkr.ecr.us-east-1.amazonaws.com/spark:3.5",
)

_LONGEST_REGION: Final = "ap-southeast-1"
_ROLE_NAME: Final = 64  # docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_ACCOUNTS: Final = rule.list_of(rule.matching("[0-9]{12}", "account ids of 12 digits such as 111122223333"), most=10)


def _setting(read: Callable[..., Any], default: object, meaning: str) -> Any:  # noqa: ANN401 - becomes a field of any type
    kind = {"default_factory": lambda: default} if isinstance(default, dict) else {"default": default}
    return field(**kind, metadata={"read": read, "meaning": meaning})


@dataclass(frozen=True)
class Settings:
    """All settings of a deployment; each field has its meaning beside its default."""

    environment: str
    workload: str = _setting(rule.workload, "", "the folder of pipeline/workloads that is deployed")
    image_uri: str = _setting(
        _IMAGE, "", "a prebuilt image in ECR for every step; without it, the deploy builds one from pipeline/Dockerfile"
    )
    spark_image_uri: str = _setting(
        _IMAGE_OR_TAG, "", "an image in ECR for AggregateOnSpark; without it, SageMaker's own Spark image of the region"
    )
    alert_emails: tuple[str, ...] = _setting(
        rule.list_of(_EMAIL), (), "addresses that get emails about failures and alarms"
    )
    approver_emails: tuple[str, ...] = _setting(
        rule.list_of(_EMAIL), (), "addresses that get emails about versions that wait for approval"
    )
    model_contact: str = _setting(
        rule.matching(r"[ -~]{1,256}", "a name or address of 1 to 256 ASCII characters"),
        "",
        "who answers for the model, in model cards; without it, the workload's",
    )
    alert_endpoints: tuple[str, ...] = _setting(
        rule.list_of(rule.matching(rule.ENDPOINT, rule.ENDPOINTS)),
        (),
        "HTTPS addresses and ARNs of SQS queues that get each email and alarm as JSON (docs/emails.md)",
    )
    slack: Mapping[str, str] = _setting(
        rule.ids(rule.SLACK), {}, "Slack channel that shows them: workspace=T...,channel=C..."
    )
    microsoft_teams: Mapping[str, str] = _setting(
        rule.ids(rule.MICROSOFT_TEAMS),
        {},
        "Microsoft Teams channel that shows them, by the ids of its link: tenant=...,group=...,channel=19%3A...",
    )
    schedule: str = _setting(rule.schedule, "cron(0 9 * * ? *)", "schedule of the runs, in `time_zone`")
    time_zone: str = _setting(
        rule.time_zone, "", "time zone of the schedule and of the rows' days (IANA name); without it, the workload's"
    )
    enabled: bool = _setting(rule.boolean, True, "whether the schedule is enabled")
    data_arrival: bool = _setting(rule.boolean, False, "whether a completion marker below the data prefix starts a run")
    completion_marker: str = _setting(
        rule.matching(r"[A-Za-z0-9._-]{1,100}", "a file name such as _SUCCESS"),
        "_SUCCESS",
        "name of the object that marks a complete export",
    )
    events_prefix: str = _setting(
        rule.events_prefix,
        "none",
        "folder in the data bucket of the files that the workload's extra steps read; none: no such files",
    )
    model_group: str = _setting(
        # IAM compares ARNs by case, and SageMaker has written those of groups in lower case (model-package/...).
        rule.matching(r"[a-z0-9](-*[a-z0-9]){0,62}", "lower-case letters, digits and hyphens, 63 at most"),
        "",
        "name of the model package group; without it, that of the workload and the environment",
    )
    drift_trigger: bool = _setting(
        rule.boolean, True, "whether an alarm of the monitor (live loss, drift) starts a run, at most once a day"
    )
    approval: str = _setting(
        rule.one_of("manual", "automatic"), "manual", "whether a version that replaces the champion needs approval"
    )
    instance_types: Mapping[str, str] = _setting(
        rule.instance_types, {}, "instance types of the steps, e.g. Train=ml.m5.xlarge"
    )
    instance_counts: Mapping[str, int] = _setting(
        rule.instance_counts, {}, "instance counts of the steps, e.g. Train=2; default 1"
    )
    limits: Mapping[str, int | float] = _setting(
        rule.limits, {}, "limits that override the pipeline's, e.g. MaxLogLoss=0.67"
    )
    serving: str = _setting(
        rule.one_of("off", "serverless", "instance"), "off", "the endpoint that serves the champion, or none"
    )
    serving_memory_mb: int = _setting(
        rule.number_among(*rule.SERVERLESS_MEMORY_MB), 2048, "memory of a serverless endpoint"
    )
    serving_max_concurrency: int = _setting(
        rule.whole_number(1, 200), 5, "concurrent requests of a serverless endpoint; more are throttled"
    )
    serving_instance_type: str = _setting(
        rule.endpoint_instance_type, "ml.m5.large", "instance type of an endpoint on instances"
    )
    serving_instance_count: int = _setting(rule.whole_number(1, 20), 1, "instance count of an endpoint on instances")
    serving_stale_after_days: int = _setting(
        rule.whole_number(1, 3650), 7, "age in days from which responses mark the model's state as stale"
    )
    log_retention_days: int = _setting(rule.retention_days, 365, "retention in days of the functions' logs")
    run_retention_days: int = _setting(
        rule.whole_number(7, 3650),
        365,
        "retention in days of the files of a run; an older version cannot be approved",
    )
    removal_policy: str = _setting(
        rule.one_of("retain", "destroy"), "retain", "what `cdk destroy` does with data, models and keys"
    )
    monthly_budget_usd: int = _setting(
        rule.whole_number(0, 1_000_000),
        0,
        "budget in US dollars a month, actual or forecast, that sends email to the alert addresses; 0: no budget",
    )
    max_run_usd: float = _setting(
        rule.dollars(1_000_000),
        0.0,
        "most that a run may be estimated to cost in US dollars: above it, no start, neither automatic nor by "
        "`start_execution`; 0: no limit",
    )
    subnet_ids: tuple[str, ...] = _setting(
        rule.list_of(rule.matching("subnet-[0-9a-f]{8,17}", "subnet ids such as subnet-0123456789abcdef0"), most=16),
        (),
        "subnets of the jobs; requires security_group_ids",
    )
    security_group_ids: tuple[str, ...] = _setting(
        rule.list_of(rule.matching("sg-[0-9a-f]{8,17}", "security group ids such as sg-0123456789abcdef0"), most=5),
        (),
        "security groups of the jobs; requires subnet_ids",
    )
    permissions_boundary: str = _setting(
        rule.matching(r"arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[\w+=,.@/-]+", "the ARN of an IAM policy"),
        "",
        "permissions boundary of every role",
    )
    mlflow_arn: str = _setting(
        rule.matching(
            r"arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:[0-9]{12}:mlflow-(tracking-server|app)/[A-Za-z0-9][A-Za-z0-9-]{0,255}",
            "the ARN of a tracking server or an app of SageMaker's MLflow, such as "
            "arn:aws:sagemaker:us-east-1:111122223333:mlflow-app/app-ABC123",
        ),
        "",
        "SageMaker's MLflow that the runs are recorded in; without it, none",
    )
    trusted_accounts: tuple[str, ...] = _setting(
        _ACCOUNTS, (), "accounts whose promoter role may read this deployment's versions (docs/accounts.md)"
    )
    promotes_from: tuple[str, ...] = _setting(
        _ACCOUNTS, (), "accounts whose approved versions may be promoted into this deployment; makes its promoter role"
    )
    tags: Mapping[str, str] = _setting(rule.tags, {}, "tags of every resource")

    @property
    def pipeline_name(self) -> str:
        return f"{self.spec.deployment}-{self.environment}"

    @property
    def group_name(self) -> str:
        return self.model_group or f"{self.spec.group}-{self.environment}"

    @property
    def all_tags(self) -> dict[str, str]:
        """Tags of every resource; `pipeline` is the cost allocation tag."""
        return {ENVIRONMENT_TAG: self.environment, **self.tags, PIPELINE_TAG: self.pipeline_name}

    @property
    def retain(self) -> bool:
        return self.removal_policy == "retain"

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> Settings:
        """The settings of the environment that `-c env=` names (dev by default).

        Keys with a colon or an @ are the CDK's own. Raises SettingError, which names key, value and what is allowed.
        """
        environment = context.get(ENVIRONMENT_KEY, ENVIRONMENTS[0])
        if environment not in ENVIRONMENTS:
            raise SettingError(_wrong(ENVIRONMENT_KEY, environment, f"one of {', '.join(ENVIRONMENTS)}"))
        base = environment_settings(context.get(ENVIRONMENTS_KEY, {}), environment)
        given = {
            k: v
            for k, v in context.items()
            if k not in (ENVIRONMENT_KEY, ENVIRONMENTS_KEY) and not re.search("[:@]", k)
        }
        wanted = {WORKLOAD_KEY: default_workload(), **base, **given}
        try:
            spec = load_spec(read_setting(WORKLOAD_KEY, wanted[WORKLOAD_KEY], None))
            read_definition(spec.name)
        except WorkloadError as error:
            raise SettingError(str(error)) from error
        values = {key: read_setting(key, value, spec) for key, value in wanted.items()}
        settings = cls(environment=environment, **{"time_zone": spec.time_zone, **values})
        settings._check_together()
        return settings

    @property
    def spec(self) -> Spec:
        return load_spec(self.workload)

    def _check_together(self) -> None:
        if self.environment == "prod" and self.enabled and not self.alert_emails:
            reason = "at least one address, because prod runs unattended and must report failures"
            raise SettingError(_wrong("alert_emails", (), f"{reason} (cdk.json, environments, prod)"))
        if self.monthly_budget_usd and not self.alert_emails:
            reason = "at least one address, because monthly_budget_usd only sends email to these"
            raise SettingError(_wrong("alert_emails", (), reason))
        if self.serving != "off" and len(json.dumps(dict(self.tags))) > _TAGS_OF_ENDPOINT:
            reason = (
                f"at most {_TAGS_OF_ENDPOINT} characters of JSON with serving: a Lambda function's variables have 4 KB"
            )
            raise SettingError(_wrong("tags", dict(self.tags), reason))
        if self.promotes_from and len(promoter_name(self.pipeline_name, _LONGEST_REGION)) > _ROLE_NAME:
            reason = f"none, because the name of its role, {promoter_name(self.pipeline_name, '<region>')}, is too long"
            raise SettingError(_wrong("promotes_from", self.promotes_from, reason))
        if bool(self.subnet_ids) != bool(self.security_group_ids):
            missing = "security_group_ids" if self.subnet_ids else "subnet_ids"
            raise SettingError(_wrong(missing, "", "at least one, because the other setting of the VPC is given"))


def environment_settings(environments: object, name: str) -> Mapping[str, Any]:
    """The settings of an environment in cdk.json; raises SettingError where there can be none."""
    if not isinstance(environments, Mapping) or not isinstance(environments.get(name, {}), Mapping):
        raise SettingError(
            _wrong(ENVIRONMENTS_KEY, environments, f"an object that has an object of settings for {name}")
        )
    found: Mapping[str, Any] = environments.get(name, {})
    return found


OF_SPEC: Final = ("events_prefix", "instance_types", "instance_counts", "limits")  # read as the workload allows
READERS: Final[Mapping[str, Callable[..., Any]]] = {f.name: f.metadata["read"] for f in fields(Settings) if f.metadata}


def read_setting(key: str, value: object, spec: Spec | None) -> Any:  # noqa: ANN401 - the type is the reader's
    """A setting's value; raises SettingError."""
    if key not in READERS:
        raise SettingError(
            f"unknown setting {key}{rule.suggestion(key, tuple(READERS))}: there are {', '.join(READERS)}"
        )
    try:
        return READERS[key](spec)(value) if key in OF_SPEC else READERS[key](value)
    except SettingError as error:
        raise SettingError(_wrong(key, value, str(error))) from error


def _wrong(key: str, value: object, allowed: str) -> str:
    return f"{key}: {value!r} cannot be used; allowed: {allowed}"
