"""What a workload's functions return and how they fail, as broken rules: file, line, name. Standard library only.

numpy and Arrow are known by the names of their types: the stack and Lambda functions, which import this, have neither.
"""

from __future__ import annotations

import inspect
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any, Final

from pipeline.contract.container import StepError
from pipeline.contract.feature_layout import FeatureLayout, FeatureTables
from pipeline.contract.names import ROW_ID
from pipeline.contract.spec import Spec, Task

_FOLDER: Final = "pipeline/workloads/"
_FAULTS: Final = (  # in code; a refusal that a hook raises on purpose, such as BadData, passes unchanged
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, SyntaxError, TypeError),
    ValueError,
)
_ARRAYS: Final = ("FloatArray", "FeatureMatrix")
# The ids of the rows that a function predicts, from what it was called with.
_PREDICTED: Final[Mapping[str, Callable[..., Sequence[str]]]] = {
    "forecast": lambda results, ids, since: ids,
    "fallback": lambda upcoming: upcoming[ROW_ID].to_pylist(),
}


class WorkloadError(StepError, ValueError):
    """A workload breaks a rule; the text names file, name and rule."""


class Hooks:
    """A module of a workload, whose functions are held to the interface of hooks.py when they are called."""

    def __init__(self, module: ModuleType, interface: type, spec: Spec) -> None:
        self._module, self._interface, self._spec = module, interface, spec

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module has
        found, declared = getattr(self._module, name), vars(self._interface).get(name)
        return partial(self._checked, found, declared) if inspect.isfunction(declared) else found

    def _checked(self, function: Callable[..., Any], declared: Any, *given: Any, **named: Any) -> Any:  # noqa: ANN401
        value = named_by_line(partial(function, **named), *given)
        if problem := _problem(declared, value, given, self._spec):
            file = self._module.__name__.replace(".", "/").removeprefix(_FOLDER)
            raise WorkloadError(f"{_FOLDER}{file}.py: {declared.__name__} returned {problem}")
        return value


def named_by_line(function: Callable[..., Any], *given: Any) -> Any:  # noqa: ANN401
    """What the function returns; raises WorkloadError for a fault of a workload's code, which names its line."""
    try:
        return function(*given)
    except _FAULTS as error:
        lines = [frame for frame in traceback.extract_tb(error.__traceback__) if _FOLDER in frame.filename]
        if isinstance(error, WorkloadError) or not lines:
            raise
        file, line = lines[-1].filename.rpartition(_FOLDER)[2], lines[-1].lineno
        fault = WorkloadError(f"{_FOLDER}{file}, line {line}: {type(error).__name__}: {error}")
        fault.in_code = True
        raise fault from error


def _problem(declared: Any, value: Any, given: tuple[Any, ...], spec: Spec) -> str:  # noqa: ANN401 - any function
    """What is wrong with a value that the function returned; empty where it is of the declared type and shape."""
    annotation = str(declared.__annotations__["return"])
    wanted = annotation.partition("[")[0].rpartition(".")[2]
    kinds = {kind.__name__ for kind in type(value).__mro__} | ({"None"} if value is None else set())
    if wanted in _ARRAYS:
        if "ndarray" not in kinds or value.dtype.kind not in "fiu":
            return f"{_said(value)}, not an array of numbers"
        ids = _PREDICTED[declared.__name__](*given) if declared.__name__ in _PREDICTED else None
        shape = tuple(given[0].shape) if ids is None else (len(ids),)
        if value.shape != shape:
            return f"an array of the shape {value.shape}, not {shape}: one for each row"
        return "" if ids is None else _first_wrong(value, ids, spec.task)
    if wanted == "Mapping" and isinstance(value, Mapping):  # the parts of the monitor, whose alarms core reads
        wrong = [part for part in value.values() if not (isinstance(part, Mapping) and "alarms" in part)]
        return f"{_said(wrong[0])} as a part, not a mapping with alarms" if wrong else ""
    if wanted == "FeatureTables" and wanted in kinds:
        return _layout_problem(value, spec)
    unchecked = wanted in ("RequestRows", "Sequence") and value is not None
    return "" if wanted in kinds or unchecked else f"{_said(value)}, not {annotation}"


def _layout_problem(tables: FeatureTables, spec: Spec) -> str:
    try:
        layouts = [FeatureLayout.from_metadata(t.schema.metadata or {}) for t in (tables.labelled, tables.upcoming)]
    except (KeyError, TypeError, ValueError):
        return "a table without its FeatureLayout: table.replace_schema_metadata(layout.as_metadata()) has it"
    for layout in layouts:
        if (layout.task, layout.quantiles) != (spec.task, spec.quantiles):
            own, its = (f"{of.task} with quantiles {of.quantiles}" for of in (spec, layout))
            return f"a FeatureLayout for {its}, but SPEC is for {own}"
    return ""


def _first_wrong(predictions: Any, ids: Sequence[str], task: Task) -> str:  # noqa: ANN401 - an array
    """The first invalid prediction with its row's id; empty where all are valid."""
    right = (predictions >= 0) & (predictions <= 1) if task == "binary" else abs(predictions) < math.inf
    wanted = "number from 0 to 1" if task == "binary" else "finite number"
    return "" if right.all() else f"{predictions[right.argmin()]:g} for {ids[right.argmin()]}, not a {wanted}"


def _said(value: Any) -> str:  # noqa: ANN401
    return "nothing" if value is None else f"a value of the type {type(value).__name__}"
