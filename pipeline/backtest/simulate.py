"""Every policy through every run: what Prepare, Train, Evaluate, the gates, an approver and Predict would have done.

One loop over the runs, in which each line is an array over the policies. A run is that of the definition: Predict
uses the champion of the morning; new labels are trained on where that is due; the last-evaluated record
is written whatever the gates say; a version registered and approved today is in service from the next run on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.judgements import Alarms, Judgements
from pipeline.backtest.policies import OFF, STRICT, Policy
from pipeline.backtest.world import BoolArray, FloatArray, IntArray
from pipeline.contract import gates
from pipeline.contract.retrain_policy import training_is_due
from pipeline.contract.spec import Limit
from pipeline.monitoring.monitor_evidence import LOSS

NO_CHAMPION: Final = -1  # no champion: Predict uses the workload's fallback
LONG_AGO: Final = -(10**9)
COUNTS: Final = (
    "runs",
    "failed_prepare",  # the feed was refused
    "trainings",
    "failed_gate",  # candidates below the quality limits: a failed run
    "kept",  # candidates that did not replace the champion
    "registered",
    "refused",  # by the approver
    "approved",
    "false_promotions",  # approved, though made while a fault was there
    "missed_promotions",  # due but the feed was refused, or a sound candidate that lost to a faulty champion
)


@dataclass(frozen=True)
class Outcome:
    """What happened; arrays of the shape (policies, runs), but counts in the order of the runs."""

    policies: tuple[Policy, ...]
    champion: NDArray[np.int32]  # candidate in service for the rows that each run predicts; NO_CHAMPION: none
    promoted: NDArray[np.int32]  # candidate that goes into service with a run; NO_CHAMPION: none
    by_run: Mapping[str, NDArray[np.int8]]  # each of COUNTS, of the shape (runs, policies)

    @cached_property
    def counts(self) -> Mapping[str, IntArray]:
        """Of all runs, of the shape (policies,)."""
        return {name: values.sum(axis=0, dtype=np.int64) for name, values in self.by_run.items()}

    def until(self, run: int) -> Outcome:
        """The same without the counts of the runs from that position on."""
        return replace(self, by_run={name: values[:run] for name, values in self.by_run.items()})

    @property
    def oncall_emails(self) -> IntArray:
        """Failed runs."""
        return self.counts["failed_prepare"] + self.counts["failed_gate"]

    @property
    def approver_emails(self) -> IntArray:
        """Versions that waited for approval."""
        return self.counts["registered"]


class Simulation:
    """The state of all policies between two runs."""

    def __init__(
        self,
        policies: Sequence[Policy],
        judgements: Judgements,
        passes: BoolArray,
        alarms: Alarms,
        limits: Mapping[str, float],
        refused: BoolArray,
    ) -> None:
        """`passes`: whether each candidate keeps the quality limits; `refused`: runs whose data Prepare refuses."""
        calendar = judgements.calendar
        n, n_runs = len(policies), len(judgements.world.run_days)
        self.policies = tuple(policies)
        self.world, self.judgements, self.passes, self.alarms = judgements.world, judgements, passes, alarms
        self.refused = refused
        schedules, limits_of = [p.schedule for p in policies], [p.limits(limits) for p in policies]
        self.min_days = np.array([schedule.min_days for schedule in schedules])
        self.min_rows = np.array([schedule.min_rows for schedule in schedules])
        self.each_period = np.array([schedule.each_period for schedule in schedules])
        # policies that listen to the monitor, and to which family
        self.alarmed = {n: None if s.on_drift else LOSS for n, s in enumerate(schedules) if s.on_drift or s.on_loss}
        self.gate_off = np.array([policy.gate == OFF for policy in policies])
        self.strict = np.array([policy.approver == STRICT for policy in policies])
        self.delay = np.array([policy.delay_days for policy in policies])
        names = [limit.parameter for limit in gates.PROMOTION_LIMITS]
        self.limits = {name: np.array([values[name] for values in limits_of]) for name in names}
        self.faulty = np.array([candidate.fault != "" for candidate in calendar.candidates])
        self.any_fault = bool(self.faulty.any())
        windows = sorted(calendar.of_run)
        self._of_run = np.stack([calendar.of_run[w] for w in windows])
        self._window = np.searchsorted(windows, [policy.window for policy in policies])
        self.champion = np.full(n, NO_CHAMPION, dtype=np.int64)
        self.champion_day = np.full(n, LONG_AGO)
        self.evaluated = np.full(n, NO_CHAMPION, dtype=np.int64)
        self.trained_day = np.full(n, LONG_AGO)
        self.trained_rows = np.zeros(n, dtype=np.int64)
        self.trained_period = np.full(n, LONG_AGO)
        self.last_registered = np.full(n, LONG_AGO)
        self.in_service = np.full((n_runs, n), NO_CHAMPION, dtype=np.int32)
        self.arriving = np.full((n_runs, n), NO_CHAMPION, dtype=np.int32)
        self.arriving_day = np.zeros((n_runs, n), dtype=np.int64)
        self.counts = {name: np.zeros((n_runs, n), dtype=np.int8) for name in COUNTS}

    def run(self, progress: Callable[[int], None] = lambda _: None) -> Outcome:
        for t in range(len(self.world.run_days)):
            self._step(t)
            progress(1)
        self.counts["runs"] += 1
        return Outcome(
            self.policies,
            champion=np.ascontiguousarray(self.in_service.T),
            promoted=np.ascontiguousarray(self.arriving.T),
            by_run=self.counts,
        )

    def _step(self, t: int) -> None:
        arriving = self.arriving[t]
        if (arriving >= 0).any():
            arrives = arriving >= 0
            self.champion[arrives] = arriving[arrives]
            self.champion_day[arrives] = self.arriving_day[t][arrives]
        # a run that Prepare fails predicts nothing: what is in service is what the last good run predicted
        self.in_service[t] = self.in_service[t - 1] if self.refused[t] and t else self.champion
        candidate = self._of_run[self._window, t]
        new = candidate != self.evaluated
        if not new.any():
            if self.refused[t]:
                self.counts["failed_prepare"][t] += 1
            return
        train = new & self._due(t, new)
        if self.refused[t]:
            self.counts["failed_prepare"][t] += 1
            self.counts["missed_promotions"][t, train] += 1
            return
        trained = np.flatnonzero(train)
        if trained.size:
            self._train(t, trained, candidate[trained])

    def _due(self, t: int, new: BoolArray) -> BoolArray:
        known = int(self.world.known[t])
        urgent = known - self.trained_rows >= self.min_rows
        if known:
            urgent |= self.each_period & (self.trained_period != self.world.period[known - 1])
        today = int(self.world.run_days[t])
        for policy, family in self.alarmed.items():
            if new[policy] and self.champion[policy] >= 0:
                urgent[policy] |= self.alarms.on(int(self.champion[policy]), today, family)
        return training_is_due(
            no_champion=self.champion < 0,
            urgent=urgent,
            days_since_training=today - self.trained_day,
            min_days=self.min_days,
        )

    def _train(self, t: int, who: IntArray, candidate: IntArray) -> None:
        """Train, Evaluate and the quality gate of the policies `who`."""
        known, today = int(self.world.known[t]), int(self.world.run_days[t])
        self.evaluated[who] = candidate
        self.trained_day[who], self.trained_rows[who] = today, known
        self.trained_period[who] = self.world.period[known - 1]
        self.counts["trainings"][t, who] += 1
        passed = self.passes[candidate] | self.gate_off[who]
        self.counts["failed_gate"][t, who[~passed]] += 1
        self._promote(t, who[passed], candidate[passed])
        if self.any_fault:
            champion = self.champion[who]
            sound = (champion >= 0) & self.faulty[champion] & ~self.faulty[candidate]
            self.counts["missed_promotions"][t, who[sound & (self.last_registered[who] != t)]] += 1

    def _promote(self, t: int, who: IntArray, candidate: IntArray) -> None:
        """The promotion gate, the registration and the approver."""
        today = int(self.world.run_days[t])
        alone = self.champion[who] < 0
        values = self._compare(who, candidate, alone, today)

        def holds(limit: Limit) -> Any:  # noqa: ANN401 - an array of truths
            return gates.COMPARE[limit.operator](values[limit.parameter], self.limits[limit.parameter][who])

        promote = alone | gates.replaces(holds)
        registered = who[promote]
        self.counts["registered"][t, registered] += 1
        self.counts["kept"][t, who[~promote]] += 1
        self.last_registered[registered] = t
        doubtful = self.strict[who] & ~alone & ~(values[gates.NON_INFERIOR.parameter] < 0.0)
        self.counts["refused"][t, who[promote & doubtful]] += 1
        self._approve(t, who[promote & ~doubtful], candidate[promote & ~doubtful])

    def _compare(self, who: IntArray, candidate: IntArray, alone: BoolArray, today: int) -> dict[str, FloatArray]:
        """What the promotion limits look at, by parameter; zeros where there is no champion or no gate."""
        mean, upper = np.zeros(who.size), np.zeros(who.size)
        asked = ~alone & ~(self.gate_off[who] & ~self.strict[who])
        if asked.any():
            mean[asked], upper[asked] = self.judgements.pairs(self.champion[who[asked]], candidate[asked])
        return {
            gates.NON_INFERIOR.parameter: upper,
            gates.BETTER.parameter: -mean,
            gates.OLD.parameter: (today - self.champion_day[who]).astype(np.float64),
        }

    def _approve(self, t: int, who: IntArray, candidate: IntArray) -> None:
        today = int(self.world.run_days[t])
        effective = np.searchsorted(self.world.run_days, today + self.delay[who], side="right")
        self.counts["approved"][t, who] += 1
        self.counts["false_promotions"][t, who] += self.faulty[candidate]
        in_span = effective < len(self.world.run_days)
        who, candidate, effective = who[in_span], candidate[in_span], effective[in_span]
        self.arriving[effective, who] = candidate
        self.arriving_day[effective, who] = today
