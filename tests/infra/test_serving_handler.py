"""The serving handler, invoked as Lambda invokes it: the endpoint ends at the champion, whatever arrives when."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from approval_worlds import FUNCTION_ARN, Killed
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws
from random_worlds import connected
from sagemaker_emulation import REGION, taught
from serving_worlds import SETTINGS, EndpointWorld, champion_json, refused

from infra.endpoint.function import handler
from infra.endpoint.function.desired_endpoint import ATTEMPT, INSTANCE, SETTINGS_VARIABLE, DesiredEndpoint
from infra.endpoint.function.reconcile_endpoint import ServingError

MACHINES = replace(SETTINGS, kind=INSTANCE)


@pytest.fixture(autouse=True)
def variables(set_variables: Callable[..., None]) -> None:
    set_variables({SETTINGS_VARIABLE: SETTINGS.as_text()})


@contextmanager
def made_world(broken: frozenset[int] = frozenset()) -> Iterator[EndpointWorld]:
    with connected(EndpointWorld(broken), handler) as world:
        yield world


@pytest.fixture
def world() -> Iterator[EndpointWorld]:
    with made_world(frozenset({13})) as one:
        yield one


def wanted(version: int) -> DesiredEndpoint:
    found = DesiredEndpoint.of(SETTINGS, json.loads(champion_json(version)))
    assert found
    return found


def serves(world: EndpointWorld) -> int | None:
    """The version that is served, if any is."""
    if not world.endpoint or world.endpoint["EndpointStatus"] != "InService":
        return None
    return world._version(world.endpoint["EndpointConfigName"])


def check_nothing_is_left_over(world: EndpointWorld) -> None:
    """What is there is the champion's, and nothing else."""
    names = {wanted(world.champion).name} if world.champion is not None else set()
    assert set(world.configs) == set(world.models) == names
    copies = {key for key in world.objects if key.startswith("serving/")} - {ATTEMPT}
    assert copies == {f"serving/{name}/model.tar.gz" for name in names}


# --- any order, at least once, at the same time -------------------------------------------------------------------

versions = st.sampled_from([1, 2, 3, 13, None])
happenings = st.one_of(st.tuples(st.just("promote"), versions), st.just(("settle", None)), st.just(("invoke", None)))


def happen(world: EndpointWorld, what: str, version: int | None) -> None:
    if what == "promote":
        world.promote(version)
    elif what == "settle":
        world.settle()
    else:
        with suppress(ServingError):  # Lambda tries again, and the next event does
            world.invoke()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    history=st.lists(happenings, max_size=12),
    between=st.dictionaries(st.integers(1, 60), happenings, max_size=4),
    end=versions,
)
def test_the_endpoint_ends_at_the_champion(history: Any, between: Any, end: int | None) -> None:
    """`between` happens in the middle of an invocation, before its n-th call: also another whole invocation."""
    with made_world(frozenset({13})) as world:
        for call, (what, version) in between.items():
            world.interruptions[call] = lambda what=what, version=version: happen(world, what, version)
        for what, version in [*history, ("promote", end)]:
            happen(world, what, version)
        world.interruptions.clear()
        world.quiet()
        if end is None:
            assert world.endpoint is None
            check_nothing_is_left_over(world)
        elif end in world.broken:
            assert serves(world) != end
            assert any(f"could not be updated to version {end}" in subject for _, subject, _ in world.mails)
        else:
            assert serves(world) == end
            check_nothing_is_left_over(world)
        known = len(world.mails), len(world.updates)
        world.quiet()
        assert (len(world.mails), len(world.updates)) == known, "one mail a failure, and nothing is tried for ever"


def claim(world: EndpointWorld) -> str:
    return str(json.loads(world.objects[ATTEMPT][0])["claim"])


@pytest.mark.parametrize("in_service", [None, 1])
@pytest.mark.parametrize("call", range(1, 11))  # it makes ten
def test_a_call_that_is_overtaken_changes_nothing_back(in_service: int | None, call: int) -> None:
    """Before each call of an invocation, another promotion is followed to its end by another invocation."""
    with made_world() as world:
        world.promote(in_service)
        world.quiet()
        world.promote(2)

        def overtake() -> None:
            claimed = ATTEMPT in world.objects and claim(world) == mine
            world.promote(3)
            world.invoke()
            if not claimed:  # between claim and act lies less than the minutes that an endpoint takes to change
                world.settle()
                world.invoke()

        mine = f"request{next(world.requests) + 1}"
        world.interruptions[world.calls + call] = overtake
        world.invoke()
        world.interruptions.clear()
        began = [update["EndpointConfigName"] for update in world.updates]
        assert wanted(2).name not in began[began.index(wanted(3).name) :] if wanted(3).name in began else True
        world.quiet()
        assert serves(world) == 3
        check_nothing_is_left_over(world)


def test_a_call_that_cleans_leaves_what_another_has_just_made(world: EndpointWorld) -> None:
    world.promote(1)
    world.quiet()
    for call in range(1, 12):
        before = world.champion or 0
        world.interruptions[world.calls + call] = lambda version=before % 3 + 1: (  # type: ignore[misc]
            world.promote(version),
            world.invoke(),
        )
        world.invoke()
        world.interruptions.clear()
        world.quiet()
        assert serves(world) == world.champion
        check_nothing_is_left_over(world)


@pytest.mark.parametrize("call", range(1, 11))
def test_a_champion_that_goes_and_comes_back_meanwhile_is_no_error(call: int) -> None:
    """What the overtaken call had made is removed, and it notices."""
    with made_world() as world:
        world.promote(1)
        world.quiet()
        world.promote(2)

        def back_and_forth() -> None:
            world.promote(1)
            world.invoke()
            world.promote(2)

        world.interruptions[world.calls + call] = back_and_forth
        world.invoke()
        world.quiet()
        assert serves(world) == 2
        check_nothing_is_left_over(world)
        assert not world.mails


def once(world: EndpointWorld, operation: str, code: str, message: str) -> None:
    """The operation is refused once."""
    real = getattr(world, operation)

    def refuse(**_: Any) -> None:
        setattr(world, operation, real)
        raise ClientError({"Error": {"Code": code, "Message": message}}, operation)

    setattr(world, operation, refuse)


def test_an_update_that_did_not_begin_is_no_roll_back(world: EndpointWorld) -> None:
    world.promote(1)
    world.quiet()
    world.promote(2)
    once(world, "update_endpoint", "ThrottlingException", "Rate exceeded")
    with pytest.raises(ClientError):
        world.invoke()
    world.quiet()
    assert serves(world) == 2
    assert not world.mails


def test_a_deletion_that_did_not_begin_is_no_failure_of_what_comes_next(world: EndpointWorld) -> None:
    world.promote(13)
    world.quiet()
    world.promote(1)
    once(world, "delete_endpoint", "ValidationException", "Cannot update in-progress endpoint")
    world.quiet()
    assert serves(world) == 1
    assert len(world.mails) == 1


# --- one after another --------------------------------------------------------------------------------------------


def test_create_update_roll_back_withdraw(world: EndpointWorld) -> None:
    steps = [world.invoke()["step"]]
    for version in (1, 2, 13, 3, None):
        world.promote(version)
        for _ in range(4):
            steps.append(world.invoke()["step"])
            world.settle()
    assert steps[0] == "done"
    assert steps[1:5] == ["create", "done", "done", "done"]
    assert steps[5:9] == ["update", "done", "done", "done"]
    assert steps[9:13] == ["update", "failed", "failed", "failed"]
    assert steps[13:17] == ["update", "done", "done", "done"]
    assert steps[17:21] == ["delete", "done", "done", "done"]
    ((topic, subject, text),) = world.mails
    assert (topic, "version 13" in subject) == (SETTINGS.alerts_topic, True)
    assert "still serves retraining-test-v2-" in text
    assert "did not answer the ping" in text
    check_nothing_is_left_over(world)


def test_an_endpoint_that_could_not_be_created_waits_for_another_version(world: EndpointWorld) -> None:
    world.promote(13)
    world.quiet()
    assert (world.endpoint or {})["EndpointStatus"] == "Failed"
    assert len(world.mails) == 1
    assert "does not answer requests" in world.mails[0][2]
    world.promote(1)
    world.quiet()
    assert serves(world) == 1
    check_nothing_is_left_over(world)


def test_the_mail_is_the_documented_one(world: EndpointWorld, root: Path) -> None:
    world.promote(13)
    world.quiet()
    ((_, subject, text),) = world.mails
    shown = f"Subject: {subject}\n\n{text}".replace(wanted(13).name, "retraining-test-v13-DIGEST")
    assert shown in (root / "docs" / "emails.md").read_text(encoding="utf-8")


def test_a_failed_version_is_tried_again_when_the_attempt_is_removed(world: EndpointWorld) -> None:
    for first in (None, 1):
        world.promote(first)
        world.quiet()
        world.promote(13)
        world.quiet()
        assert serves(world) == first
        world.broken = frozenset()
        del world.objects[ATTEMPT]
        world.quiet()
        assert serves(world) == 13
        world.broken = frozenset({13})


@pytest.mark.parametrize("when", ["before", "after", "killed"])
def test_a_version_that_could_not_be_served_is_told_of_once_whichever_call_fails(when: str) -> None:
    """The n-th call to S3 or SNS fails, or ends the process, for every n."""
    n = calls = 0
    while n <= calls:
        with made_world(frozenset({13})) as world:
            count, marking = 0, False

            def fail(moment: str, call: str, nth: int = n) -> None:
                nonlocal count, marking
                if moment == "after":
                    marking = call == "publish"
                    if when == "after" and count == nth and not marking:
                        raise refused("InternalError")
                    return
                count += 1
                if count == nth and when != "after":
                    if when == "before":
                        raise refused("Throttled")
                    if not (marking and call == "put_object"):
                        raise Killed

            world.promote(13)
            world.fails = fail
            for _ in range(6):
                with suppress(Exception, Killed):
                    world.invoke()
                world.settle()
            calls = count
            world.fails = lambda moment, call: None
            for _ in range(2):
                world.pass_time(3600)
                world.quiet()
            assert len(world.mails) == 1, f"call {n}"
        n += 1
    assert n > 15


def test_a_mail_that_could_not_be_sent_is_sent_by_lambdas_retry(world: EndpointWorld) -> None:
    world.promote(13)
    world.invoke()
    world.settle()
    publish = world.publish
    context = SimpleNamespace(aws_request_id="the same", invoked_function_arn=FUNCTION_ARN)
    world.publish = lambda **_: (_ for _ in ()).throw(refused("throttled"))  # type: ignore[method-assign]
    with pytest.raises(ClientError):
        handler.handler({}, context)
    world.publish = publish  # type: ignore[method-assign]
    assert handler.handler({}, context)["step"] == "failed"
    assert len(world.mails) == 1


def test_other_sizes_change_the_endpoint_and_another_kind_replaces_it(
    world: EndpointWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.promote(1)
    world.quiet()
    monkeypatch.setenv(SETTINGS_VARIABLE, replace(SETTINGS, memory_mb=4096).as_text())
    world.quiet()
    assert len(world.updates) == 1
    assert "DeploymentConfig" not in world.updates[0], "a serverless endpoint takes none"
    monkeypatch.setenv(SETTINGS_VARIABLE, MACHINES.as_text())
    steps = []
    for _ in range(4):
        steps.append(world.invoke()["step"])
        world.settle()
    assert steps == ["delete", "create", "done", "done"]
    (config,) = world.configs.values()
    assert config["KmsKeyId"] == SETTINGS.kms_key
    world.promote(2)
    world.quiet()
    deployment = world.updates[-1]["DeploymentConfig"]
    assert deployment["AutoRollbackConfiguration"]["Alarms"] == [{"AlarmName": "errors"}, {"AlarmName": "slow"}]
    assert deployment["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "CANARY"
    assert serves(world) == 2


def test_a_missing_artifact_is_an_error_that_names_it(world: EndpointWorld) -> None:
    world.promote(1)
    del world.objects["champion/1/model.tar.gz"]
    with pytest.raises(ServingError, match=r"s3://artifacts/champion/1/model\.tar\.gz"):
        world.invoke()
    world.promote(1)
    world.quiet()
    assert serves(world) == 1


def test_when_the_deployment_is_to_have_none_everything_goes(world: EndpointWorld) -> None:
    world.promote(1)
    world.quiet()
    remove(world)
    assert world.endpoint is None
    assert not world.models | world.configs
    assert not [key for key in world.objects if key.startswith("serving/")]
    remove(world)


def remove(world: EndpointWorld, *, pauses: int = 10) -> list[str]:
    """Remove all within some pauses, in each of which what was begun ends; the states that were waited for."""
    seen: list[str] = []

    def pause(_seconds: float) -> None:
        seen.append(world.endpoint["EndpointStatus"] if world.endpoint else "gone")
        world.settle()

    def left() -> int:
        return 60_000 if len(seen) < pauses else 0

    endpoints, objects = world.services.endpoints, world.services.bucket  # type: ignore[attr-defined]
    handler.remove_all(endpoints, objects, milliseconds_left=left, pause=pause)
    return seen


def test_it_waits_until_the_endpoint_is_gone_before_its_role_may_go(world: EndpointWorld) -> None:
    world.promote(1)
    world.invoke()
    assert remove(world) == ["Creating", "Deleting"], "busy, it cannot be deleted yet"
    assert world.endpoint is None
    assert not world.models | world.configs


def test_a_removal_that_takes_too_long_fails_and_goes_on_when_asked_again(world: EndpointWorld) -> None:
    world.promote(1)
    world.quiet()
    with pytest.raises(ServingError, match="is still InService: run the same cdk command again"):
        remove(world, pauses=0)
    assert world.endpoint
    remove(world)
    assert world.endpoint is None


# --- with boto3, which knows each request's shape, on moto ---------------------------------------------------------


@pytest.mark.parametrize("chosen", [SETTINGS, replace(MACHINES, subnets=["subnet-1"], security_groups=["sg-1"])])
def test_the_requests_are_what_the_service_takes(chosen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTINGS_VARIABLE, chosen.as_text())
    context = SimpleNamespace(aws_request_id="r", invoked_function_arn=FUNCTION_ARN)
    with taught(), mock_aws():
        handler.connect.cache_clear()
        s3, sagemaker = (boto3.client(name, region_name=REGION) for name in ("s3", "sagemaker"))
        s3.create_bucket(Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": REGION})
        steps = []
        for version in (1, 2, None):
            if version:
                s3.put_object(Bucket="artifacts", Key=f"champion/{version}/model.tar.gz", Body=b"weights")
            s3.put_object(Bucket="artifacts", Key="champion/champion.json", Body=champion_json(version))
            steps += [handler.handler({}, context)["step"] for _ in range(2)]
            if version:
                found = sagemaker.describe_endpoint(EndpointName=SETTINGS.name)
                (name,) = [model["ModelName"] for model in sagemaker.list_models()["Models"]]
                container = sagemaker.describe_model(ModelName=name)["PrimaryContainer"]
                assert found["EndpointConfigName"] == name
                assert container["Environment"] == {"MODEL_VERSION": str(version), "STALE_AFTER_DAYS": "7"}
        assert steps == ["create", "done", "update", "done", "delete", "done"]
        assert not sagemaker.list_models()["Models"]
        assert not sagemaker.list_endpoint_configs()["EndpointConfigs"]
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="artifacts", Prefix="serving/")["Contents"]]
        assert keys == [ATTEMPT]
    handler.connect.cache_clear()
