"""A workload that shares nothing with the reference one: a river's daily flow at three gauges, with its quantiles."""

from pipeline.contract.spec import Column, MonitorSpec, Spec

GAUGES = ("north", "south", "west")
SPEC = Spec(
    name="river",
    title="River flow",
    row="reading",
    rows="readings",
    task="regression",
    event="the flow",
    prediction="flow_forecast",
    target_unit="m³/s",
    quantiles=(0.1, 0.9),
    columns=(
        Column("reading_id", role="id", type="text"),
        Column("day", role="time", type="day"),
        Column("flow", role="target", low=0, high=1000),
        Column("gauge", type="category", values=GAUGES),
        Column("rain", low=0, high=500),
        Column("warmth", low=-60, high=60, missing=True),
    ),
    baseline="the gauge's mean",
    baseline_meaning="the mean flow of the gauge in the labels known before the month",
    time_zone="UTC",
    data_prefix="readings",
    unit="day",
    label_delay_days=2,
    shown=("gauge",),
    defaults={
        "WalkForwardRows": 600,
        "MinRows": 500,
        "MaxDepth": 3,
        "LearningRate": 0.1,
        "MinChildWeight": 5.0,
        "NonInferiorityMargin": 0.5,
        "MinImprovement": 0.2,
    },
    monitor=MonitorSpec(groups={"gauge": 1.0}, group_word="gauge", claims="day", min_rows=30),
)
