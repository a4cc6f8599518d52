"""What a workload's functions return, or raise, is held to the rules: one sentence with file, name and reason."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from temporary_workloads import Edits, copy_of_river, importable

from pipeline.contract.container import reason_of
from pipeline.contract.rules.calls import WorkloadError
from pipeline.contract.workload import Workload, load_workload
from pipeline.ingest.quarantine import BadData

DAYS = np.array(["2024-12-01", "2025-01-01", "2025-02-03"], dtype="datetime64[D]")
ROWS = pa.table({"row_id": ["x", "a", "b"], "time": DAYS, "gauge": ["north"] * 3, "target": [3.0, 1.0, 2.0]})
FEATURES = "def features(spec, rows, as_of, parameters):\n    {}\ndef signature(spec):\n    return {}\n"
LAYOUT = (
    "import pyarrow\nfrom pipeline.contract.feature_layout import FeatureLayout, FeatureTables\n"
    "def features(spec, rows, as_of, parameters):\n    rows = pyarrow.table({{'x': [1.0]}})\n"
    "    named = rows.replace_schema_metadata(FeatureLayout(('x',)).as_metadata())\n    {}\n"
    "def signature(spec):\n    return '1'\n"
)
DATA = "from pipeline.ingest.declared import join_inputs, load, results, summary\n"


def baseline(old: str, new: str) -> Edits:
    return {"baseline.py": ((old, new),)}


def forecast(workload: Workload) -> Any:
    return workload.baseline.forecast(ROWS, ["a", "b"], date(2024, 1, 1))


def fallback(workload: Workload) -> Any:
    return workload.baseline.fallback(ROWS.slice(1))


def features(workload: Workload) -> Any:
    return workload.features.features(workload.spec, ROWS.to_pandas(), date(2025, 3, 1), {})


def signature(workload: Workload) -> Any:
    return workload.features.signature(workload.spec)


def join_inputs(workload: Workload) -> Any:
    return workload.data.join_inputs(ROWS.to_pandas())


def results(workload: Workload) -> Any:
    return workload.data.results(ROWS.to_pandas())


def parts(workload: Workload) -> Any:
    assert workload.monitor
    return workload.monitor.parts(ROWS, 20_000)


def served(workload: Workload) -> Any:
    return workload.serving.open_model(workload.spec, None, "1")  # type: ignore[arg-type]


def sample(workload: Workload) -> Any:
    return workload.sample.write(Path("none"), date(2020, 1, 1))


BINARY = (('"regression"', '"binary"'), ("quantiles=(0.1, 0.9)", "quantiles=()"), ("high=1000", "high=1"))
RETURN, FULL = "    return predicted\n", "np.full(upcoming.num_rows, 50.0)"


@pytest.mark.parametrize(
    ("edits", "call", "says"),
    [
        (baseline(RETURN, ""), forecast, "baseline.py: forecast returned nothing, not an array of numbers"),
        (
            baseline(RETURN, "    return [1.0, 2.0]\n"),
            forecast,
            "baseline.py: forecast returned a value of the type list",
        ),
        (
            baseline(RETURN, "    return predicted > 1\n"),
            forecast,
            "baseline.py: forecast returned a value of the type nda",
        ),
        (
            baseline(RETURN, "    return predicted[1:]\n"),
            forecast,
            "baseline.py: forecast returned an array of the shape (1,), not (2,): one for each row",
        ),
        (baseline(FULL, "50.0"), fallback, "baseline.py: fallback returned a value of the type float, not an array"),
        (
            baseline(FULL, "np.ones((2, 2))"),
            fallback,
            "baseline.py: fallback returned an array of the shape (2, 2), not",
        ),
        *(
            (baseline(RETURN, f"    return np.array([1.0, {x}])\n"), forecast, f"baseline.py: forecast {said}")
            for x, said in (("np.nan", "returned nan for b, "), ("np.inf", "returned inf for b, not a finite number"))
        ),
        (baseline(FULL, "np.array([np.nan, 1])"), fallback, "baseline.py: fallback returned nan for a, not a finite"),
        (
            {"spec.py": BINARY, **baseline(FULL, "np.array([0.0, 1.5])")},
            fallback,
            "baseline.py: fallback returned 1.5 for b, not a number from 0 to 1",
        ),
        (baseline("means = past", "means = psat"), forecast, "baseline.py, line 23: NameError: name 'psat' is not def"),
        (baseline('groupby("gauge")', 'groupby("gage")'), forecast, "baseline.py, line 23: KeyError: 'gage'"),
        (baseline("import numpy", "import numpyy"), forecast, "baseline.py, line 6: ModuleNotFoundError: No module"),
        (
            {"features.py": FEATURES.format("return rows", "7")},
            features,
            "features.py: features returned a value of the type DataFrame, not FeatureTables",
        ),
        (
            {"features.py": LAYOUT.format("return FeatureTables(rows, rows)")},
            features,
            "features.py: features returned a table without its FeatureLayout: table.replace_schema",
        ),
        (
            {"features.py": LAYOUT.format("return FeatureTables(named, named)")},
            features,
            "features.py: features returned a FeatureLayout for binary with quantiles (), but SPEC is for regression",
        ),
        (
            {"features.py": FEATURES.format("pass", "7")},
            signature,
            "features.py: signature returned a value of the type int, ",
        ),
        (
            {"data.py": f"{DATA}def join_inputs(rows):\n    pass\n"},
            join_inputs,
            "data.py: join_inputs returned nothing, not list[str]",
        ),
        (
            {"data.py": f"{DATA}def results(rows):\n    return rows\n"},
            results,
            "data.py: results returned a value of the type DataFrame, not pa.Table",
        ),
        (
            {"monitor.py": "def parts(results, cut_off):\n    return [results]\n"},
            parts,
            "monitor.py: parts returned a value of the type list, not Mapping[str, Mapping[str, Any]]",
        ),
        (
            {"monitor.py": "def parts(results, cut_off):\n    return {'flood': 1.0}\n"},
            parts,
            "monitor.py: parts returned a value of the type float as a part, not a mapping with alarms",
        ),
        (
            {"monitor.py": "def parts(results, cut_off):\n    return {'flood': {'evidence': 1.0}}\n"},
            parts,
            "monitor.py: parts returned a value of the type dict as a part, not a mapping with alarms",
        ),
        (
            {"serving.py": "def open_model(spec, artifact, version):\n    pass\n"},
            served,
            "serving.py: open_model returned nothing, not RequestRows",
        ),
        ({"sample.py": (("rng.gamma", "rng.gama"), ("day <", "day !="))}, sample, "sample.py, line 15: AttributeError"),
    ],
)
def test_a_wrong_return_and_a_fault_of_the_code_are_named(
    edits: Edits,
    call: Any,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parent = copy_of_river(tmp_path / "pipeline" / "workloads", edits)
    monkeypatch.chdir(tmp_path)
    with importable(parent), pytest.raises(WorkloadError) as told:
        call(load_workload("river"))
    assert str(told.value).startswith(f"pipeline/workloads/river/{says}")
    assert reason_of(told.value) == str(told.value), "a step says it as it is"
    log = capsys.readouterr().err
    assert ("Traceback" in log) is (", line " in says), "its author needs to see where the code failed"


def test_what_a_workload_says_itself_stays_as_it_is(tmp_path: Path) -> None:
    refused = "from pipeline.ingest.quarantine import BadData\ndef load(spec, request):\n    raise BadData('no rows')\n"
    with importable(copy_of_river(tmp_path, {"data.py": DATA + refused})), pytest.raises(BadData, match="no rows"):
        load_workload("river").data.load(load_workload("river").spec, None)  # type: ignore[arg-type]
    assert forecast_of_river(tmp_path / "sound").shape == (2,)


def forecast_of_river(parent: Path) -> Any:
    with importable(copy_of_river(parent, {})):
        return forecast(load_workload("river"))


def test_a_function_that_is_to_return_nothing_may(tmp_path: Path) -> None:
    spark = load_workload("nba").spark_archive
    spark.write_archive(tmp_path / spark.ARCHIVE_FILE)
    assert (tmp_path / spark.ARCHIVE_FILE).is_file()
