"""What is inferred of data files: time, ranges, what may be missing, sizes and limits that fit the data."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from churn_files import churn_rows

from pipeline.contract.spec import Column
from pipeline.evaluation.metrics import row_losses
from pipeline.ingest.declared import results
from scripts.new_workload.__main__ import words
from scripts.new_workload.columns import Refusal, Values, feature_column, target_column, time_column
from scripts.new_workload.infer import Inferred, Options, infer
from scripts.new_workload.render import sources

TODAY = date(2026, 3, 1)


def as_feature(texts: list[str]) -> Column | str:
    column = Values.of("size", pd.Series(texts, dtype="category"))
    return feature_column(column, np.zeros(len(texts), dtype="datetime64[D]"), required=True)


def of_churn(folder: Path, rows: pd.DataFrame, target: str = "churned") -> Inferred:
    rows.to_csv(folder / "rows.csv", index=False)
    return infer(Options("flow", folder / "rows.csv", "day", target, id="customer"), TODAY)


def column(found: Inferred, name: str) -> Column:
    return next(column for column in found.spec.columns if column.name == name)


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> Inferred:
    """A year of hours in Parquet, in UTC, told apart by their time: a level that jumps, and a counter that grows."""
    folder, n, rng = tmp_path_factory.mktemp("readings"), 8760, np.random.default_rng(1)
    at, wind = pd.date_range("2025-01-01", periods=n, freq="h", tz="UTC"), rng.normal(size=n)
    level = 2e9 + 1e8 * wind + 1e8 * rng.normal(size=n) + 4e8 * (np.arange(n) > n - 1500)
    counter = np.arange(n) * 5 + rng.integers(0, 9, n)
    pd.DataFrame({"at": at, "wind": wind, "counter": counter, "level": level}).to_parquet(folder / "rows.parquet")
    return infer(Options("flow", folder, "at", "level"), TODAY)


def test_rows_without_an_id_are_told_apart_by_their_time(readings: Inferred) -> None:
    assert [(c.role, c.type) for c in readings.spec.columns][:2] == [("time", "moment"), ("target", "number")]
    assert readings.spec.unit == "day"
    assert (readings.spec.announced, readings.spec.label_delay_days) == (True, 0)


def test_a_range_leaves_room_and_what_grows_with_time_has_no_upper_end(readings: Inferred) -> None:
    wind, counter = column(readings, "wind"), column(readings, "counter")
    assert wind.low is not None and wind.high is not None and wind.low < -7 and wind.high > 7
    assert (counter.type, counter.low, counter.high) == ("integer", 0, None)


def test_the_monitor_compares_four_weeks_and_waits_for_few_claims(readings: Inferred) -> None:
    monitor = readings.spec.monitor
    assert (monitor.claims, monitor.min_rows, monitor.window_rows) == ("day", 14, 670)  # 28 days of 24 hours


def test_margins_are_in_units_of_the_loss_and_a_moved_mean_raises_the_limit_of_bias(readings: Inferred) -> None:
    defaults = readings.spec.defaults
    assert defaults["NonInferiorityMargin"] == pytest.approx(0.005 * readings.baseline.loss, rel=0.05)
    assert readings.baseline.loss > 1e16
    assert float(defaults["MaxRelativeBias"]) > 0.1


def series(folder: Path, *, seasonal: bool) -> pd.DataFrame:
    """Three years of days: a level that wanders from week to week, or seven levels for the days of the week."""
    rng, n = np.random.default_rng(3), 1100
    level = rng.normal(size=n).cumsum() + 100
    weekday = np.arange(n) % 7
    level = level[(np.arange(n) // 7) * 7] + 9.0 * (weekday == 2) if seasonal else level
    rows = pd.DataFrame(
        {"day": pd.date_range("2023-02-01", periods=n), "weekday": weekday, "noise": rng.normal(size=n)}
    )
    rows = rows.assign(level=np.where(np.arange(n) < n - 2, level.round(3).astype(str), ""))
    rows.to_csv(folder / "rows.csv", index=False)
    return rows


@pytest.mark.parametrize(("seasonal", "by"), [(False, ""), (True, "weekday")])
def test_of_a_series_the_newest_known_value_is_the_baseline(
    seasonal: bool, by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a mean, which any model beats; and the file that is written predicts what was judged here."""
    rows = series(tmp_path, seasonal=seasonal)
    found = infer(Options("flow", tmp_path, "day", "level"), TODAY)
    assert (found.baseline.newest, found.baseline.by, found.spec.label_delay_days) == (True, by, 2)
    assert found.spec.baseline == f"the newest level{' by weekday' if by else ''}"
    module = ModuleType("pipeline.workloads.flow.spec")
    vars(module)["SPEC"] = found.spec
    monkeypatch.setitem(sys.modules, "pipeline.workloads.flow", ModuleType("flow"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    written: dict[str, Any] = {}
    exec(sources(found)["baseline.py"], written)  # noqa: S102 - it is what would be written
    core = pd.DataFrame({"row_id": rows["day"].astype(str), "time": rows["day"], "weekday": rows["weekday"]})
    known = core.assign(target=pd.to_numeric(rows["level"]))[:-2]
    asked = known[known["time"] >= "2025-03-01"]
    table = results(known)
    predicted = written["forecast"](table, asked["row_id"].to_list(), TODAY)
    targets = asked["target"].to_numpy()
    lag = 7 if by else 3  # known after two days, on the third morning
    assert np.array_equal(predicted, known["target"].shift(lag)[asked.index])
    assert float(row_losses("regression", predicted, targets).mean()) == pytest.approx(found.baseline.loss, rel=0.2)
    assert written["forecast"](table, ["2023-02-01"], TODAY) == [found.mean]


def test_what_was_inferred_is_said_in_lines_that_can_be_read_and_commands_that_can_be_run(tmp_path: Path) -> None:
    folder = tmp_path / "my data"
    folder.mkdir()
    rows = series(folder, seasonal=False).assign(
        **{f"wind at mast {n}": lambda d, n=n: d["noise"] * n for n in range(40)}
    )
    rows.rename_axis(None).to_csv(folder / "rows.csv")  # with its index, which has no name
    said = words(infer(Options("flow", folder, "day", "level", label_delay=1), TODAY), folder)
    assert max(map(len, said[:9])) <= 120
    assert "label      known 1 day after the row's day" in said
    assert "not used   (unnamed): a data frame's index, or another column without a name" in said
    run = f"make run WORKLOAD=flow DATA='{folder}' ARGS=\"--param AsOfDate=2026-02-04\""
    assert not any(run in line for line in said), "the data are of this month"
    assert f"  make run WORKLOAD=flow DATA='{folder}'" in said
    rows.assign(day="2025-01-01").rename_axis(None).to_csv(folder / "rows.csv")
    with pytest.raises(Refusal, match="1,100 rows that differ: add a column that is different in each row"):
        infer(Options("flow", folder, "day", "level"), TODAY)
    shops = pd.concat([rows.assign(shop=shop) for shop in ("north", "south")])
    shops.to_csv(folder / "rows.csv", index=False)
    with pytest.raises(Refusal, match=r"in 2 rows that differ: add a column .* of day and shop, which tell them apart"):
        infer(Options("flow", folder, "day", "level"), TODAY)
    series(folder, seasonal=False)
    old = words(infer(Options("flow", folder, "day", "level", label_delay=1), date(2027, 1, 1)), folder)
    assert f"  {run}    # as of the morning after the newest label" in old


def test_rows_to_come_are_announced_and_do_not_lengthen_the_delay(tmp_path: Path) -> None:
    rows = churn_rows()
    later = rows.tail(9).assign(day="2026-04-05", churned="", customer=[f"N{number}" for number in range(9)])
    found = of_churn(tmp_path, pd.concat([rows, later])).spec
    assert (found.announced, found.label_delay_days) == (True, 30)
    assert "MaxCalibrationError" not in found.defaults


def test_a_column_that_one_file_does_not_have_may_be_left_out(tmp_path: Path) -> None:
    rows = churn_rows()
    rows.head(900).drop(columns="fee").to_csv(tmp_path / "a.csv", index=False)
    rows.tail(-900).to_csv(tmp_path / "b.csv", index=False)
    found = infer(Options("flow", tmp_path, "day", "churned", id="customer"), TODAY)
    fee = column(found, "fee")
    assert (fee.required, fee.missing) == (False, True)


def test_a_bad_value_in_a_thousand_is_for_the_quarantine_and_more_are_named(tmp_path: Path) -> None:
    rows = churn_rows()
    few, many = (np.where(np.arange(len(rows)) % every == 7, "?", rows["fee"].astype(str)) for every in (1000, 50))
    found = of_churn(tmp_path, rows.assign(few=few, many=many))
    assert column(found, "few").type == "number"
    assert found.unused["many"] == 'numbers, but "?" in too many rows: write nothing where there is no value'


def test_a_group_of_many_values_is_no_feature(tmp_path: Path) -> None:
    rows = churn_rows().assign(shop=lambda rows: "shop " + (rows.index % 400).astype(str))
    rows.to_csv(tmp_path / "rows.csv", index=False)
    found = infer(Options("flow", tmp_path, "day", "churned", id="customer", group="shop"), TODAY)
    assert (column(found, "shop").role, found.spec.monitor.groups) == ("group", {"shop": 1.0})


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda n: f"{n},{n % 10}", 'numbers with a decimal comma, such as "100,0": write a point'),
        (lambda n: f"1.{n},{n % 10}0", 'numbers with a decimal comma, such as "1.100,00": write a point'),
        (lambda n: f"{n},000.50", 'numbers with thousands separators, such as "100,000.50": leave the separators out'),
        (lambda n: f"{n},500" if n > 600 else f"{n}", 'numbers with thousands separators, such as "601,500": leave'),
        (lambda n: f"{n / 10}%", 'percentages, such as "10.0%": write the number alone'),
        (lambda n: f"€{n}", 'amounts with a unit, such as "€100": write the number alone'),
        (lambda n: f"EUR {n},5", 'amounts with a unit, such as "EUR 100,5": write'),
        (lambda n: f"{n} kWh", 'amounts with a unit, such as "100 kWh": write'),
        (lambda n: f"2{n}-05-01", 'times, such as "2100-05-01": write what matters of them as a number'),
        (lambda n: f"{n % 28 + 1}/12/2{n}", 'times, such as "1/12/2'),
        (lambda n: f"{n}" if n > 300 else f"n{n}", 'numbers, but "n100" in too many rows'),
        (lambda n: f"flat {n}", "texts with 900 different values, and a category has at most 50"),
    ],
)
def test_what_is_written_as_no_number_is_said_with_what_to_write(write: Callable[[int], str], reason: str) -> None:
    found = as_feature([write(n) for n in range(100, 1000)])
    assert isinstance(found, str)
    assert found.startswith(reason)


@pytest.mark.parametrize("text", ["2025-01-{:02} {:02}:00:00", "2025-01-{:02}T{:02}:00", "2025/01/{:02} {:02}:30:00"])
def test_hours_without_a_zone_are_moments_of_which_some_are_midnights(text: str) -> None:
    texts = [text.format(1 + hour // 24, hour % 24) for hour in range(72)]
    found, days = time_column(Values.of("at", pd.Series(texts, dtype="category")))
    assert (found.type, len(np.unique(days))) == ("moment", 3)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("5%", "10%"), 'percentages, such as "10%": write the number alone'),
        (("$5", "$10.50"), 'amounts with a unit, such as "$10.50": write the number alone'),
        (("2024-01", "2024-02"), 'times, such as "2024-01": write what'),
        (("2024/01/31 10:00", "2024/02/28 9:00", "?"), 'times, such as "2024/01/31 10:00": write what'),
        (("500", "1,200"), 'numbers with thousands separators, such as "1,200": leave the separators out'),
        (("1st", "2nd", "3rd"), "category"),  # a name, as DAY 1 is
        (("DAY 1", "DAY 2"), "category"),
        (("1", "2", "3 or more"), "category"),
        (("1262929292929292929", "17"), "number"),  # beyond 2**53 a float is not each whole number
        (("17.0", "18"), "integer"),
        (("a" * 101, "b"), "texts of more than 100 characters, which no request may have"),
    ],
)
def test_a_few_values_are_categories_unless_new_rows_have_others(words: tuple[str, ...], found: str) -> None:
    column = as_feature([*words] * 20)
    assert (column.type if isinstance(column, Column) else column).startswith(found)


@pytest.mark.parametrize(
    ("write", "kind"),
    [("{:05}", "category"), ("1{:05}", "integer"), ("{}", "integer"), ("{:03}.5", "number")],
)
def test_digits_with_zeros_in_front_are_names(write: str, kind: str) -> None:
    found = as_feature([write.format(n % 9 * 7) for n in range(90)])
    assert isinstance(found, Column)
    assert (found.type, found.values[:2]) == (kind, ("00000", "00007") if kind == "category" else ())


def test_columns_may_have_the_names_that_core_gives_to_its_own(tmp_path: Path) -> None:
    """Of a table of rows, of quarantine.csv, of predictions, of pandas; the prediction has one that is free."""
    names = {"plan": "file", "fee": "line", "tickets": "churned_probability"}
    found = of_churn(tmp_path, churn_rows().rename(columns=names).assign(value=range(1620), model=1.5, rule=0.5))
    assert {c.name for c in found.spec.of_role("feature")} == {"file", "line", "churned_probability", "value"}
    assert found.spec.prediction == "churned_probability_"


@pytest.mark.parametrize(
    ("names", "options", "says"),
    [
        (
            {"plan": "time"},
            {"group": "time"},
            'Column("time") has the name of core\'s time, and the role group',
        ),
        ({"plan": "model"}, {"group": "model"}, '"model" would be in predictions.csv twice'),
        ({"customer": "target"}, {"id": "target"}, 'Column("target") has the name of core\'s target, and the role id'),
    ],
)
def test_names_that_core_cannot_spare_are_refused(
    names: dict[str, str], options: dict[str, str], says: str, tmp_path: Path
) -> None:
    churn_rows().rename(columns=names).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(Refusal) as told:
        infer(Options("flow", tmp_path, "day", "churned", **{"id": "customer", **options}), TODAY)
    assert says in str(told.value)


def test_columns_that_are_left_out_are_not_read(tmp_path: Path) -> None:
    rows = churn_rows().assign(calls=lambda rows: [[1, 2]] * len(rows))
    rows.to_parquet(tmp_path / "rows.parquet")
    options = Options("flow", tmp_path, "day", "churned", id="customer", without=("calls",))
    assert infer(options, TODAY).unused["calls"] == "left out, as you said"


def test_long_names_and_values_are_written_on_lines_of_the_project(tmp_path: Path) -> None:
    question = (
        "On a scale of 1 to 10, how likely are you to recommend us to a friend or a colleague, and why\u200b? " * 2
    )
    rows = churn_rows()
    rows = rows.rename(columns={"plan": question, "note": f"note {question}"}).replace("basic", question[:90].upper())
    files = sources(of_churn(tmp_path, rows))
    lines = [line for text in files.values() for line in text.splitlines()]
    assert max(map(len, lines)) <= 120
    assert all(line.isprintable() for line in lines)
    names: dict[str, Any] = {}
    exec(files["spec.py"], names)  # noqa: S102 - it is what would be written
    (column,) = (column for column in names["SPEC"].columns if column.type == "category")
    assert column.name.strip() == question.strip()
    assert question[:90].upper().strip().replace("\u200b", "") in column.values


def test_a_target_with_a_decimal_comma_is_said_to_be_one() -> None:
    texts = Values.of("size", pd.Series(["1,5", "2,25", "3,0"], dtype="category"))
    with pytest.raises(Refusal, match='--target size: numbers with a decimal comma, such as "1,5": write a point'):
        target_column(texts, np.zeros(3, dtype="datetime64[D]"), None)


def test_words_in_two_cases_are_no_category_and_a_column_without_a_name_is_no_group(tmp_path: Path) -> None:
    rows = churn_rows(500)
    upper = rows.assign(plan=[word.upper() if row % 3 else word for row, word in enumerate(rows["plan"])])
    found = of_churn(tmp_path, upper.rename(columns={"country": ""}))
    assert found.unused["plan"] == '"BASIC" and "basic" differ in case alone: write each word in one way'
    assert found.unused[""] == "a data frame's index, or another column without a name"
