"""The objects of the artifact bucket: read, write on a condition, list, remove."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from infra.handlers.clients import S3

# 412: the condition does not hold; 409: another write to the same key is under way; 404: If-Match, but no object.
_LOST_RACE: Final = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")
_MISSING: Final = ("NoSuchKey", "404", "NotFound")


@dataclass(frozen=True)
class Stored:
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
class Objects:
    """One bucket."""

    client: S3
    bucket: str

    def read(self, key: str, *, bucket: str | None = None) -> Stored:
        """An object of this bucket or, if `bucket` is given, of that."""
        try:
            found = self.client.get_object(Bucket=bucket or self.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return Stored(None, None)
            raise
        return Stored(found["Body"].read().decode(), found["ETag"], found["LastModified"].timestamp())

    def write(self, key: str, text: str, *, over: Stored) -> bool:
        """Write only where the object still is what was read; says whether it was."""
        condition = {"IfMatch": over.etag} if over.etag else {"IfNoneMatch": "*"}
        try:
            self.client.put_object(
                Bucket=self.bucket, Key=key, Body=text.encode(), ContentType="application/json", **condition
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in _LOST_RACE:
                return False
            raise
        return True

    def seed(self, objects: Mapping[str, str]) -> None:
        """Write those that are missing, and never over one that is there."""
        for key, text in objects.items():
            self.write(key, text, over=Stored(None, None))

    def keys(self, prefix: str) -> set[str]:
        """The keys below a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return {entry["Key"] for page in pages for entry in page.get("Contents", ())}

    def copy(self, uri: str, key: str) -> bool:
        """Copy an s3:// URI here, whole or not at all; False when there is nothing to copy."""
        bucket, _, source = uri.removeprefix("s3://").partition("/")
        try:
            self.client.copy_object(
                CopySource={"Bucket": bucket, "Key": source},
                Bucket=self.bucket,
                Key=key,
                TaggingDirective="REPLACE",  # to copy tags would need one more permission, and there are none
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return False
            raise
        return True

    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is gone is fine."""
        for key in sorted(keys):
            self.client.delete_object(Bucket=self.bucket, Key=key)
