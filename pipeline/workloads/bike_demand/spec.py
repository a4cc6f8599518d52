"""Bike rentals of a city by the hour, predicted for the day that begins, with quantiles. Standard library only."""

from pipeline.contract.spec import Column, MonitorSpec, Spec

SPEC = Spec(
    name="bike_demand",
    title="Bike demand",
    row="hour",
    rows="hours",
    task="regression",
    event="the number of rentals",
    prediction="rentals_forecast",
    target_unit="rentals",
    quantiles=(0.1, 0.9),
    columns=(
        Column("hour", role="time", type="moment"),
        Column("rentals", role="target", type="integer", low=0),
        Column("hour_of_day", type="integer", low=0, high=23, made=True),
        Column("weekday", type="integer", low=0, high=6, made=True),  # Monday is 0
        Column("same_hour_day_before", low=0, missing=True, made=True),
        Column("same_hour_week_before", low=0, missing=True, made=True),
        Column("same_hour_four_weeks", low=0, made=True),  # mean of those of 7, 14, 21 and 28 days before
        Column("mean_day_before", low=0, missing=True, made=True),
        Column("mean_week_before", low=0, missing=True, made=True),  # of all hours of the seven days before
    ),
    baseline="seasonal naive",
    baseline_meaning="the rentals of the same hour of the week before",
    time_zone="America/New_York",
    data_prefix="rentals",
    unit="day",  # weather and events move all hours of a day
    defaults={
        "WalkForwardRows": 182 * 24,
        "MinRows": 90 * 24,
        "MinEvaluatedRows": 28 * 24,
        "MaxSkill": 0.75,  # 0.3 to 0.45 on simulated rentals; a lag that is off by one day has 0.8
        "BoostingRounds": 30,
        "LearningRate": 0.1,
        "MaxDepth": 4,
        "MinChildWeight": 20.0,
        "ColumnSample": 0.6,
        "NonInferiorityMargin": 50.0,
        "MinImprovement": 25.0,
    },
    monitor=MonitorSpec(
        claims="day",
        min_rows=14,  # days
        window_rows=28 * 24,
        min_window_rows=28 * 24,
        max_periods=13,  # a year of four weeks each
    ),
)
