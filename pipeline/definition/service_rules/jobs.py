"""Rules that join several fields of a job's request: instance types and keys, names, paths, tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.contract.names import MAX_INSTANCES
from pipeline.definition.service_rules.instances import has_local_storage, is_arm64
from pipeline.definition.service_rules.nodes import Node, Scope, at, objects
from pipeline.definition.service_rules.rules import Finding
from pipeline.definition.service_rules.values import resolve

PROCESSING_PATH: Final = "/opt/ml/processing/"
# Kind of step: where its cluster is in the request, and the API structure that it is.
_CLUSTERS: Final = {
    "Processing": (("ProcessingResources", "ClusterConfig"), "ProcessingClusterConfig"),
    "Training": (("ResourceConfig",), "ResourceConfig"),
    "Transform": (("TransformResources",), "TransformResources"),
}


def job_findings(node: Node, scope: Scope) -> Iterator[Finding]:
    """What the fields of a step's request break together."""
    tags = [item.get("Key") for item in objects(node.arguments.get("Tags"))]
    yield from node.unique("unique-name", "Tags", tags, "Tag")
    for key in tags:
        if isinstance(key, str) and key.lower().startswith("aws:"):
            yield node.found("reserved-name", "Tags", f'the key "{key}" begins with aws:, which is reserved')
    if node.type in _CLUSTERS:
        yield from _cluster(node, scope)
    if node.type == "Processing":
        yield from _processing(node, scope)
    if node.type == "Training":
        yield from _training(node, scope)
    if node.type == "RegisterModel" and "ModelPackageGroupName" in node.arguments and node.arguments.get("Tags"):
        yield node.found("model-package-tags", "Tags", "leave them out: the package has those of its group")


def _cluster(node: Node, scope: Scope) -> Iterator[Finding]:
    path, structure = _CLUSTERS[node.type]
    cluster, field = at(node.arguments, *path), ".".join(path)
    count = resolve(cluster.get("InstanceCount", 1), scope.values)
    if node.type == "Training" and isinstance(count.value, int) and not 1 <= count.value <= MAX_INSTANCES:
        text = f"{count.value} instances{count.origin}, a job has 1 to {MAX_INSTANCES}"
        yield node.found("instance-count", f"{field}.InstanceCount", text, parameters=count.parameters)
    instance = resolve(cluster.get("InstanceType"), scope.values)
    name, chosen = str(instance.value), instance.parameters
    if cluster.get("VolumeKmsKeyId") and has_local_storage(name):
        text = f"{name} has local storage, which its own hardware encrypts: choose a type without, or leave the key out"
        where = f"{field}.VolumeKmsKeyId"
        yield node.found("volume-key-local-storage", where, text, structure=structure, parameters=chosen)
    if is_arm64(name):
        text = f"{name} is arm64, the image amd64: choose a type without g after the generation, such as ml.m5.large"
        yield node.found("arm64-instance", f"{field}.InstanceType", text, parameters=chosen)


def _processing(node: Node, scope: Scope) -> Iterator[Finding]:
    inputs = objects(node.arguments.get("ProcessingInputs"))
    outputs = objects(at(node.arguments, "ProcessingOutputConfig").get("Outputs"))
    for kind, items, field in (
        ("Input", inputs, "ProcessingInputs"),
        ("Output", outputs, "ProcessingOutputConfig.Outputs"),
    ):
        names = [item.get(f"{kind}Name") for item in items]
        yield from node.unique("unique-name", field, names, f"Processing{kind}")
        for name, item in zip(names, items, strict=True):
            path = resolve(at(item, f"S3{kind}").get("LocalPath", PROCESSING_PATH), scope.values).value
            if isinstance(path, str) and not f"{path}/".startswith(PROCESSING_PATH):
                where, text = f"{kind} {name}.S3{kind}.LocalPath", f'"{path}" does not begin with {PROCESSING_PATH}'
                yield node.found("processing-path", where, text, structure=f"ProcessingS3{kind}")


def _training(node: Node, scope: Scope) -> Iterator[Finding]:
    channels = [item.get("ChannelName") for item in objects(node.arguments.get("InputDataConfig"))]
    yield from node.unique("unique-name", "InputDataConfig", channels, "Channel")
    algorithm = at(node.arguments, "AlgorithmSpecification")
    if algorithm and ("AlgorithmName" in algorithm) == ("TrainingImage" in algorithm):
        text = "exactly one of TrainingImage and AlgorithmName is needed"
        yield node.found("training-image", "AlgorithmSpecification", text)
    stop = at(node.arguments, "StoppingCondition")
    wait, run = (resolve(stop.get(key), scope.values) for key in ("MaxWaitTimeInSeconds", "MaxRuntimeInSeconds"))
    if isinstance(wait.value, int) and isinstance(run.value, int) and wait.value < run.value:
        text = f"{wait.value} is less than MaxRuntimeInSeconds, {run.value}"
        yield node.found("max-wait", "StoppingCondition.MaxWaitTimeInSeconds", text, parameters=wait.parameters)
