"""The rules of SageMaker Pipelines, and of the requests of its steps, that can be checked without an account.

Each has the address of the page that states it. `API_` is short for the page of the API structure that has the field:
names, lengths, counts, characters and enumerations are those of the service's own model (shapes.json).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_GUIDE: Final = "https://docs.aws.amazon.com/sagemaker/latest/dg"
_API: Final = "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_"
_STEPS: Final = f"{_GUIDE}/build-and-manage-steps-types.html"
_BUILD: Final = f"{_GUIDE}/build-and-manage-steps.html"
_SCHEMA: Final = "https://aws-sagemaker-mlops.github.io/sagemaker-model-building-pipeline-definition-JSON-schema/"
_SDK: Final = "https://sagemaker.readthedocs.io/en/stable/amazon_sagemaker_model_building_pipeline.html"
_RETRIES: Final = f"{_GUIDE}/pipelines-retry-policy.html"
_CLUSTER: Final = f"{_API}ProcessingClusterConfig.html"
_ISSUES: Final = "https://github.com/aws/sagemaker-python-sdk/issues"
_INSTANCES: Final = "https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html"


@dataclass(frozen=True)
class Rule:
    """A rule, in one sentence, and where AWS states it."""

    name: str
    says: str
    source: str


@dataclass(frozen=True)
class Finding:
    """A place of a definition that breaks a rule; `step` is empty for the pipeline itself."""

    step: str
    field: str
    rule: Rule
    message: str
    source: str
    parameters: tuple[str, ...] = ()  # the pipeline parameters whose values take part

    def __str__(self) -> str:
        where = f"step {self.step}, {self.field}" if self.step else f"pipeline, {self.field}"
        return f"{where}: {self.message} [{self.rule.name}: {self.source}]"


def page(structure: str) -> str:
    return f"{_API}{structure}.html"


RULES: Final = {
    rule.name: rule
    for rule in (
        # --- the document -----------------------------------------------------------------------------------------
        Rule("definition-size", "A definition has at most 1,048,576 characters.", page("CreatePipeline")),
        Rule("version", "The schema's only version is 2020-12-01.", _SCHEMA),
        Rule("unknown-key", 'The parser is strict: "Cannot parse object, unknown property".', f"{_ISSUES}/2746"),
        Rule("null-key", "No property of the schema may be null: leave the key out.", _SCHEMA),
        Rule("structure", "Each part has the type and the required keys that the schema gives it.", _SCHEMA),
        Rule("step-type", "The types of steps are those of the documentation.", _STEPS),
        Rule("step-name", "A step's name is unique and has 1 to 64 letters, digits, - and _.", _SCHEMA),
        # --- parameters -------------------------------------------------------------------------------------------
        Rule("parameter-count", "A pipeline has at most 200 parameters.", page("StartPipelineExecution")),
        Rule("parameter-name", "A parameter's name is unique and has letters, digits, - and _.", page("Parameter")),
        Rule("parameter-value", "A default has its parameter's type and at most 1,024 characters.", page("Parameter")),
        Rule("parameter-choices", "A default is one of at most 16 allowed values.", f"{_ISSUES}/2314"),
        # --- the graph --------------------------------------------------------------------------------------------
        Rule("nested-condition", "A Condition step cannot be in a branch of another Condition step.", _STEPS),
        Rule("same-step-in-both-branches", "The two branches of a condition cannot have identical steps.", _STEPS),
        Rule("depends-on-condition", "A Condition step cannot be in another step's DependsOn.", f"{_ISSUES}/3565"),
        Rule("depends-on-fail", "A Fail step ends the run: no step can depend on it or refer to it.", _STEPS),
        Rule("depends-on", "DependsOn names steps of the pipeline.", _BUILD),
        Rule("cycle", "Steps form a directed acyclic graph.", f"{_GUIDE}/pipelines-overview.html"),
        Rule("condition", "Conditions have the types, keys and values of the schema.", _SCHEMA),
        Rule("fail-message", "A Fail step's message is text of at most 3,072 characters.", _STEPS),
        # --- references -------------------------------------------------------------------------------------------
        Rule("parameter-exists", "Parameters of steps are defined.", f"{_GUIDE}/build-and-manage-pipeline.html"),
        Rule("step-exists", "A reference names a step of the pipeline.", _BUILD),
        Rule("property-exists", "A step's properties are those of its job's Describe response.", _BUILD),
        Rule("execution-variable", "Execution variables are those of the documentation.", _SDK),
        Rule("reference-type", "A reference has the type that its place takes; Std:Join makes text of any.", _SDK),
        Rule("function", "Get, Std:Join, Std:JsonGet have the documented form; a JSON path is literal text.", _SDK),
        Rule(
            "property-file",
            "A property file is in an output of its own step.",
            f"{_GUIDE}/build-and-manage-propertyfile.html",
        ),
        # --- policies of steps ------------------------------------------------------------------------------------
        Rule("retry-policy", "Retry policies have the documented steps, exceptions and ranges.", _RETRIES),
        Rule("cache", "CacheConfig has Enabled and an ISO 8601 duration.", f"{_GUIDE}/pipelines-caching.html"),
        # --- requests of steps: each field as its API structure says ----------------------------------------------
        Rule("required", "A request has the required fields of its API call.", page("CreateProcessingJob")),
        Rule("field-type", "A field has the type of its API structure.", page("CreateProcessingJob")),
        Rule("count", "Lists and maps have the counts of their API structure.", page("CreateProcessingJob")),
        Rule("length", "Texts have the lengths of their API structure.", page("CreateProcessingJob")),
        Rule("characters", "Texts have the characters of their API structure.", page("CreateModelPackage")),
        Rule("range", "Numbers are in the range of their API structure.", _CLUSTER),
        Rule("choice", "A word is one of those that its API structure lists.", page("ProcessingS3Input")),
        Rule("instance-type", "The instance type exists for this kind of job.", _CLUSTER),
        # Of a training job the service's model names no limit; its quota is lower.
        Rule("instance-count", "A job has 1 to 100 instances.", _CLUSTER),
        Rule("reserved-name", "Keys of tags that begin with aws: are reserved.", page("Tag")),
        Rule("unique-name", "Names of inputs, outputs, channels, and keys of tags are unique in a job.", page("Tag")),
        Rule("volume-key-local-storage", "An instance type with local storage takes no VolumeKmsKeyId.", _CLUSTER),
        Rule("arm64-instance", "An amd64 image does not start on Graviton or Grace (arm64).", _INSTANCES),
        Rule("processing-path", "LocalPath begins with /opt/ml/processing/.", page("ProcessingS3Input")),
        Rule("training-image", "A job names an algorithm or an image, not both.", page("AlgorithmSpecification")),
        Rule("model-package-tags", "A model package takes no tags: it has its group's.", page("CreateModelPackage")),
        Rule("max-wait", "MaxWaitTimeInSeconds is at least MaxRuntimeInSeconds.", page("StoppingCondition")),
    )
}
