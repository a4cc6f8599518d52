"""`python -m scripts.versions` on deployed definitions, against an emulated AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulated_pipeline import PIPELINE, Cloud, deployed_definition, emulated
from moto.backends import get_backend
from sagemaker_emulation import ACCOUNT, REGION


@pytest.fixture
def cloud(root: Path, tmp_path: Path, definition: dict[str, Any]) -> Iterator[Cloud]:
    """Version 1 as committed, version 2 with another time limit, version 3 with yet another."""
    with emulated(root, tmp_path, definition) as made:
        for seconds in (60, 90):
            made.client("sagemaker").update_pipeline(
                PipelineName=PIPELINE, PipelineDefinition=json.dumps(limited(definition, seconds))
            )
        yield made


def limited(definition: dict[str, Any], seconds: int) -> dict[str, Any]:
    changed = json.loads(json.dumps(deployed_definition(definition)))
    changed["Steps"][0]["Arguments"]["StoppingCondition"]["MaxRuntimeInSeconds"] = seconds
    return dict(changed)


def deployed(cloud: Cloud) -> dict[str, Any]:
    answer = cloud.client("sagemaker").describe_pipeline(PipelineName=PIPELINE)
    return {**answer, "PipelineDefinition": json.loads(answer["PipelineDefinition"])}


def test_list_newest_first_in_words(cloud: Cloud) -> None:
    listed = cloud.run("versions", "list")
    assert listed.code == 0, listed.err
    rows = listed.out.splitlines()[1:4]
    assert [row.split()[0] for row in rows] == ["3", "2", "1"]
    assert rows[0].endswith("~ step Prepare: StoppingCondition.MaxRuntimeInSeconds: 60 -> 90")
    assert rows[2].endswith("the first one")
    (only,) = json.loads(cloud.run("versions", "list", "--json", "--limit", "1").out)
    assert (only["version"], len(only["changes"])) == (3, 1)


def test_a_pipeline_without_versions(cloud: Cloud) -> None:
    (pipeline,) = get_backend("sagemaker")[ACCOUNT][REGION].pipelines.values()
    pipeline.versions.clear()
    for arguments in (["list"], ["rollback", "1"], ["diff", "1", "2"]):
        done = cloud.run("versions", *arguments)
        assert (done.code, "has no version" in done.err) == (2, True)


def test_diff_of_deployed_versions_and_with_a_file(cloud: Cloud, definition: dict[str, Any], tmp_path: Path) -> None:
    done = cloud.run("versions", "diff", "1", "3")
    assert (done.code, done.out) == (1, "~ step Prepare: StoppingCondition.MaxRuntimeInSeconds: 3600 -> 90\n")
    file = tmp_path / "two.json"
    file.write_text(json.dumps(limited(definition, 60)), encoding="utf-8")
    assert cloud.run("versions", "diff", "2", str(file)).code == 0
    unknown = cloud.run("versions", "diff", "1", "9")
    assert (unknown.code, "has no version 9; it has 1 to 3" in unknown.err) == (2, True)


def test_rollback_asks_first(cloud: Cloud) -> None:
    declined = cloud.run("versions", "rollback", "1", answer="n\n")
    assert declined.code == 1
    assert "MaxRuntimeInSeconds: 90 -> 3600" in declined.out
    assert "nothing was changed" in declined.out
    assert cloud.run("versions", "rollback", "1").code == 1, "no answer is a no"
    assert deployed(cloud)["PipelineDefinition"]["Steps"][0]["Arguments"]["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 90
    }


def test_rollback_deploys_that_definition_and_keeps_the_rest(cloud: Cloud, definition: dict[str, Any]) -> None:
    before = deployed(cloud)
    done = cloud.run("versions", "rollback", "1", "--yes")
    assert done.code == 0, done.err
    assert "deployed as version 4" in done.out
    assert "next `cdk deploy`" in done.out
    after = deployed(cloud)
    assert after["PipelineDefinition"] == deployed_definition(definition)
    for kept in ("RoleArn", "PipelineDescription"):
        assert after[kept] == before[kept]
    again = cloud.run("versions", "rollback", "1", "--yes")
    assert (again.code, "nothing to do" in again.out) == (0, True)


def test_without_credentials(cloud: Cloud) -> None:
    done = cloud.run("versions", "list", AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    assert (done.code, "no usable AWS credentials" in done.err) == (2, True)
