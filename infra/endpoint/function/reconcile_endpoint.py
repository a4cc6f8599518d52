"""Reconciles the endpoint with the champion.

As for champion/ (reconcile_champion.py), nothing is taken from an event: each call reads the desired and the actual
state and does at most the next step; the service's event at its end calls again. Before it acts, a call claims the
step in serving/attempt.json, over the version that it read first (S3's If-Match): of two calls one acts, the other
reads again.

The claim also remembers what was tried. A version that SageMaker rolled back, or that could not be created, is reported
once (the notice is recorded before the attempt is marked as reported), and not tried again until the desired
state changes or serving/attempt.json is removed: trying hourly would cost an hour of instances and an email each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

from botocore.exceptions import ClientError

from infra.endpoint.function.desired_endpoint import ATTEMPT, PREFIX, SERVERLESS, DesiredEndpoint, EndpointSettings
from infra.endpoint.function.endpoint_calls import Endpoints, EndpointStatus
from infra.lambda_shared.bucket import Bucket, S3Object
from infra.lambda_shared.reconcile_champion import POINTER

SPARE_MS: Final = 20_000  # to answer CloudFormation before Lambda ends the function
POLL_SECONDS: Final = 5.0
MAX_ROUNDS: Final = 10  # each round but the last saw another call's claim
BUSY: Final = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
IN_SERVICE: Final = "InService"

CREATE, UPDATE, DELETE = "create", "update", "delete"
DONE, WAIT, FAILED = "done", "wait", "failed"


class ServingError(Exception):
    """Calls kept getting in each other's way, or the champion's artifact is missing; it will be tried again."""


@dataclass(frozen=True)
class EndpointFailure:
    """A version that could not be put into service."""

    desired: DesiredEndpoint
    endpoint: EndpointStatus
    attempt: str  # unique to the attempt that failed


@dataclass(frozen=True)
class Attempt:
    """What was tried last: the configuration's name, whether it began, whether its failure was reported."""

    config: str | None = None
    began: bool = False
    reported: bool = False
    claim: str = ""  # of the invocation that wrote it

    @classmethod
    def of(cls, stored: S3Object) -> Attempt:
        """From the object; one that is missing or unreadable says nothing."""
        found = stored.json or {}
        return cls(**{name: found[name] for name in ("config", "began", "reported", "claim") if name in found})


def next_step(desired: DesiredEndpoint | None, endpoint: EndpointStatus | None, tried: Attempt) -> str:
    """What to do now."""
    if endpoint is None:
        return CREATE if desired else DONE
    if endpoint.status in BUSY:
        return WAIT
    if desired is None:
        return DELETE
    if endpoint.status != IN_SERVICE:  # it can only be deleted now, and is when the desired state changes
        return FAILED if tried.config == desired.name else DELETE
    if endpoint.config == desired.name:
        return DONE
    return _from_other(desired, endpoint, tried)


def _from_other(desired: DesiredEndpoint, endpoint: EndpointStatus, tried: Attempt) -> str:
    """The step of an endpoint that serves, but not what is desired."""
    if tried.config == desired.name and tried.began:
        return FAILED  # it was rolled back
    # SageMaker refuses to make a serverless endpoint of one with instances, and cannot roll back the other way.
    return UPDATE if endpoint.serverless == (desired.settings.kind == SERVERLESS) else DELETE


def reconcile_endpoint(
    endpoints: Endpoints,
    bucket: Bucket,
    settings: EndpointSettings,
    *,
    claim: str,
    on_failure: Callable[[EndpointFailure], None],
) -> str:
    """Do the next step, and return which it was; `claim` is unique to this invocation."""
    for _ in range(MAX_ROUNDS):
        before = bucket.read(ATTEMPT)  # first: what is read after it is newer than the claim that is replaced
        desired = DesiredEndpoint.of(settings, bucket.read(POINTER).json)
        endpoint = endpoints.describe()
        tried = Attempt.of(before)
        step = next_step(desired, endpoint, tried)
        if step == WAIT or (step == FAILED and tried.reported):
            return step
        if step == DONE:
            # What another call has claimed, it may be making: it must know that it is overtaken before that is removed.
            settled = Attempt(desired.name if desired else None, began=desired is not None, claim=claim)
            if tried.config not in (None, settled.config):
                _write(bucket, settled, over=before)
            elif _delete_replaced(endpoints, bucket, desired, before):
                return step
            continue
        failed = step == FAILED
        if failed and desired and endpoint:
            on_failure(EndpointFailure(desired, endpoint, tried.claim))
        planned = None if desired is None or step == DELETE else desired.name
        if not _write(bucket, Attempt(planned, began=failed, reported=failed, claim=claim), over=before):
            continue
        if step == DELETE:
            endpoints.delete()
        elif desired and not failed:
            _deploy(endpoints, bucket, desired, step, claim)
        return step
    raise ServingError(f"other calls kept changing the endpoint for {MAX_ROUNDS} rounds: it will be tried again")


def remove_all(
    endpoints: Endpoints, bucket: Bucket, *, milliseconds_left: Callable[[], int], pause: Callable[[float], None]
) -> None:
    """The endpoint and all that belongs to it, when the deployment is to have none; waits until it is really gone.

    SageMaker needs the endpoint's role as long (its reference of DeleteEndpoint), and CloudFormation deletes that next.
    Raises ServingError when there is no more time.
    """
    while endpoint := endpoints.describe():
        if endpoint.status not in BUSY:
            endpoints.delete()
        if milliseconds_left() < SPARE_MS:
            remedy = "run the same cdk command again: it resumes"
            raise ServingError(f"endpoint {endpoints.name} is still {endpoint.status}: {remedy}")
        pause(POLL_SECONDS)
    endpoints.remove(*endpoints.belongings())
    bucket.remove(bucket.keys(PREFIX))


def _deploy(endpoints: Endpoints, bucket: Bucket, desired: DesiredEndpoint, step: str, claim: str) -> None:
    try:
        if not bucket.copy(desired.source, desired.artifact, sha256=desired.metadata.get("sha256")):
            raise ServingError(
                f"the champion's artifact is missing, or not the one that was evaluated: {desired.source}; it will be "
                "looked for again"
            )
        endpoints.prepare(desired)
        current = bucket.read(ATTEMPT)
        if Attempt.of(current).claim != claim:
            return  # overtaken
        if (endpoints.create if step == CREATE else endpoints.update)(desired):
            _write(bucket, Attempt(desired.name, began=True, claim=claim), over=current)
    except (ServingError, ClientError):
        still_current = Attempt.of(bucket.read(ATTEMPT)).claim == claim
        if still_current and bucket.read(POINTER).json == desired.metadata:
            raise
        # The champion has changed meanwhile: what is missing was removed by the call that followed the change.


def _write(bucket: Bucket, attempt: Attempt, *, over: S3Object) -> bool:
    return bucket.write(ATTEMPT, json.dumps(asdict(attempt), sort_keys=True) + "\n", over=over)


def _delete_replaced(endpoints: Endpoints, bucket: Bucket, desired: DesiredEndpoint | None, before: S3Object) -> bool:
    """Remove what was replaced; False where a call has claimed a step meanwhile, and may have made some of it."""
    configs, models = endpoints.belongings()
    copies = bucket.keys(PREFIX) - {ATTEMPT}
    if bucket.read(ATTEMPT).etag != before.etag:
        return False
    kept = {desired.name} if desired else set()
    endpoints.remove(configs - kept, models - kept)
    bucket.remove(copies - ({desired.artifact} if desired else set()))
    return True
