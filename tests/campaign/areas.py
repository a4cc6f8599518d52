"""The areas of the campaign: each makes its cases from a seed, and classifies them."""

from __future__ import annotations

import asyncio
import csv
import errno
import gzip
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import places  # noqa: F401
import request_mutations
from approval_worlds import VARIABLES
from damage import any_damage
from failing_writes import InProcess, assert_whole, pipeline, run_with_fault
from file_mutations import KINDS, Mutant, mutant
from local_definitions import Workbench
from outcomes import Case, Outcome, SilentlyWrongError, classify
from random_worlds import play
from starlette.applications import Starlette
from trained_models import answers, write_good_model
from written_games import load, original, original_rows

from pipeline.contract.container import StepError
from pipeline.contract.reasons import readable
from pipeline.ingest.quarantine import BadData
from pipeline.local.store.store_errors import StoreError
from pipeline.serving.app import make_app
from pipeline.serving.predictor import Predictor, load_predictor
from pipeline.serving.requests import BadRequestError

MODELS_A_ROUND = 37
REQUESTS_OF_A_KIND = 5  # a round
WORLDS_A_ROUND = 100
WRITES_A_ROUND = 10
MOST_WRITES = 110  # of a run; beyond its last write it has no fault


def seeded(seed: int, name: str) -> random.Random:
    """Each case by itself can be made again."""
    return random.Random(f"{seed}/{name}")  # noqa: S311 - damage, not secrets


def files(seed: int, rounds: int, folder: Path) -> Iterator[Case]:
    """Game files: each kind of mutation once a round."""
    tables = original(folder)
    games = original_rows(tables.values())
    for number in range(rounds):
        for kind in KINDS:
            name = f"files/{kind}/{number}"
            yield read_mutant(name, mutant(kind, seeded(seed, name), tables, games), folder / "games")


def read_mutant(name: str, made: Mutant, folder: Path) -> Case:
    """Writes the files and loads them."""
    shutil.rmtree(folder, ignore_errors=True)
    for file, data in made.files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(data)
    folder.mkdir(exist_ok=True)
    return classify(
        name,
        lambda: made.written.judge(load(folder)),
        (BadData,),
        must_name=made.must_name,
        must_be_read=made.must_be_read,
        readable=lambda reason: readable(reason, folder),
    )


# --- models -----------------------------------------------------------------------------------------------------------
def models(seed: int, rounds: int, folder: Path) -> Iterator[Case]:
    """A champion's model: damaged as it is packed, before it was packed, or unpacked."""
    good = good_model(folder)
    right, packed = answers(good / "good.tar.gz"), (good / "good.tar.gz").read_bytes()
    tar, files_of_model = gzip.decompress(packed), sorted((good / "good").iterdir())
    for number in range(rounds * MODELS_A_ROUND):
        form = ("packed", "before it was packed", "unpacked")[number % 3]
        name = f"models/{form}/{number // 3}"
        rng = seeded(seed, name)
        target, one = folder / "model.tar.gz", rng.choice(files_of_model)
        if form == "packed":
            target.write_bytes(any_damage(rng, packed))
        elif form == "before it was packed":
            target.write_bytes(gzip.compress(any_damage(rng, tar), 1))
        else:
            target = folder / "unpacked"
            shutil.copytree(good / "good", target, dirs_exist_ok=True)
            (target / one.name).write_bytes(any_damage(rng, one.read_bytes()))
        yield classify(name, lambda path=target: same_answers(path, right), (StepError,), must_name=(target.name,))


def good_model(folder: Path) -> Path:
    """Trained once a folder."""
    return folder if (folder / "good.tar.gz").exists() else write_good_model(folder)


def same_answers(path: Path, right: Any) -> Outcome:
    """The model answers as the undamaged one."""
    found = answers(path)
    if not np.array_equal(found, right):
        raise SilentlyWrongError(f"answers {found[:3]} and not {right[:3]}")
    return Outcome.RIGHT


# --- requests ---------------------------------------------------------------------------------------------------------
def requests(seed: int, rounds: int, folder: Path) -> Iterator[Case]:
    """Requests to the server's own application, without a network."""
    predictor = load_predictor(good_model(folder) / "good", "1", 7)
    app = make_app(predictor)
    with ThreadPoolExecutor(1) as apart:  # a browser of another test may keep a loop in this thread
        for number in range(rounds * REQUESTS_OF_A_KIND):
            for kind in request_mutations.KINDS:
                name = f"requests/{kind}/{number}"
                made = request_mutations.question(kind, seeded(seed, name))
                yield classify(
                    name,
                    lambda made=made: judge_answer(
                        made, *apart.submit(asyncio.run, post(app, made)).result(), predictor
                    ),
                    (BadRequestError,),
                    must_be_read=kind == "no change",
                )


async def post(app: Starlette, made: request_mutations.Question) -> tuple[int, bytes]:
    """Status and body of the answer."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": made.body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.encode(), text.encode("latin-1")) for name, text in made.headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": headers, "query_string": b""}
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def judge_answer(made: request_mutations.Question, status: int, body: bytes, predictor: Predictor) -> Outcome:
    """A refusal is raised; an answer is what the model says of the games that the body asks for."""
    if status != 200:
        raise BadRequestError(json.loads(body)["error"])
    games = request_mutations.asked(made)
    if games is None:
        raise SilentlyWrongError(f"answers what is no question: {made.body[:300]!r}")
    rows = json.loads(body)["predictions"] if body.startswith(b"{") else csv.DictReader(io.StringIO(body.decode()))
    found = [float(row["home_win_probability"]) for row in rows]
    right = predictor.answer(games).predictions.tolist()
    if found != right:
        raise SilentlyWrongError(f"answers {found} and not {right} to {made.body[:300]!r}")
    return Outcome.RIGHT


# --- worlds and writes ------------------------------------------------------------------------------------------------
def worlds(seed: int, rounds: int, folder: Path) -> Iterator[Case]:
    """Approval events lost, late, repeated and in any order, with errors at calls: each email exactly once."""
    for number in range(rounds * WORLDS_A_ROUND):
        yield classify(f"worlds/random/{number}", lambda n=number: settled(f"{seed}/{n}"), ())


def settled(seed: str) -> Outcome:
    """The emails and the champion of a world at its end."""
    with patch.dict(os.environ, VARIABLES):
        if wrong := play(seed).wrong:
            raise SilentlyWrongError(wrong)
    return Outcome.RIGHT


def writes(seed: int, rounds: int, folder: Path) -> Iterator[Case]:
    """A local run whose n-th write fails; the run after it finds a whole store."""
    for number in range(rounds):
        (folder / f"store{number}").mkdir(parents=True)
        bench = Workbench(folder / f"store{number}")
        for turn in range(WRITES_A_ROUND):
            kind = ("ENOSPC", "EACCES")[turn % 2]
            name = f"writes/{kind}/{number * WRITES_A_ROUND + turn}"
            read = lambda b=bench, n=name, k=kind: faulty_run(b, seeded(seed, n), getattr(errno, k))  # noqa: E731
            yield classify(name, read, (StoreError,), must_name=(str(bench.folder),))


def faulty_run(bench: Workbench, rng: random.Random, number: int) -> Outcome:
    """The reason of the run's failure is raised."""
    use_cache = rng.random() < 0.3
    faulty = run_with_fault(bench, rng.randrange(1, MOST_WRITES), number, use_cache=use_cache)
    after = bench.run(pipeline(), launcher=InProcess(), use_cache=use_cache)
    try:
        assert after.status == "Succeeded", after.failure
        assert_whole(bench)
    except AssertionError as error:
        raise SilentlyWrongError(f"the store after {faulty.failed}: {error}") from error
    if faulty.reason:
        raise StoreError(faulty.reason)
    return Outcome.RIGHT


AREAS: dict[str, Callable[[int, int, Path], Iterator[Case]]] = {
    "files": files,
    "models": models,
    "requests": requests,
    "worlds": worlds,
    "writes": writes,
}
