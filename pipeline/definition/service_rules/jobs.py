"""Rules that join several fields of a job's request: instance types and keys, names, paths, tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pipeline.contract.names import MAX_INSTANCES
from pipeline.definition.service_rules.graph import objects
from pipeline.definition.service_rules.instances import has_local_storage, is_arm64
from pipeline.definition.service_rules.requests import Context
from pipeline.definition.service_rules.rules import Finding, finding
from pipeline.definition.service_rules.values import resolve

PROCESSING_PATH: Final = "/opt/ml/processing/"
# Kind of step: where its cluster stands in the request, and the API structure that it is.
_CLUSTERS: Final = {
    "Processing": (("ProcessingResources", "ClusterConfig"), "ProcessingClusterConfig"),
    "Training": (("ResourceConfig",), "ResourceConfig"),
    "Transform": (("TransformResources",), "TransformResources"),
}


def job_findings(context: Context) -> Iterator[Finding]:
    """What the fields of a step's request break together."""
    arguments = context.node.arguments
    yield from _cluster(context)
    yield from _tags(context, arguments.get("Tags"))
    if context.node.type == "Processing":
        yield from _processing(context, arguments)
    if context.node.type == "Training":
        yield from _training(context, arguments)
    if context.node.type == "RegisterModel" and "ModelPackageGroupName" in arguments and arguments.get("Tags"):
        yield finding(
            "model-package-tags", context.node.name, "Tags", "leave them out: the package has those of its group"
        )


def _cluster(context: Context) -> Iterator[Finding]:
    step = context.node.name
    path, structure = _CLUSTERS.get(context.node.type, ((), ""))
    cluster = _at(context.node.arguments, *path) if path else {}
    count = resolve(cluster.get("InstanceCount", 1), context.values)
    training = context.node.type == "Training" and isinstance(count.value, int)
    if training and not 1 <= count.value <= MAX_INSTANCES:
        text = f"{count.value} instances{_with(count.parameters)}, a job has 1 to {MAX_INSTANCES}"
        yield finding("instance-count", step, f"{'.'.join(path)}.InstanceCount", text, parameters=count.parameters)
    resolved = resolve(cluster.get("InstanceType"), context.values)
    if not resolved.known or not isinstance(resolved.value, str):
        return
    name, field = resolved.value, ".".join(path)
    if cluster.get("VolumeKmsKeyId") and has_local_storage(name):
        text = f"{name} has local storage, which its own hardware encrypts: choose a type without, or leave the key out"
        yield finding(
            "volume-key-local-storage",
            step,
            f"{field}.VolumeKmsKeyId",
            text,
            structure=structure,
            parameters=resolved.parameters,
        )
    if is_arm64(name):
        text = f"{name} is arm64, the image amd64: choose a type without g after the generation, such as ml.m5.large"
        yield finding("arm64-instance", step, f"{field}.InstanceType", text, parameters=resolved.parameters)


def _processing(context: Context, arguments: Mapping[str, Any]) -> Iterator[Finding]:
    step = context.node.name
    inputs = objects(arguments.get("ProcessingInputs"))
    outputs = objects(_at(arguments, "ProcessingOutputConfig").get("Outputs"))
    yield from _unique(step, "ProcessingInputs", [item.get("InputName") for item in inputs], "ProcessingInput")
    yield from _unique(
        step, "ProcessingOutputConfig.Outputs", [item.get("OutputName") for item in outputs], "ProcessingOutput"
    )
    for kind, items in (("Input", inputs), ("Output", outputs)):
        for item in items:
            place = _at(item, f"S3{kind}")
            path = resolve(place.get("LocalPath", PROCESSING_PATH), context.values)
            if path.known and isinstance(path.value, str) and not f"{path.value}/".startswith(PROCESSING_PATH):
                field = f"{kind} {item.get(f'{kind}Name')}.S3{kind}.LocalPath"
                text = f'"{path.value}" does not begin with {PROCESSING_PATH}'
                yield finding("processing-path", step, field, text, structure=f"ProcessingS3{kind}")


def _training(context: Context, arguments: Mapping[str, Any]) -> Iterator[Finding]:
    step = context.node.name
    channels = [item.get("ChannelName") for item in objects(arguments.get("InputDataConfig"))]
    yield from _unique(step, "InputDataConfig", channels, "Channel")
    algorithm = arguments.get("AlgorithmSpecification")
    if isinstance(algorithm, Mapping) and ("AlgorithmName" in algorithm) == ("TrainingImage" in algorithm):
        text = "exactly one of TrainingImage and AlgorithmName is needed"
        yield finding("training-image", step, "AlgorithmSpecification", text)
    stop = _at(arguments, "StoppingCondition")
    wait, run = (resolve(stop.get(key), context.values) for key in ("MaxWaitTimeInSeconds", "MaxRuntimeInSeconds"))
    if isinstance(wait.value, int) and isinstance(run.value, int) and wait.value < run.value:
        text = f"{wait.value} is less than MaxRuntimeInSeconds, {run.value}"
        yield finding("max-wait", step, "StoppingCondition.MaxWaitTimeInSeconds", text, parameters=wait.parameters)


def _tags(context: Context, tags: object) -> Iterator[Finding]:
    keys = [item.get("Key") for item in objects(tags)]
    yield from _unique(context.node.name, "Tags", keys, "Tag")
    for key in keys:
        if isinstance(key, str) and key.lower().startswith("aws:"):
            yield finding(
                "reserved-name", context.node.name, "Tags", f'the key "{key}" begins with aws:, which is reserved'
            )


def _unique(step: str, field: str, names: list[Any], structure: str) -> Iterator[Finding]:
    for name, count in Counter(name for name in names if isinstance(name, str)).items():
        if count > 1:
            yield finding("unique-name", step, field, f'"{name}" is given {count} times', structure=structure)


def _with(parameters: tuple[str, ...]) -> str:
    return f" (with {', '.join(parameters)})" if parameters else ""


def _at(value: Any, *path: str) -> Mapping[str, Any]:
    """The object at a path, an empty one where there is none: what is of another type is named elsewhere."""
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
