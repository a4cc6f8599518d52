"""Makes the endpoint serve the champion.

As for champion/ (champion.py), nothing is taken from an event: each call reads what is wanted and what there is, does
the next step at most, and the service's own event about its end calls again. Before it acts, a call claims the step in
serving/attempt.json over the one that it read first of all (S3's If-Match): of two calls one acts, the other looks
again.

The claim also remembers what was tried. A version that SageMaker rolled back, or that could not be created, is reported
once (the notice is recorded before the attempt is marked as reported), and not tried again until something else is
wanted or serving/attempt.json is removed: trying hourly would cost an hour of machines and a mail each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

from botocore.exceptions import ClientError

from infra.endpoint.function.desired_endpoint import ATTEMPT, PREFIX, SERVERLESS, EndpointSettings, Wanted
from infra.endpoint.function.endpoint_calls import Endpoint, Endpoints
from infra.lambda_shared.bucket import Objects, Stored
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
class Failure:
    """What people are told."""

    wanted: Wanted
    endpoint: Endpoint
    attempt: str  # unique to the attempt that failed


@dataclass(frozen=True)
class Attempt:
    """What was tried last: the configuration's name, whether it began, whether its failure was reported."""

    config: str | None = None
    began: bool = False
    reported: bool = False
    claim: str = ""  # of the invocation that wrote it

    @classmethod
    def of(cls, stored: Stored) -> Attempt:
        """From the object; one that is missing or unreadable says nothing."""
        found = stored.json or {}
        return cls(**{name: found[name] for name in ("config", "began", "reported", "claim") if name in found})


def next_step(wanted: Wanted | None, endpoint: Endpoint | None, tried: Attempt) -> str:
    """What to do now."""
    if endpoint is None:
        return CREATE if wanted else DONE
    if endpoint.status in BUSY:
        return WAIT
    if wanted is None:
        return DELETE
    if endpoint.status != IN_SERVICE:  # it can only be deleted now, and is when something else is wanted
        return FAILED if tried.config == wanted.name else DELETE
    if endpoint.config == wanted.name:
        return DONE
    return _from_other(wanted, endpoint, tried)


def _from_other(wanted: Wanted, endpoint: Endpoint, tried: Attempt) -> str:
    """The step of an endpoint that serves, but not what is wanted."""
    if tried.config == wanted.name and tried.began:
        return FAILED  # it was rolled back
    # SageMaker refuses to make a serverless endpoint of one with machines, and cannot roll back the other way.
    return UPDATE if endpoint.serverless == (wanted.settings.kind == SERVERLESS) else DELETE


def converge(
    endpoints: Endpoints,
    objects: Objects,
    settings: EndpointSettings,
    *,
    claim: str,
    on_failure: Callable[[Failure], None],
) -> str:
    """Do the next step, and return which it was; `claim` is unique to this invocation."""
    for _ in range(MAX_ROUNDS):
        before = objects.read(ATTEMPT)  # first: what is read after it is newer than the claim that is replaced
        wanted = Wanted.of(settings, objects.read(POINTER).json)
        endpoint = endpoints.describe()
        tried = Attempt.of(before)
        step = next_step(wanted, endpoint, tried)
        if step == WAIT or (step == FAILED and tried.reported):
            return step
        if step == DONE:
            # What another call has claimed, it may be making: it must know that it is overtaken before that is removed.
            settled = Attempt(wanted.name if wanted else None, began=wanted is not None, claim=claim)
            if tried.config not in (None, settled.config):
                _write(objects, settled, over=before)
            elif _clean(endpoints, objects, wanted, before):
                return step
            continue
        failed = step == FAILED
        if failed and wanted and endpoint:
            on_failure(Failure(wanted, endpoint, tried.claim))
        planned = None if wanted is None or step == DELETE else wanted.name
        if not _write(objects, Attempt(planned, began=failed, reported=failed, claim=claim), over=before):
            continue
        if step == DELETE:
            endpoints.delete()
        elif wanted and not failed:
            _put_into_service(endpoints, objects, wanted, step, claim)
        return step
    raise ServingError(f"other calls kept changing the endpoint for {MAX_ROUNDS} rounds: it will be tried again")


def remove_all(
    endpoints: Endpoints, objects: Objects, *, milliseconds_left: Callable[[], int], pause: Callable[[float], None]
) -> None:
    """The endpoint and all that belongs to it, when the deployment is to have none; waits until it is really gone.

    SageMaker needs the endpoint's role as long (its reference of DeleteEndpoint), and CloudFormation deletes that next.
    Raises ServingError when there is no more time.
    """
    while endpoint := endpoints.describe():
        if endpoint.status not in BUSY:
            endpoints.delete()
        if milliseconds_left() < SPARE_MS:
            remedy = "run the same cdk command again, it goes on from there"
            raise ServingError(f"endpoint {endpoints.name} is still {endpoint.status}: {remedy}")
        pause(POLL_SECONDS)
    endpoints.remove(*endpoints.belongings())
    objects.remove(objects.keys(PREFIX))


def _put_into_service(endpoints: Endpoints, objects: Objects, wanted: Wanted, step: str, claim: str) -> None:
    try:
        if not objects.copy(wanted.source, wanted.artifact, sha256=wanted.metadata.get("sha256")):
            raise ServingError(
                f"the champion's artifact is missing, or not the one that was evaluated: {wanted.source}; it will be "
                "looked for again"
            )
        endpoints.prepare(wanted)
        mine = objects.read(ATTEMPT)
        if Attempt.of(mine).claim != claim:
            return  # overtaken
        if (endpoints.create if step == CREATE else endpoints.update)(wanted):
            _write(objects, Attempt(wanted.name, began=True, claim=claim), over=mine)
    except (ServingError, ClientError):
        still_mine = Attempt.of(objects.read(ATTEMPT)).claim == claim
        if still_mine and objects.read(POINTER).json == wanted.metadata:
            raise
        # The champion has changed meanwhile: what is missing was removed by the call that followed the change.


def _write(objects: Objects, attempt: Attempt, *, over: Stored) -> bool:
    return objects.write(ATTEMPT, json.dumps(asdict(attempt), sort_keys=True) + "\n", over=over)


def _clean(endpoints: Endpoints, objects: Objects, wanted: Wanted | None, before: Stored) -> bool:
    """Remove what was replaced; False where a call has claimed a step meanwhile, and may have made some of it."""
    configs, models = endpoints.belongings()
    copies = objects.keys(PREFIX) - {ATTEMPT}
    if objects.read(ATTEMPT).etag != before.etag:
        return False
    kept = {wanted.name} if wanted else set()
    endpoints.remove(configs - kept, models - kept)
    objects.remove(copies - ({wanted.artifact} if wanted else set()))
    return True
