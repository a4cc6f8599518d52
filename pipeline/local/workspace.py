"""Our pipeline on this machine: its definition, its deployment constants, the seed objects, the data in its place."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, Final

from pipeline.contract import names as c
from pipeline.contract.code_version import DEFINITION_FILE, code_version, git_revision, step_files
from pipeline.ingest.files.data_folder import (
    NOT_UPLOADED_FILE,
    DataFile,
    DataFolder,
    FolderError,
    look_into,
    not_uploaded_as_json,
)
from pipeline.local.store.digests import code_digest, file_digest
from pipeline.local.store.faults import StoreError, is_text, naming, shown
from pipeline.local.store.store import Store, remove, same_content
from pipeline.workloads.nba.spark.archive import ARCHIVE_FILE, write_archive

ROOT: Final = Path(__file__).resolve().parents[2]
PIPELINE_NAME: Final = "retraining"
DATA_BUCKET: Final = "data"
ARTIFACT_BUCKET: Final = "artifacts"
NO_IMAGE: Final = "local"  # stands for the image where jobs are child processes
MODEL_PACKAGE_GROUP: Final = "nba-home-win"
SPARK_CODE: Final = f"s3://{ARTIFACT_BUCKET}/{c.CODE_CHANNEL}/{ARCHIVE_FILE}"
DEFAULT_STORE: Final = Path(".retrain")
SAMPLE_STORE: Final = DEFAULT_STORE / "sample"  # simulated games never share a registry with real ones
LONGEST_NAME: Final = (
    60  # characters of a data folder's name in its prefix: with the digest, a file name on each system
)
_LAST_STORE: Final = DEFAULT_STORE / "last_store"


def read_definition() -> dict[str, Any]:
    """The committed definition."""
    definition: dict[str, Any] = json.loads(DEFINITION_FILE.read_text(encoding="utf-8"))
    return definition


def step_code() -> str:
    """Digest of what runs in a step and of this Python: part of each cache key."""
    return code_digest(step_files(), ROOT)


def constants(image: str = NO_IMAGE, spark_image: str = NO_IMAGE) -> dict[str, str]:
    """The deployment constants of a local run: what CloudFormation binds in the cloud."""
    return {
        "ExecutionRoleArn": "local",
        "ImageUri": image,
        "DataBucket": DATA_BUCKET,
        "ArtifactBucket": ARTIFACT_BUCKET,
        "KmsKeyId": "local",
        "ModelPackageGroupName": MODEL_PACKAGE_GROUP,
        "CodeVersion": code_version(),
        "GitRevision": git_revision(),
        "DefinitionHash": file_digest(DEFINITION_FILE),
        "SparkImageUri": spark_image,
        "SparkCodeUri": SPARK_CODE,
        "SparkCodeFile": ARCHIVE_FILE,
    }


def seed(store: Store) -> None:
    """Write the objects that must exist before the first run, where they are missing."""
    for key, text in c.SEED_OBJECTS.items():
        path = store.object_path(f"s3://{ARTIFACT_BUCKET}/{key}")
        if not path.exists():
            store.write(path, text.encode())


def put_spark_code(store: Store) -> None:
    """Put the code of AggregateOnSpark where the deploy would upload it."""
    temporary = store.temporary()
    write_archive(temporary)
    store.move(temporary, store.object_path(SPARK_CODE))


def data_prefix(source: Path, kind: str = "games") -> str:
    """A prefix of its own for each source, so that runs on different games do not change each other's input."""
    whole = source.resolve()
    name = re.sub(r"[^\w.-]", "_", whole.name)[:LONGEST_NAME]  # as a key of S3 and as a file of this machine
    return f"{kind}/{name}-{hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]}"


def check_apart(store: Store, *sources: Path | None) -> None:
    """Raises StoreError where the store is inside a folder of data: each run would read what the last one wrote."""
    for source in filter(None, sources):
        if store.root.is_relative_to(source.resolve()):
            raise StoreError(
                f"the store {shown(store.root)} is inside the data folder {shown(source)}: name a --store outside it, "
                "or move the data into a separate folder"
            )


def put_data(store: Store, source: Path, prefix: str) -> int:
    """Make the data prefix hold exactly the files of `source` (a file or a folder), and return how many there are.

    What is no file to copy (hidden, a pipe, a link to nothing, ...) is named beside them, so that the report names it.
    Raises FileNotFoundError when there is nothing to put, and for a folder that cannot be one of data.
    """
    uri = f"s3://{DATA_BUCKET}/{prefix}"
    store.object_path(uri)  # refused by name if it cannot be one
    try:
        found = DataFolder([DataFile(source.name, source)]) if source.is_file() else look_into(source)
    except FolderError as error:
        raise FileNotFoundError(str(error)) from error
    if not found.files:
        named = "; ".join(f"{item.name} {item.reason}" for item in found.left_out[:3])
        raise FileNotFoundError(f"{source} holds no file" + (f" to read ({named})" if named else ""))
    for file in found.files:
        if not is_text(file.path.relative_to(source.parent if source.is_file() else source)):
            raise StoreError(f"{shown(file.path)}: its name is not UTF-8, as the keys of S3 are; rename the file")
        target = store.object_path(f"{uri}/{file.name}")
        if not same_content(file.path, target):
            store.copy(file.path, target)
    with naming(place := store.object_path(uri)):
        os.utime(place)  # in use: see retention.py
    if found.left_out or found.linked:
        listed = store.object_path(f"{uri}/{NOT_UPLOADED_FILE}")
        store.write(listed, not_uploaded_as_json(found.left_out, found.linked).encode())
    store.note_origin(uri, source.resolve())
    wanted = {file.name for file in found.files} | ({NOT_UPLOADED_FILE} if found.left_out or found.linked else set())
    for stored in store.objects(f"{uri}/"):
        if stored.relative not in wanted:
            remove(stored.path)
    return len(found.files)


def claim(store: Store, *, simulated: bool) -> None:
    """Keep a store to one kind of games: models of simulated and of real ones must not be compared.

    Raises StoreError when the store was made for the other kind.
    """
    kind = "simulated games" if simulated else "given games"
    marker = store.root / "games"
    if not marker.exists():
        store.write(marker, f"{kind}\n".encode())
    elif (found := marker.read_text(encoding="utf-8").strip()) != kind:
        way = "name your games with --data" if simulated else "use another --store"
        raise StoreError(f"{store.root} holds models of {found}, which cannot be compared with {kind}: {way}")


def remember_store(store: Path) -> None:
    """Note which of the default stores was used last, for commands that come after a run."""
    if store in (DEFAULT_STORE, SAMPLE_STORE):
        DEFAULT_STORE.mkdir(parents=True, exist_ok=True)
        _LAST_STORE.write_text(str(store), encoding="utf-8")


def last_store() -> Path:
    """The default store that was used last."""
    try:
        remembered = Path(_LAST_STORE.read_text(encoding="utf-8").strip())
    except OSError:
        return DEFAULT_STORE
    return remembered if remembered in (DEFAULT_STORE, SAMPLE_STORE) else DEFAULT_STORE
