"""The calls that are made, as types: boto3 builds its clients at run time."""

from __future__ import annotations

from typing import Any, Protocol

from botocore.paginate import Paginator


class SageMaker(Protocol):
    """The model registry."""

    def get_paginator(self, operation_name: str) -> Paginator[Any]: ...
    def describe_model_package(self, *, ModelPackageName: str) -> dict[str, Any]: ...  # noqa: N803 - AWS's names


class S3(Protocol):
    """Bucket."""

    def get_paginator(self, operation_name: str) -> Paginator[Any]: ...
    def get_object(self, **request: object) -> dict[str, Any]: ...
    def put_object(self, **request: object) -> dict[str, Any]: ...
    def copy_object(self, **request: object) -> dict[str, Any]: ...
    def delete_object(self, **request: object) -> dict[str, Any]: ...


class Buckets(Protocol):
    """Buckets as they are emptied."""

    def get_bucket_policy(self, *, Bucket: str) -> dict[str, Any]: ...  # noqa: N803
    def put_bucket_policy(self, *, Bucket: str, Policy: str) -> dict[str, Any]: ...  # noqa: N803
    def list_object_versions(self, *, Bucket: str) -> dict[str, Any]: ...  # noqa: N803
    def delete_objects(self, **request: object) -> dict[str, Any]: ...


class Runs(Protocol):
    """Runs and model packages as they are removed."""

    def get_paginator(self, operation_name: str) -> Paginator[Any]: ...
    def stop_pipeline_execution(self, **request: object) -> dict[str, Any]: ...
    def list_model_packages(self, **request: object) -> dict[str, Any]: ...
    def delete_model_package(self, *, ModelPackageName: str) -> dict[str, Any]: ...  # noqa: N803


class Sns(Protocol):
    """Topics."""

    def publish(self, **request: object) -> dict[str, Any]: ...
