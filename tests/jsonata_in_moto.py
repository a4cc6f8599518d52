"""moto's interpreter of Step Functions calls a JSONata evaluator that it does not bring along: this is one."""

from __future__ import annotations

from typing import Any

from jsonata.jsonata import Jsonata
from moto.stepfunctions.parser.asl.jsonata import jsonata as evaluator


def teach_jsonata() -> None:
    """Let moto evaluate JSONata; the library is a port of the reference implementation."""

    def evaluate(expression: str) -> Any:
        return Jsonata(expression).evaluate(None)

    evaluator._eval_jsonata = evaluate
