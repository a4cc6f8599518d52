"""Is a predictor still right? Evidence against it that every run may look at, and that needs no past to compare with.

The null hypothesis is the predictor's own claim: the event comes with the probability p that it gave, up to a tolerance
(log-odds off by a little, or a little too steep or flat). A calibrated predictor's expected loss follows from its own
probabilities, so nothing else is needed. The alternatives are named failure modes:

    loss     surprised more often than it claims: log-odds shrunk, reversed, or the baseline is the better one
    leakage  surprised less often than it claims: suspected leakage
    rate     the event comes more, or less, often than it claims
    group    the event comes more, or less, often for one group: its data is wrong, or its state is

For each the likelihood ratio of the rows, averaged over the alternatives, over the greatest that the tolerated
forecasters reach (universal inference: Wasserman, Ramdas and Balakrishnan 2020), is an e-process: its expectation never
exceeds one, however often it is looked at. A fault begins in some unknown week, so one such process is begun
each week with rows, and they are summed (a Shiryaev-Roberts e-detector: Shin, Ramdas and Rinaldo 2022). The sum
crosses a limit of L by chance no more often than once in L weeks with rows on average, looked at daily or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.spec import MonitorSpec

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Groups = tuple[tuple[NDArray[Any], float], ...]  # members by row, and 1, or -1 if the event is against them

LOSS: Final = "loss"
LEAKAGE: Final = "leakage"
RATE: Final = "rate"
GROUP: Final = "group"
FAMILIES: Final = (LOSS, LEAKAGE, RATE, GROUP)

# One false alarm in so many weeks with rows, over all detectors: 20 years of 26 weeks.
WEEKS_BETWEEN_FALSE_ALARMS: Final = 520
DETECTORS: Final = len(FAMILIES) + 1  # and one that a workload may add
LIMIT: Final = float(WEEKS_BETWEEN_FALSE_ALARMS * DETECTORS)
ANY: Final = MonitorSpec()

_SHRUNK: Final = (0.6, 0.3, 0.0, -0.5)  # the truth's log-odds as a multiple of the claimed ones
_STEEPER: Final = (1.5, 2.0, 3.0)
_SHIFTS: Final = (-0.9, -0.6, -0.35, 0.35, 0.6, 0.9)
_GROUP_SHIFTS: Final = (-1.2, 1.2)
_STEPS: Final = 5  # of the tolerated box in each direction; its greatest likelihood lies on or near such a point
_EPSILON: Final = 1e-9


@dataclass(frozen=True)
class Forecasts:
    """Decided rows in order of day, each predicted before it was decided; arrays of the shape (rows,).

    Raises ValueError where shapes differ, days fall, an outcome is not 0 or 1 or a probability not between 0 and 1.
    """

    p: FloatArray  # claimed probability of the event
    target: FloatArray  # 1 or 0
    day: IntArray  # days since 1970-01-01
    groups: Groups = ()
    p_reference: FloatArray | None = None  # the baseline's probabilities: one more alternative of `loss`

    def __post_init__(self) -> None:
        given = [a for a in (self.p, self.target, self.day, self.p_reference) if a is not None]
        given += [members for members, _ in self.groups]
        if any(len(array) != len(self.p) for array in given):
            raise ValueError(f"forecasts: arrays of different lengths ({', '.join(str(len(a)) for a in given)})")
        if (np.diff(self.day) < 0).any():
            raise ValueError("forecasts: the rows are not in order of day")
        if not np.isin(self.target, (0.0, 1.0)).all():
            raise ValueError("forecasts: an outcome is neither 0 nor 1")
        for p in (self.p, self.p_reference):
            if p is not None and not ((p >= 0.0) & (p <= 1.0)).all():
                raise ValueError("forecasts: a probability is not a number from 0 to 1")

    def __len__(self) -> int:
        return len(self.p)


@dataclass(frozen=True)
class EvidencePath:
    """Evidence after each day with rows: by family an array of the shape (days,), 1 and more is beyond the limit.

    The scale is logarithmic, ln(sum of e-processes) / ln(limit): below 0 the rows speak for it.
    """

    day: IntArray
    n_rows: IntArray  # rows up to and including that day
    by_family: Mapping[str, FloatArray]
    min_rows: int = ANY.min_rows

    def alarm(self, family: str | None = None) -> NDArray[np.bool_]:
        """Whether the evidence of the family (of any, if none is given) is beyond the limit, with enough rows."""
        families = FAMILIES if family is None else (family,)
        beyond = np.stack([self.by_family[name] >= 1.0 for name in families])
        return np.asarray(beyond.any(axis=0) & (self.n_rows >= self.min_rows))

    @property
    def alarms(self) -> tuple[str, ...]:
        """The families beyond the limit after the last day."""
        return tuple(name for name in FAMILIES if self.alarm(name)[-1:].any())


def evidence_by_day(forecasts: Forecasts, spec: MonitorSpec = ANY) -> EvidencePath:
    """The evidence that each run of the span would have seen: what was known by then, and nothing else."""
    day, first, counts = np.unique(forecasts.day, return_index=True, return_counts=True)
    ends = first + counts
    weeks = (forecasts.day + 3) // 7  # Monday to Sunday: 1970-01-01 was a Thursday
    starts = np.flatnonzero(np.diff(weeks, prepend=weeks[:1] - 1))
    tolerated = _cumulative(_tolerated_log_odds(forecasts, spec), forecasts.target)
    by_family = {}
    for name, log_odds in _alternatives(forecasts).items():
        if log_odds.shape[1] == 0:
            by_family[name] = np.zeros(len(day))
            continue
        logs = _detector(_cumulative(log_odds, forecasts.target), tolerated, starts, ends)
        by_family[name] = logs / np.log(LIMIT)
    return EvidencePath(day=day, n_rows=ends.astype(np.int64), by_family=by_family, min_rows=spec.min_rows)


def _log_odds(p: FloatArray) -> FloatArray:
    safe = np.clip(p, _EPSILON, 1.0 - _EPSILON)
    return np.asarray(np.log(safe) - np.log1p(-safe))


def _tolerated_log_odds(forecasts: Forecasts, spec: MonitorSpec) -> FloatArray:
    """(rows, points of the tolerated box)."""
    shifts = np.linspace(-spec.tolerated_shift, spec.tolerated_shift, _STEPS)
    slopes = 1.0 + np.linspace(-spec.tolerated_slope, spec.tolerated_slope, _STEPS)
    claimed = _log_odds(forecasts.p)[:, None, None]
    return np.asarray((shifts[None, :, None] + slopes[None, None, :] * claimed).reshape(len(forecasts), _STEPS**2))


def _alternatives(forecasts: Forecasts) -> dict[str, FloatArray]:
    """By family the log-odds of each alternative, of the shape (rows, alternatives)."""
    claimed = _log_odds(forecasts.p)[:, None]
    loss = claimed * np.array(_SHRUNK)
    if forecasts.p_reference is not None:
        loss = np.column_stack([loss, _log_odds(forecasts.p_reference)])
    return {
        LOSS: loss,
        LEAKAGE: claimed * np.array(_STEEPER),
        RATE: claimed + np.array(_SHIFTS),
        GROUP: _group_log_odds(forecasts, claimed),
    }


def _sides(forecasts: Forecasts) -> tuple[NDArray[Any], FloatArray]:
    """The groups, and for each row and group 1, -1 or 0, of the shape (rows, groups)."""
    if not forecasts.groups:
        return np.empty(0, dtype=str), np.zeros((len(forecasts), 0))
    names = np.unique(np.concatenate([members for members, _ in forecasts.groups]))
    sides = np.zeros((len(forecasts), len(names)))
    for members, sign in forecasts.groups:
        sides += sign * (members[:, None] == names)
    return names, sides


def _group_log_odds(forecasts: Forecasts, claimed: FloatArray) -> FloatArray:
    _, sides = _sides(forecasts)
    return np.concatenate([claimed + shift * sides for shift in _GROUP_SHIFTS], axis=1)


def likeliest_group(forecasts: Forecasts) -> str | None:
    """The group whose outcomes differ most from the forecasts, in standard deviations of its sum of residuals."""
    names, sides = _sides(forecasts)
    if names.size == 0:
        return None
    residual = sides * (forecasts.target - forecasts.p)[:, None]
    variance = (sides != 0.0) * (forecasts.p * (1.0 - forecasts.p))[:, None]
    score = np.abs(residual.sum(axis=0)) / np.sqrt(np.maximum(variance.sum(axis=0), _EPSILON))
    return str(names[int(score.argmax())])


def _cumulative(log_odds: FloatArray, target: FloatArray) -> FloatArray:
    """Log-likelihood of the first 0, 1, ... rows under each column, of the shape (rows + 1, columns)."""
    signed = np.where(target[:, None] == 1.0, log_odds, -log_odds)
    result = np.zeros((len(log_odds) + 1, log_odds.shape[1]))
    np.cumsum(-np.logaddexp(0.0, -signed), axis=0, out=result[1:])
    return result


def _detector(alternatives: FloatArray, tolerated: FloatArray, starts: IntArray, ends: IntArray) -> FloatArray:
    """Log of the sum of the e-processes begun at `starts`, after the rows before each of `ends`."""
    total = np.full(len(ends), -np.inf)
    for start in starts:
        running = ends > start
        against = _log_mean_exp(alternatives[ends[running]] - alternatives[start])
        in_favour = (tolerated[ends[running]] - tolerated[start]).max(axis=1)
        total[running] = np.logaddexp(total[running], against - in_favour)
    return total


def _log_mean_exp(values: FloatArray) -> FloatArray:
    greatest = values.max(axis=1)
    return np.asarray(greatest + np.log(np.exp(values - greatest[:, None]).mean(axis=1)))
