"""moto's interpreter of Step Functions calls a JSONata evaluator that it does not bring along: this is one."""

from __future__ import annotations

import hashlib
from typing import Any

from jsonata.jsonata import Jsonata
from moto.stepfunctions.parser.asl.component.intrinsic import jsonata as functions
from moto.stepfunctions.parser.asl.jsonata import jsonata as evaluator


def teach_jsonata() -> None:
    """Let moto evaluate JSONata; the library is a port of the reference implementation, `$hash` is Step Functions'."""

    def evaluate(expression: str) -> Any:
        known = Jsonata(expression)
        known.register_lambda("hash", lambda text, algorithm: hashlib.new(algorithm, text.encode()).hexdigest())
        return known.evaluate(None)

    evaluator._eval_jsonata = evaluate
    functions._DECLARATION_BY_VARIABLE_REFERENCE.pop("$hash", None)  # which says that it is not supported
