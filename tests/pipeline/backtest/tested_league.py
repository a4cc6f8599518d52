"""What the tests of the backtest run: span, parameters and policies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from pipeline.backtest.policies import REFERENCE, Policy
from pipeline.backtest.run import BacktestSettings

FIRST, LAST = date(2024, 12, 20), date(2025, 2, 28)
SMALL = {"WalkForwardRows": 600, "MinEvaluatedRows": 400, "BoostingRounds": 5, "MaxChampionAgeDays": 20}
POLICIES = (
    REFERENCE,
    Policy(),
    Policy(train="weekly"),
    Policy(train="every 100 rows"),
    Policy(approver="after 5 days"),
    Policy(approver="strict"),
    Policy(gate="off"),
    Policy(train="weekly", state="with-model"),
    Policy(train="monthly + on-drift"),
    Policy(train="weekly", window=2),
)
Make = Callable[..., BacktestSettings]
