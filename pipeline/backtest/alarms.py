"""On which nights the monitor speaks against a champion: `pipeline.monitoring.monitor_evidence`, memoised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.candidates import Calendar
from pipeline.backtest.fits import Fits
from pipeline.backtest.world import World
from pipeline.monitoring import monitor_evidence as monitor

_FIRST_HORIZON = 400  # days: most champions are replaced by then, and evidence over years takes seconds


class Alarms:
    """Answers for each champion and night, from the games decided since the champion's cut-off."""

    def __init__(self, world: World, calendar: Calendar, fits: Fits) -> None:
        self._world, self._calendar, self._fits = world, calendar, fits
        results = world.modelled_results
        groups = world.workload.spec.monitor.groups
        self._groups = [(results[name].to_numpy(), sign) for name, sign in groups.items()]
        self._known: dict[int, tuple[int, monitor.EvidencePath | None]] = {}

    def on(self, champion: int, night: int, family: str | None) -> bool:
        """Whether the evidence of the games before `night` (a day) is beyond the limit; of any family, if None."""
        path = self._path(champion, night)
        if path is None:
            return False
        position = int(np.searchsorted(path.day, night)) - 1
        return bool(position >= 0 and path.alarm(family)[position])

    def _path(self, champion: int, night: int) -> monitor.EvidencePath | None:
        begin = self._calendar.candidates[champion].end
        start = int(self._world.day[begin - 1]) + 1
        until, path = self._known.get(champion, (start, None))
        if until < night:
            until = max(night, start + _FIRST_HORIZON, start + 2 * (until - start))
            path = self._evidence(champion, begin, int(np.searchsorted(self._world.day, until)))
            self._known[champion] = (until, path)
        return path

    def _evidence(self, champion: int, begin: int, end: int) -> monitor.EvidencePath | None:
        if begin >= end:
            return None
        games = slice(begin, end)
        candidate = self._calendar.candidates[champion]
        row = self._fits.row(candidate.shipped)
        season = int(self._world.season[candidate.begin])
        reference = self._world.reference if candidate.begin == 0 else self._world.reference_from(season, begin, end)
        p: NDArray[np.float64] = self._fits.probabilities(row, begin, end)
        return monitor.evidence_by_day(
            monitor.Forecasts(
                p=p,
                target=self._world.target[games],
                day=self._world.day[games],
                groups=tuple((members[games], sign) for members, sign in self._groups),
                p_reference=reference[games],
            ),
            self._world.workload.spec.monitor,
        )
