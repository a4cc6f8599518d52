"""Customer churn: the probability that a customer cancels when the contract comes up for renewal.

One row a contract, of the day 30 days before it renews. Whether the customer has cancelled is known on the renewal day,
so the customers of the last 30 days are the ones to predict. Standard library only.
"""

from __future__ import annotations

from typing import Final

from pipeline.contract.spec import Column, MonitorSpec, Spec, UseSpec

PLANS: Final = ("basic", "standard", "premium")
CHANNELS: Final = ("web", "shop", "partner")
PAYMENTS: Final = ("card", "direct debit", "invoice")

SPEC: Final = Spec(
    name="churn",
    title="Customer churn",
    row="customer",
    rows="customers",
    task="binary",
    event="a cancellation",
    prediction="churn_probability",
    columns=(
        Column("contract_id", role="id", type="text"),
        Column("day", role="time", type="day"),
        Column("cancelled", role="target", type="flag"),
        Column("plan", type="category", values=PLANS),
        Column("channel", type="category", values=CHANNELS),
        Column("payment", type="category", values=PAYMENTS),
        Column("years", type="integer", low=1, high=50),  # that the customer has been one
        Column("monthly_fee", low=0, high=1000),
        Column("price_change", low=-1, high=1),  # of the renewed contract, as a share of the fee
        Column("tickets", type="integer", low=0, high=200),  # to the help desk in 90 days
        Column("active_days", type="integer", low=0, high=30, missing=True),  # of those who let their use be counted
        Column("usage_trend", low=-10, high=10, missing=True),  # log of this month's use over that of three months ago
        Column("satisfaction", type="integer", low=0, high=10, missing=True),  # of those who answered the survey
    ),
    baseline="rate by segment",
    baseline_meaning="the share of customers of the same plan and channel that cancelled, in the labels known before "
    "the month",
    time_zone="UTC",
    data_prefix="customers",
    use=UseSpec(
        intended="Choosing the customers whom an adviser calls, with an offer, before their contract renews.",
        excluded="prices, refusals of service, and offers that depend on who a customer is",
        risk="Low",
        risk_reason="A customer who is missed gets no call, and one who is called in vain may say no.",
    ),
    unit="week",
    label_delay_days=30,
    shown=("plan",),
    defaults={
        "WalkForwardRows": 4000,  # six months
        "MinEvaluatedRows": 2000,
        "BoostingRounds": 100,
        "LearningRate": 0.1,
        "MinChildWeight": 20.0,
        "RegLambda": 5.0,
        "MinSkill": 0.03,
        "MaxSkill": 0.35,
    },
    monitor=MonitorSpec(min_rows=200, window_rows=600, min_window_rows=300, groups={"plan": 1.0}, group_word="plan"),
)
