"""Faults injected into a backtest from a date: data that Prepare refuses, a leak, a broken fit. Nothing else changes.

bad-feed        the nightly export lacks a column; Prepare's own validation refuses it until the last day
leak            Train sees a feature that includes the row's own target; upcoming rows have sound features, as in life
broken-fit      Train gets random targets: walk-forward predictions and shipped weights are worthless
broken-weights  only the shipped weights are worthless; the walk-forward predictions, which the gates judge, are sound
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.candidates import Tampering
from pipeline.backtest.fits import CLEAN, Source
from pipeline.backtest.world import EPOCH, BacktestError, World
from pipeline.contract.workload import Workload
from pipeline.ingest.quarantine import BadData
from pipeline.ingest.validated import LoadRequest
from pipeline.training.training_sets import FeatureMatrix

BAD_FEED, LEAK, BROKEN_FIT, BROKEN_WEIGHTS = "bad-feed", "leak", "broken-fit", "broken-weights"
KINDS: Final = (BAD_FEED, LEAK, BROKEN_FIT, BROKEN_WEIGHTS)
DEFAULT_DAYS: Final = 14  # until somebody has fixed it
_RANDOM: Final = "random"
_SEED: Final = 20_150_101


@dataclass(frozen=True)
class Injection:
    """A fault on the days from `first` to `last`, both included."""

    kind: str
    first: date
    last: date

    def __str__(self) -> str:
        return f"{self.kind} from {self.first} to {self.last}"


def parse_injection(text: str) -> Injection:
    """`leak@2015-01-10` (two weeks) or `leak@2015-01-10..2015-02-10`; raises BacktestError."""
    found = re.fullmatch(r"([a-z-]+)@(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?", text)
    if not found or found[1] not in KINDS:
        raise BacktestError(
            f'--inject "{text}" is not KIND@DATE or KIND@DATE..DATE with KIND one of {", ".join(KINDS)}'
        )
    try:
        first = date.fromisoformat(found[2])
        last = date.fromisoformat(found[3]) if found[3] else first + timedelta(days=DEFAULT_DAYS - 1)
    except ValueError as error:
        raise BacktestError(f'--inject "{text}": {error}') from error
    if last < first:
        raise BacktestError(f'--inject "{text}": it ends before it begins')
    return Injection(found[1], first, last)


@dataclass(frozen=True)
class Faults:
    """What the injections do to the runs, to training, and how Prepare worded its refusal."""

    refused: NDArray[np.bool_]  # (runs,)
    tampering: tuple[Tampering, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict)
    refusal: str = ""


def inject(world: World, data: Path, injections: Sequence[Injection], max_bad_row_share: float) -> Faults:
    """Make the faults. Raises BacktestError for one outside the span, and where Prepare would accept the bad feed."""
    refused = np.zeros(len(world.run_days), dtype=np.bool_)
    tampering: list[Tampering] = []
    sources: dict[str, Source] = {}
    refusal = ""
    for injection in injections:
        first, last = (injection.first - EPOCH).days, (injection.last - EPOCH).days
        hit = (world.run_days >= first) & (world.run_days <= last)
        if not hit.any():
            raise BacktestError(f"--inject {injection}: no run of the backtest is within")
        if injection.kind == BAD_FEED:
            refusal = _refusal_of(world.workload, data, injection.first, max_bad_row_share)
            refused |= hit
        elif injection.kind == LEAK:
            sources[LEAK] = _leaking(world)
            tampering.append(Tampering(LEAK, first, last, taught=LEAK, scored=LEAK))
        else:
            sources[_RANDOM] = _random_targets(world)
            only = injection.kind == BROKEN_WEIGHTS
            tampering.append(Tampering(injection.kind, first, last, taught=_RANDOM, scored=CLEAN, only_weights=only))
    return Faults(refused, tuple(tampering), sources, refusal)


def _refusal_of(workload: Workload, data: Path, day: date, max_bad_row_share: float) -> str:
    """What Prepare says to the data with an export beside it that lacks a column."""
    columns = [column.name for column in workload.spec.columns if column.required]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        if data.is_dir():
            shutil.copytree(data, folder)
        else:
            folder.mkdir()
            shutil.copy(data, folder)
        (folder / f"export_{day}.csv").write_text(",".join(columns[:-1]) + "\n" + "," * (len(columns) - 2) + "\n")
        spec = workload.spec
        request = LoadRequest(
            folder, as_of=day, today=day, time_zone=spec.time_zone, max_bad_row_share=max_bad_row_share
        )
        try:
            workload.data.load(spec, request)
        except BadData as refusal:
            return str(refusal)
    raise BacktestError("Prepare accepts the bad feed: there would be no fault")


def _leaking(world: World) -> Source:
    if world.workload.backtest:
        X = world.workload.backtest.leak(world.X, world.layout, world.results_of_rows)
    else:
        X = _with_target(world)
    return Source(X, world.target, world.layout)


def _with_target(world: World) -> FeatureMatrix:
    """The first number moves with the row's own target, by as much as it varies."""
    numbers = [n for n, name in enumerate(world.layout.features) if name not in world.layout.categories]
    if not numbers:
        raise BacktestError(f"--inject {LEAK}: no feature is a number that could hold the target")
    X, target = world.X.copy(), world.target - world.target.mean()
    X[:, numbers[0]] += 2.0 * np.nanstd(X[:, numbers[0]]) * target / target.std()
    return X


def _random_targets(world: World) -> Source:
    rng = np.random.default_rng(_SEED)
    if world.spec.task == "binary":
        target = (rng.random(len(world.target)) < world.target.mean()).astype(np.float64)
    else:
        target = rng.permutation(world.target)
    return Source(world.X, target, world.layout)
