"""The image: small, nothing superfluous in it, its layers, and its entry point in real containers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from containers import run

from pipeline.contract.code_version import PACKAGE, image_files, write_image_context
from pipeline.jobs.entrypoint import COMMANDS
from pipeline.local.launch.container_runtime import CONTENT_LABEL, has_buildx, image_details
from scripts.build_image import build

MAX_MEGABYTES = 700
UNPRIVILEGED = "10001"
CONFIGURED = ("Env", "Entrypoint", "WorkingDir", "Labels")


def in_image(image: str, script: str) -> str:
    done = run("--entrypoint", "sh", image, "-c", script)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_small_unpacked(image: str) -> None:
    """By the engine's own count, and by the files: engines that store images compressed count those bytes."""
    counted = (image_details(image) or {})["Size"] / 1e6
    files = int(in_image(image, "du -smx / 2>/dev/null | cut -f1"))
    assert max(counted, files) < MAX_MEGABYTES


def test_no_compiler_no_installer_no_cache_is_left(image: str) -> None:
    script = (
        "command -v cc gcc g++ make uv; ls /opt/venv/bin | grep -E '^pip'; "
        "find ~root/.cache /tmp -mindepth 1 2>/dev/null; ls /opt | grep -vE '^(matplotlib|ml|program|venv)$'; "
        "find / -xdev -name '*.whl' -not -path '*/ensurepip/*' -not -path '/usr/share/python-wheels/*'; true"
    )
    assert in_image(image, script) == ""


def test_it_holds_the_named_files_of_the_package_and_no_others(image: str) -> None:
    found = in_image(image, "cd /opt/program/pipeline && find . -type f").split()
    assert sorted(found) == sorted(f"./{path.relative_to(PACKAGE).as_posix()}" for path in image_files("nba"))


def test_a_change_of_the_code_makes_the_last_layer_anew_and_no_other(
    image: str, base: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "pipeline"
    shutil.copytree(PACKAGE, changed, ignore=shutil.ignore_patterns("__pycache__"))
    (changed / "evaluation" / "metrics.py").open("a").write("# changed\n")
    monkeypatch.setattr(
        "scripts.build_image.write_image_context", lambda name, folder: write_image_context(name, folder, changed)
    )
    monkeypatch.setattr("scripts.build_image.image_content", lambda _workload: "changed")
    other = "retraining:test-changed"
    try:
        build(base=base, tag=other, network=None, quiet=True)
        first, second = image_details(image) or {}, image_details(other) or {}
    finally:
        subprocess.run(["docker", "rmi", other], capture_output=True, check=False)
    layers, others = first["RootFS"]["Layers"], second["RootFS"]["Layers"]
    assert layers[:-1] == others[:-1]
    assert layers[-1] != others[-1]
    assert second["Config"]["Labels"][CONTENT_LABEL] == "changed"


def test_what_cdk_publishes_is_this_image(image: str, base: str | None, root: Path, tmp_path: Path) -> None:
    """Built as the CDK CLI builds the asset; only the base image is this test's own."""
    os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "18,20")
    from app import build as build_app

    context = json.loads((root / "cdk.json").read_text(encoding="utf-8"))["context"]
    build_app(context, str(tmp_path)).synth()
    (manifest,) = tmp_path.glob("*.assets.json")
    (asset,) = json.loads(manifest.read_text(encoding="utf-8"))["dockerImages"].values()
    source = asset["source"]
    arguments = {**source["dockerBuildArgs"], **({"BASE_IMAGE": base} if base else {})}
    options = [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
    if has_buildx():
        options += [f"--output={output}" for output in source["dockerOutputs"]]
    command = ["docker", "build", "--quiet", *options, "--platform", source["platform"], "."]
    built = subprocess.run(
        command, cwd=tmp_path / source["directory"], capture_output=True, text=True, check=False, timeout=240
    )
    assert built.returncode == 0, built.stderr
    ours, theirs = image_details(image) or {}, image_details(built.stdout.strip()) or {}
    assert theirs["RootFS"]["Layers"] == ours["RootFS"]["Layers"]
    assert [theirs["Config"].get(key) for key in CONFIGURED] == [ours["Config"][key] for key in CONFIGURED]


def test_programs_are_unprivileged_although_the_container_starts_as_root_with_roots_folders(
    image: str, ml: Path
) -> None:
    """As SageMaker does it. What Prepare refuses is written where SageMaker reads it, by an unprivileged user."""
    (ml / "output").mkdir(mode=0o755)
    assert (image_details(image) or {})["Config"]["User"] == ""
    done = run("-v", f"{ml}/output:/opt/ml/output", image, "prepare", "--as-of", "nonsense")
    assert done.returncode == 1
    message = ml / "output" / "message"
    assert message.read_text().startswith('AsOfDate "nonsense" is not a real date')
    if os.geteuid() == 0:
        assert str(message.stat().st_uid) == UNPRIVILEGED


def test_with_another_user_it_is_that_user(image: str, ml: Path) -> None:
    ml.chmod(0o777)
    done = run("--user", "4321:4321", "-v", f"{ml}:/opt/ml", image, "train")
    assert done.returncode == 1
    failure = ml / "output" / "failure"
    assert (failure.stat().st_uid, failure.stat().st_gid) == (4321, 4321)
    assert "hyperparameters.json" in failure.read_text()


def test_wrong_and_missing_commands_are_answered(image: str) -> None:
    for command in ((), ("tarin",)):
        done = run(image, *command)
        assert done.returncode == 2
        assert f"this image knows {', '.join(COMMANDS)}" in done.stderr


def test_a_stopped_container_ends_at_once(image: str, tmp_path: Path) -> None:
    """`docker stop` sends SIGTERM to process 1, which the kernel shields from its default action."""
    step = tmp_path / "train.py"
    step.write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    name = f"retraining-test-{os.getpid()}"
    mount = f"{step}:/opt/program/pipeline/jobs/train.py:ro"
    process = subprocess.Popen(
        ["docker", "run", "--rm", "--name", name, "-v", mount, image, "train"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    before = time.monotonic()
    subprocess.run(["docker", "stop", "--time", "30", name], check=True, capture_output=True)
    assert process.wait(timeout=30) == 128 + 15
    assert time.monotonic() - before < 15


def test_running_out_of_memory_is_said(image: str, ml: Path, tmp_path: Path) -> None:
    step = tmp_path / "predict.py"
    step.write_text("held = bytearray()\nwhile True:\n    held.extend(b'x' * (1 << 20))\n")
    (ml / "output").mkdir()
    mounts = ("-v", f"{step}:/opt/program/pipeline/jobs/predict.py:ro", "-v", f"{ml}/output:/opt/ml/output")
    done = run("--memory", "64m", "--memory-swap", "64m", *mounts, image, "predict")
    assert done.returncode == 137
    assert "when memory runs out" in (ml / "output" / "message").read_text()
