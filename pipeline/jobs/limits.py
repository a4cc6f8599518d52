"""The gates' limits as a step is given them: `--limits MaxLogLoss=0.68 MaxAccuracy=0.73 ...`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.contract.container import StepError
from pipeline.contract.gates import gate_parameters
from pipeline.contract.parameters import parameters_of
from pipeline.contract.spec import Spec


def default_limits(spec: Spec) -> dict[str, float]:
    """The limits of the workload's gates by parameter."""
    defaults = parameters_of(spec).defaults
    return {name: float(defaults[name]) for name in gate_parameters(spec)}


def parse_limits(spec: Spec, items: Sequence[str]) -> dict[str, float]:
    """The limits, defaults filled in; raises StepError that names an unknown or unreadable one."""
    limits = default_limits(spec)
    for item in items:
        name, _, value = item.partition("=")
        if name not in limits:
            raise StepError(f"there is no limit {name}: known are {', '.join(sorted(limits))}")
        try:
            limits[name] = float(value)
        except ValueError:
            limits[name] = math.nan
        if not math.isfinite(limits[name]):
            raise StepError(f'limit {name}: "{value}" is not a number')
    return limits
