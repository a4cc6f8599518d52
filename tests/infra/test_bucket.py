"""The requests to S3, and what each refusal means."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from recording_client import RecordingClient, refusal

from infra.lambda_shared import bucket
from infra.lambda_shared.bucket import Bucket, S3Object

WRITTEN = datetime(2026, 11, 25, tzinfo=UTC)
NOTHING = S3Object(None, None)
GONE = ["NoSuchKey", "404", "NotFound"]
FOREIGN = ["AccessDenied", "403", "NoSuchBucket", "AllAccessDisabled", "PermanentRedirect", "InvalidRequest"]


def holding(body: bytes) -> RecordingClient:
    """One that has an object of that content."""
    return RecordingClient(get_object=lambda **_: {"Body": io.BytesIO(body), "ETag": '"e"', "LastModified": WRITTEN})


def test_an_object_is_read_with_its_etag_and_its_time() -> None:
    client = holding(b'{"a": 1}\xff')
    found = Bucket(client, "ours").read("k")
    assert found == S3Object('{"a": 1}�', '"e"', WRITTEN.timestamp())
    assert Bucket(client, "ours").read("k", bucket="theirs").etag == '"e"'
    assert client.requests == [("get_object", {"Bucket": bucket, "Key": "k"}) for bucket in ("ours", "theirs")]


@pytest.mark.parametrize("code", [*GONE, *FOREIGN, "SlowDown"])
def test_which_refusals_mean_that_there_is_nothing(code: str) -> None:
    client = RecordingClient(get_object=refusal(code), copy_object=refusal(code))
    ours, uri = Bucket(client, "ours"), "s3://theirs/k"
    outcomes = []
    for read in (
        lambda: ours.read("k"),
        lambda: ours.read("k", refused=True),
        lambda: ours.sha256(uri),
        lambda: ours.copy(uri, "k"),
    ):
        try:
            outcomes.append(read())
        except ClientError:
            outcomes.append("raised")
    expected: dict[bool, list[Any]] = {
        True: [NOTHING, NOTHING, None, False],
        False: ["raised", NOTHING, None, False] if code in FOREIGN else ["raised"] * 4,
    }
    assert outcomes == expected[code in GONE]
    assert NOTHING.written is None


@pytest.mark.parametrize(
    ("text", "json"), [(None, None), ("", None), ("{", None), ("[1]", None), ("null", None), ('{"a": 1}', {"a": 1})]
)
def test_only_a_json_object_is_one(text: str | None, json: Any) -> None:
    assert S3Object(text, "e").json == json


@pytest.mark.parametrize(
    ("over", "condition"), [(NOTHING, {"IfNoneMatch": "*"}), (S3Object("", '"e"'), {"IfMatch": '"e"'})]
)
def test_a_write_names_what_was_read(over: S3Object, condition: dict[str, str]) -> None:
    client = RecordingClient()
    assert Bucket(client, "ours").write("k", "é", over=over) is True
    request = {"Bucket": "ours", "Key": "k", "Body": "é".encode(), "ContentType": "application/json"}
    assert client.requests == [("put_object", {**request, **condition})]
    Bucket(client, "ours").put("k", "é")
    assert client.requests[1] == ("put_object", request)


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"])
def test_a_lost_race_is_no_error(code: str) -> None:
    assert Bucket(RecordingClient(put_object=refusal(code)), "ours").write("k", "", over=NOTHING) is False


def test_any_other_refusal_of_a_write_is_one() -> None:
    with pytest.raises(ClientError):
        Bucket(RecordingClient(put_object=refusal("AccessDenied")), "ours").write("k", "", over=NOTHING)


def test_seeds_are_written_where_there_is_nothing() -> None:
    client = RecordingClient(put_object=refusal("PreconditionFailed"))
    Bucket(client, "ours").seed({"a": "1", "b": "2"})
    assert [(request["Key"], request["Body"], request["IfNoneMatch"]) for _, request in client.requests] == [
        ("a", b"1", "*"),
        ("b", b"2", "*"),
    ]


def test_what_lies_below_a_prefix_is_listed_page_by_page_and_removed_in_order() -> None:
    pages = [{"Contents": [{"Key": "p/b", "Size": "2"}]}, {"Contents": [{"Key": "p/a", "Size": 0}]}, {}]
    client = RecordingClient(list_objects_v2=pages)
    ours = Bucket(client, "ours")
    assert ours.sizes("p/") == {"p/b": 2, "p/a": 0}
    assert ours.keys("p/") == {"p/a", "p/b"}
    ours.remove({"p/b", "p/a"})
    assert client.requests == [
        *[("list_objects_v2", {"Bucket": "ours", "Prefix": "p/"})] * 2,
        *[("delete_object", {"Bucket": "ours", "Key": key}) for key in ("p/a", "p/b")],
    ]


def test_a_digest_is_of_all_parts_of_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "_PART_BYTES", 4)
    client = holding(b"0123456789")
    digest = hashlib.sha256(b"0123456789").hexdigest()
    assert Bucket(client, "ours").sha256("s3://theirs/a/b") == digest
    assert client.requests == [("get_object", {"Bucket": "theirs", "Key": "a/b"})]
    assert Bucket(client, "ours").holds("k", digest)
    assert client.requests[1] == ("get_object", {"Bucket": "ours", "Key": "k"})
    assert not Bucket(client, "ours").holds("k", "0" * 64)
    assert Bucket(RecordingClient(), "ours").holds("k", None), "without a digest any content is right"


def test_a_model_is_never_read_at_once() -> None:
    parts, sizes = iter([b"01", b"2", b""]), list[int | None]()

    def read(size: int | None = None) -> bytes:
        sizes.append(size)
        return next(parts)

    client = RecordingClient(get_object={"Body": SimpleNamespace(read=read)})
    assert Bucket(client, "ours").sha256("s3://b/k") == hashlib.sha256(b"012").hexdigest()
    assert sizes == [2**20] * 3


@pytest.mark.parametrize(("largest", "known"), [(9, False), (10, True)])
def test_what_is_larger_than_any_model_has_no_digest(
    largest: int, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "_PART_BYTES", 4)
    monkeypatch.setattr(bucket, "_LARGEST_MODEL", largest)
    assert (Bucket(holding(b"0123456789"), "ours").sha256("s3://b/k") is not None) is known


def test_a_model_has_a_gigabyte_and_is_read_by_the_megabyte() -> None:
    """A function has 256 MB and two minutes."""
    assert (bucket._LARGEST_MODEL, bucket._PART_BYTES) == (2**30, 2**20)


@pytest.mark.parametrize(("sha256", "copied"), [(None, True), (hashlib.sha256(b"m").hexdigest(), True), ("0", False)])
def test_only_the_named_content_is_copied(sha256: str | None, copied: bool) -> None:
    client = holding(b"m")
    assert Bucket(client, "ours").copy("s3://theirs/a/b", "k", sha256=sha256) is copied
    copies = [request for operation, request in client.requests if operation == "copy_object"]
    source = {"Bucket": "theirs", "Key": "a/b"}
    assert copies == [{"CopySource": source, "Bucket": "ours", "Key": "k", "TaggingDirective": "REPLACE"}] * copied
