"""The gates' limits as a step is given them: `--limits MaxLogLoss=0.68 MaxAccuracy=0.73 ...`."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.contract import gates, parameters
from pipeline.contract.container import StepError


def parse_limits(items: Sequence[str]) -> dict[str, float]:
    """The limits, defaults filled in; raises StepError that names an unknown or unreadable one."""
    limits = {p.name: float(p.default) for p in parameters.EVALUATION if p.name in gates.GATE_PARAMETERS}
    for item in items:
        name, _, value = item.partition("=")
        if name not in limits:
            raise StepError(f"there is no limit {name}: known are {', '.join(sorted(limits))}")
        try:
            limits[name] = float(value)
        except ValueError as error:
            raise StepError(f'limit {name}: "{value}" is not a number') from error
    return limits
