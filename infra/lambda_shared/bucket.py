"""The objects of the artifact bucket: read, write on a condition, list, remove."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from infra.lambda_shared.environment import Boto3Client

# 412: the condition does not hold; 409: another write to the same key is under way; 404: If-Match, but no object.
_LOST_RACE: Final = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")
_PART_BYTES: Final = 1 << 20
_LARGEST_MODEL: Final = 1 << 30  # packed: reading more would outlast the function
_MISSING: Final = ("NoSuchKey", "404", "NotFound")
# What a foreign URI may answer: asking again does not help.
_REFUSED: Final = (
    *(*_MISSING, "AccessDenied", "403", "NoSuchBucket"),
    *("AllAccessDisabled", "PermanentRedirect", "InvalidRequest"),
)


@dataclass(frozen=True)
class S3Object:
    """An object's text, the ETag that a conditional write names, when it was written (seconds since 1970).

    All None where there is no object.
    """

    text: str | None
    etag: str | None
    written: float | None = None

    @property
    def json(self) -> dict[str, Any] | None:
        """The text as a JSON object; None when it is missing or is none."""
        try:
            content = json.loads(self.text or "")
        except ValueError:
            return None
        return content if isinstance(content, dict) else None


@dataclass(frozen=True)
class Bucket:
    client: Boto3Client
    name: str

    def read(self, key: str, *, bucket: str | None = None, refused: bool = False) -> S3Object:
        """An object of this bucket or of `bucket`; with `refused`, one that may not be read is missing."""
        codes = _REFUSED if refused else _MISSING
        found = _unless(codes, self.client.get_object, Bucket=bucket or self.name, Key=key)
        if found is None:
            return S3Object(None, None)
        return S3Object(found["Body"].read().decode(errors="replace"), found["ETag"], found["LastModified"].timestamp())

    def write(self, key: str, text: str, *, over: S3Object) -> bool:
        """Write only where the object still is what was read; says whether it was."""
        condition = {"IfMatch": over.etag} if over.etag else {"IfNoneMatch": "*"}
        return _unless(_LOST_RACE, self.put, key, text, **condition) is not None

    def put(self, key: str, text: str, **condition: str) -> None:
        """Write whatever is there, or on a condition of S3's."""
        self.client.put_object(
            Bucket=self.name, Key=key, Body=text.encode(), ContentType="application/json", **condition
        )

    def seed(self, objects: Mapping[str, str]) -> None:
        """Write those that are missing, and never over one that is there."""
        for key, text in objects.items():
            self.write(key, text, over=S3Object(None, None))

    def keys(self, prefix: str) -> set[str]:
        return set(self.sizes(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """The keys below a prefix, and how many bytes each object has."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return {entry["Key"]: int(entry["Size"]) for page in pages for entry in page.get("Contents", ())}

    def sha256(self, uri: str) -> str | None:
        """Of an object's content, read in parts; None when it is missing, refused or larger than any model."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        found = _unless(_REFUSED, self.client.get_object, Bucket=bucket, Key=key)
        if found is None:
            return None
        digest, size = hashlib.sha256(), 0
        while part := found["Body"].read(_PART_BYTES):
            digest.update(part)
            size += len(part)
            if size > _LARGEST_MODEL:
                return None
        return digest.hexdigest()

    def holds(self, key: str, sha256: str | None) -> bool:
        """Whether an object of this bucket has that content; any is right where `sha256` is None."""
        return sha256 is None or self.sha256(f"s3://{self.name}/{key}") == sha256

    def copy(self, uri: str, key: str, *, sha256: str | None = None) -> bool:
        """Copy an s3:// URI here, whole or not at all; False when it cannot be had or has another SHA-256."""
        if sha256 is not None and self.sha256(uri) != sha256:
            return False
        bucket, _, source = uri.removeprefix("s3://").partition("/")
        copied = _unless(
            _REFUSED,
            self.client.copy_object,
            CopySource={"Bucket": bucket, "Key": source},
            Bucket=self.name,
            Key=key,
            TaggingDirective="REPLACE",  # to copy tags would need one more permission, and there are none
        )
        return copied is not None

    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is gone is fine."""
        for key in sorted(keys):
            self.client.delete_object(Bucket=self.name, Key=key)


def _unless(codes: tuple[str, ...], call: Callable[..., Any], *given: object, **request: object) -> Any:  # noqa: ANN401
    """What a call returns (not None); None where S3 answers with one of the codes."""
    try:
        return call(*given, **request) or {}
    except ClientError as error:
        if error.response["Error"]["Code"] in codes:
            return None
        raise
