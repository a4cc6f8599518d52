"""`build_image --push` into a registry on this machine (Debian's docker-registry): what SageMaker takes, and what not.

Images are pushed by the real engine; OCI manifests, which recent engines make, are put there as such an engine does.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from pipeline.local.launch.container_runtime import (
    DOCKER_MANIFEST,
    ContainerRuntimeError,
    push,
    require_docker_manifest,
)

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
NAME = "retraining-push-test"


@pytest.fixture(scope="module")
def registry(base: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address; skips where there is no engine or no registry."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("there is no registry to push to: apt-get install docker-registry")
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(folder)}}, "http": {"addr": address}}
    (folder / "config.yml").write_text(json.dumps(settings), encoding="utf-8")
    process = subprocess.Popen(
        [program, "serve", str(folder / "config.yml")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(address.split(":")[1]))) == 0:
                    break
            time.sleep(0.1)
        yield address
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def pushed(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A small image, pushed."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n", encoding="utf-8")
    (folder / "file").write_text("content", encoding="utf-8")
    subprocess.run(["docker", "build", "--quiet", "--tag", NAME, str(folder)], check=True, capture_output=True)
    uri = push(NAME, f"{registry}/retraining")
    yield uri
    tagged = subprocess.run(
        ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", f"{registry}/retraining"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    subprocess.run(["docker", "rmi", NAME, *tagged], capture_output=True, check=False)


def ask(registry: str, reference: str, *, kind: str, body: bytes | None = None) -> tuple[bytes, str]:
    """Get or put a manifest: its bytes and its type."""
    connection = http.client.HTTPConnection(registry, timeout=10)
    headers = {"Content-Type": kind} if body else {"Accept": kind}
    connection.request("PUT" if body else "GET", f"/v2/retraining/manifests/{reference}", body=body, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status < 300, content
    return content, str(answer.headers["Content-Type"])


def test_what_is_pushed_is_a_docker_manifest_named_by_its_digest(registry: str, pushed: str) -> None:
    repository, _, digest = pushed.partition("@")
    assert repository == f"{registry}/retraining"
    content, kind = ask(registry, digest, kind=f"{DOCKER_MANIFEST}, {OCI_MANIFEST}")
    assert kind == DOCKER_MANIFEST
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest


def test_pushed_again_it_is_the_same(registry: str, pushed: str) -> None:
    assert push(NAME, f"{registry}/retraining") == pushed


def test_oci_manifests_and_indexes_are_refused(registry: str, pushed: str) -> None:
    body, _ = ask(registry, pushed.partition("@")[2], kind=DOCKER_MANIFEST)
    docker = json.loads(body)
    oci = {
        "config": {**docker["config"], "mediaType": "application/vnd.oci.image.config.v1+json"},
        "layers": [{**e, "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"} for e in docker["layers"]],
    }
    listed = {"mediaType": DOCKER_MANIFEST, "digest": pushed.partition("@")[2], "size": len(body)}
    index = {"manifests": [{**listed, "platform": {"architecture": "amd64", "os": "linux"}}]}
    for kind, manifest in ((OCI_MANIFEST, oci), (OCI_INDEX, index)):
        other = json.dumps({"schemaVersion": 2, "mediaType": kind, **manifest}).encode()
        digest = f"sha256:{hashlib.sha256(other).hexdigest()}"
        ask(registry, digest, kind=kind, body=other)
        with pytest.raises(ContainerRuntimeError, match="which SageMaker's CreateModel refuses"):
            require_docker_manifest(f"{registry}/retraining@{digest}")


def test_a_registry_that_is_not_there_is_named(pushed: str) -> None:
    with pytest.raises(ContainerRuntimeError, match="refused"):
        push(NAME, "127.0.0.1:9/retraining")


def test_an_image_that_was_never_built_is_named(pushed: str) -> None:
    with pytest.raises(ContainerRuntimeError, match="there is no image retraining-never"):
        push("retraining-never", "127.0.0.1:9/retraining")
