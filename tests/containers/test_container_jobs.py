"""Single jobs in containers: what a program sees, its limits, its isolation, its end."""

from __future__ import annotations

import subprocess

import pytest
from containers import OUT, containers_of, end_of, job

from pipeline.contract.code_version import image_content
from pipeline.local.launch.container_runtime import ContainerRuntimeError, image_details, require_image
from pipeline.local.store.store import Store


def test_a_job_sees_its_arguments_and_environment_as_they_are_and_no_network(image: str, store: Store) -> None:
    program = (
        "import json, os, pathlib, sys; pathlib.Path(sys.argv[1], 'seen.json').write_text(json.dumps({"
        "'arguments': sys.argv[2:], 'environment': dict(os.environ), 'network': sorted(os.listdir('/sys/class/net')),"
        "'config': json.load(open('/opt/ml/config/processingjobconfig.json'))['ProcessingJobName']}))"
    )
    result = end_of(image, store, job(image, program, OUT, "$HOME", "a b", "'\"", "$$X"))
    assert result.status == "Succeeded", result.failure
    seen = store.read_json("s3://artifacts/out/seen.json")
    assert isinstance(seen, dict)
    assert seen["arguments"] == ["$HOME", "a b", "'\"", "$$X"]
    assert seen["environment"]["PRICE"] == "$5 for $HOME: $$ $(PATH)"
    assert seen["environment"]["PROCESSING_JOB_NAME"] == seen["config"] == result.step("Job").job_name
    assert seen["network"] == ["lo"]
    assert containers_of(store.root) == []


def test_a_result_is_known_by_the_image_that_made_it(image: str, store: Store) -> None:
    """The same request, in an image of the same code: on another base, its result is another."""
    other = f"{image}-on-another-base"
    build = ["docker", "build", "--quiet", "--tag", other, "-"]
    subprocess.run(build, input=f"FROM {image}\nLABEL base=another\n", text=True, check=True, capture_output=True)
    try:
        cached = [end_of(name, store, job(image, "pass")).step("Job").cached for name in (image, image, other)]
    finally:
        subprocess.run(["docker", "rmi", other], check=False, capture_output=True)
    assert cached == [False, True, False]


def test_a_job_that_is_not_isolated_has_a_network_which_goes_with_it(image: str, store: Store) -> None:
    program = "import os, sys; open(sys.argv[1] + '/net', 'w').write(' '.join(sorted(os.listdir('/sys/class/net'))))"
    assert end_of(image, store, job(image, program, OUT, isolated=False)).status == "Succeeded"
    assert "eth0" in store.object_path("s3://artifacts/out/net").read_text()
    assert containers_of(store.root) == []


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import sys; print('bad luck'); sys.exit(3)", "exit code 3: bad luck"),
        (
            "import pathlib, sys; pathlib.Path('/opt/ml/output/message').write_text('no games today'); sys.exit(1)",
            "no games today",
        ),
    ],
)
def test_a_bad_end_is_explained(image: str, store: Store, program: str, reason: str) -> None:
    result = end_of(image, store, job(image, program))
    assert result.status == "Failed"
    assert result.failure.reason == reason
    assert containers_of(store.root) == []


def test_a_job_ends_at_its_time_limit(image: str, store: Store) -> None:
    result = end_of(image, store, job(image, "import time; print('begun', flush=True); time.sleep(60)", seconds=3))
    assert result.failure.reason == "stopped after its MaxRuntimeInSeconds of 3"
    assert result.failure.log_lines == ("begun",)
    assert containers_of(store.root) == []


def test_an_image_that_is_gone_is_not_looked_for_elsewhere(image: str, store: Store) -> None:
    step = job(image, "pass")
    step["Arguments"]["AppSpecification"]["ImageUri"] = "retraining:never-built"
    result = end_of(image, store, step)
    assert result.failure.reason == "there is no image retraining:never-built: make image"


def test_an_image_of_other_code_is_refused(image: str) -> None:
    assert require_image(image, image_content("nba")) == (image_details(image) or {})["Id"]
    with pytest.raises(ContainerRuntimeError, match=f"the image {image} holds other code than this folder: make image"):
        require_image(image, "other")
    with pytest.raises(ContainerRuntimeError, match="there is no image retraining:never-built: make image"):
        require_image("retraining:never-built", "any")
