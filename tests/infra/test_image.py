"""The image in the deployed definition: an asset of pipeline/ for linux/amd64, named by content, or a prebuilt one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from synthesis import IMAGE, Synthesise, cdk_context

from pipeline.contract.code_version import PACKAGE, image_files, write_image_context

Asset = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def out(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from app import build

    folder = tmp_path_factory.mktemp("asset")
    build(cdk_context(root, image_uri=None), str(folder)).synth()
    return folder


@pytest.fixture(scope="module")
def asset(out: Path) -> Asset:
    """The asset's folder and its entry in the manifest that the CDK CLI publishes from."""
    (manifest,) = out.glob("*.assets.json")
    (entry,) = json.loads(manifest.read_text(encoding="utf-8"))["dockerImages"].items()
    return out / entry[1]["source"]["directory"], {"digest": entry[0], **entry[1]["source"]}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(template: dict[str, Any], action: str) -> list[dict[str, Any]]:
    found = []
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::IAM::Policy":
            found += [s for s in resource["Properties"]["PolicyDocument"]["Statement"] if action in s["Action"]]
    return found


def test_the_asset_holds_what_the_image_holds_and_its_dockerfile(asset: Asset) -> None:
    folder, source = asset
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    expected = {path.relative_to(PACKAGE).as_posix() for path in image_files("nba")}
    assert files == expected | {"Dockerfile", ".dockerignore"}
    assert source["platform"] == "linux/amd64"
    assert source["dockerOutputs"] == ["type=docker"], (
        "SageMaker takes no OCI manifest, which engines push by themselves"
    )


def test_every_step_and_the_model_package_name_the_image_by_its_content(out: Path, asset: Asset) -> None:
    (path,) = out.glob("*.template.json")
    template = json.loads(path.read_text(encoding="utf-8"))
    (pipeline,) = [r for r in template["Resources"].values() if r["Type"] == "AWS::SageMaker::Pipeline"]
    body, bound = pipeline["Properties"]["PipelineDefinition"]["PipelineDefinitionBody"]["Fn::Sub"]
    uri = bound["ImageUri"]["Fn::Sub"]
    assert uri.endswith(f":{asset[1]['digest']}")
    assert body.count("${ImageUri}") >= 5
    repository = [":repository/", {"Fn::Sub": uri.split("/")[1].rsplit(":", 1)[0]}]
    pulls = statements(template, "ecr:BatchGetImage")
    assert pulls
    assert all(repository in [item["Fn::Join"][1][-2:] for item in listed(pull["Resource"])] for pull in pulls)


def test_a_change_of_the_code_is_another_image(asset: Asset, root: Path, tmp_path: Path) -> None:
    """The tag is a digest of the files: a deploy without a change changes nothing."""

    import aws_cdk as cdk
    from aws_cdk import aws_ecr_assets as ecr_assets

    def digest(folder: Path) -> str:
        stack = cdk.Stack(cdk.App(outdir=str(tmp_path / f"out-{folder.name}")), "Stack")
        arguments = asset[1]["dockerBuildArgs"]
        platform = ecr_assets.Platform.LINUX_AMD64
        image = ecr_assets.DockerImageAsset(
            stack,
            "Image",
            directory=str(folder),
            platform=platform,
            build_args=arguments,
            outputs=asset[1]["dockerOutputs"],
        )
        return image.asset_hash

    copies = [tmp_path / name for name in ("same", "changed")]
    for copy in copies:
        write_image_context("nba", copy)
    (copies[1] / "evaluation" / "metrics.py").open("a").write("# changed\n")
    assert digest(copies[0]) == asset[1]["digest"]
    assert digest(copies[1]) != asset[1]["digest"]


def test_a_prebuilt_image_is_bound_and_nothing_is_built(synthesise: Synthesise) -> None:
    template = synthesise(env="dev")
    (pipeline,) = [r for r in template["Resources"].values() if r["Type"] == "AWS::SageMaker::Pipeline"]
    _, bound = pipeline["Properties"]["PipelineDefinition"]["PipelineDefinitionBody"]["Fn::Sub"]
    assert bound["ImageUri"] == IMAGE
    for pull in statements(template, "ecr:BatchGetImage"):
        assert ':ecr:us-east-1:111122223333:repository/retraining"]]}' in json.dumps(pull["Resource"])
