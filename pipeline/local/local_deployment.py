"""The pipeline's deployment on this machine: definition, deployment constants, seed objects, data, stores."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import sysconfig
from pathlib import Path
from typing import Final

from pipeline.contract import names as c
from pipeline.contract.code_version import (
    code_version,
    definition_file,
    digest_of,
    file_digest,
    git_revision,
    step_files,
)
from pipeline.contract.workload import configured_workload, current_workload, default_workload, load_spec
from pipeline.ingest.files.data_folder import (
    NOT_UPLOADED_FILE,
    DataFile,
    DataFolder,
    FolderError,
    look_into,
    not_uploaded_as_json,
)
from pipeline.local.store.store import Store, remove, same_content
from pipeline.local.store.store_errors import StoreError, is_text, naming, shown

ROOT: Final = Path(__file__).resolve().parents[2]
PIPELINE_NAME: Final = "retraining"
DATA_BUCKET: Final = "data"
ARTIFACT_BUCKET: Final = "artifacts"
COPY_FOLDERS: Final = ("data", "events")  # of the data bucket: where copies of data folders are
NO_IMAGE: Final = "local"  # in place of the image where jobs are child processes
MODEL_PACKAGE_GROUP: Final = "model"  # a store holds one workload
SPARK_CODE_FILE: Final = "spark_step.zip"
SPARK_CODE: Final = f"s3://{ARTIFACT_BUCKET}/{c.CODE_CHANNEL}/{SPARK_CODE_FILE}"
STORES: Final = Path(".retrain")
LONGEST_NAME: Final = 60  # characters of a data folder's name in its prefix: a file name on each system


def step_code() -> str:
    """Digest of what runs in a step, of this Python and its packages: part of each cache key."""
    files = digest_of(sorted(step_files(default_workload())), ROOT)
    packages = sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))  # with versions
    return hashlib.sha256(f"{sys.version}{packages}{files}".encode()).hexdigest()


def constants(image: str = NO_IMAGE, spark_image: str = NO_IMAGE) -> dict[str, str]:
    """The deployment constants of a local run: what CloudFormation binds in the cloud."""
    spark = {"SparkImageUri": spark_image, "SparkCodeUri": SPARK_CODE, "SparkCodeFile": SPARK_CODE_FILE}
    return {
        "ExecutionRoleArn": "local",
        "ImageUri": image,
        "DataBucket": DATA_BUCKET,
        "ArtifactBucket": ARTIFACT_BUCKET,
        "KmsKeyId": "local",
        "ModelPackageGroupName": MODEL_PACKAGE_GROUP,
        "CodeVersion": code_version(default_workload()),
        "GitRevision": git_revision(),
        "DefinitionHash": file_digest(definition_file(default_workload())),
        **{name: spark[name] for name in load_spec(default_workload()).constants},
    }


def seed(store: Store) -> None:
    """Write the objects that must exist before the first run, where they are missing."""
    for key, text in load_spec(default_workload()).all_seed_objects.items():
        path = store.object_path(f"s3://{ARTIFACT_BUCKET}/{key}")
        if not path.exists():
            store.write(path, text.encode())


def put_spark_code(store: Store) -> None:
    """Put the code of the workload's Spark step where the deploy would upload it."""
    temporary = store.temporary()
    current_workload().spark_archive.write_archive(temporary)
    store.move(temporary, store.object_path(SPARK_CODE))


def data_prefix(source: Path, kind: str = COPY_FOLDERS[0]) -> str:
    """A separate prefix for each source, so that runs on different data do not change each other's input."""
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
    try:
        found = DataFolder([DataFile(source.name, source)]) if source.is_file() else look_into(source)
    except FolderError as error:
        raise FileNotFoundError(str(error)) from error
    if not found.files:
        named = "; ".join(f"{item.name} {item.reason}" for item in found.left_out[:3])
        raise FileNotFoundError(f"{source} holds no file" + (f" to read ({named})" if named else ""))
    with naming(place := store.object_path(uri)):
        place.mkdir(parents=True, exist_ok=True)
        os.utime(place)  # in use before its files are looked at: see retention.py
    for file in found.files:
        if not is_text(file.path.relative_to(source.parent if source.is_file() else source)):
            raise StoreError(f"{shown(file.path)}: its name is not UTF-8, as the keys of S3 are; rename the file")
        target = store.object_path(f"{uri}/{file.name}")
        if not same_content(file.path, target):
            store.copy(file.path, target)
    wanted = {file.name for file in found.files}
    if found.left_out or found.linked:
        wanted.add(NOT_UPLOADED_FILE)
        listed = store.object_path(f"{uri}/{NOT_UPLOADED_FILE}")
        store.write(listed, not_uploaded_as_json(found.left_out, found.linked).encode())
    store.note_origin(uri, source.resolve())
    for stored in store.objects(f"{uri}/"):
        if stored.relative not in wanted:
            remove(stored.path)
    return len(found.files)


def default_store() -> Path:
    """Where the workload's models, runs and cache are kept, if no other place is named."""
    name = default_workload()
    return STORES if name == configured_workload() else STORES / name


def sample_store() -> Path:
    """The same of its simulated sample: simulated rows never share a registry with real ones."""
    return default_store() / "sample"


def claim(store: Store, *, simulated: bool) -> None:
    """Keep a store to one workload and one kind of rows: models of others must not be compared.

    Raises StoreError when the store was made for another kind.
    """
    spec = load_spec(default_workload())
    origin = "simulated" if simulated else "given"
    kind, note = f"{origin} rows of {spec.name}", store.root / "rows"  # its own word for them may change
    if not note.exists():
        store.write(note, f"{kind}\n".encode())
    elif (found := note.read_text(encoding="utf-8").strip()) not in (kind, f"{origin} {spec.rows}"):
        way = f"name your {spec.rows} with --data" if simulated else "use another --store"
        raise StoreError(f"{store.root} holds models of {found}, which cannot be compared with {kind}: {way}")


def remember_store(store: Path) -> None:
    """Note which of the default stores was used last, for commands that come after a run."""
    if store in (default_store(), sample_store()):
        default_store().mkdir(parents=True, exist_ok=True)
        (default_store() / "last_store").write_text(str(store), encoding="utf-8")


def last_store() -> Path:
    try:
        remembered = Path((default_store() / "last_store").read_text(encoding="utf-8").strip())
    except OSError:
        return default_store()
    return remembered if remembered in (default_store(), sample_store()) else default_store()
