"""Bike demand by the hour, whose rows to score are in no file and whose features are made of other rows."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from workload_life import Life, WorkloadLife

from pipeline.contract.spec import Column, Spec
from pipeline.ingest.validated import LoadRequest

YESTERDAY, TODAY = "same_hour_day_before=table.shift(1)", "same_hour_day_before=table.shift(0)"


class TestLife(WorkloadLife):
    name, later = "bike_demand", "2025-06-01"

    @classmethod
    def planted_in(cls, spec: Spec) -> Column:
        return spec.of_role("target")[0]

    @classmethod
    def plant_leak(cls, spec: Spec, rows: pd.DataFrame) -> None:
        """Files hold no feature that could leak: see `leaking`."""

    @classmethod
    def plant_fault(cls, spec: Spec, rows: pd.DataFrame) -> None:
        """Since the first morning every other day counts ten times, and lags mislead; a day has no labels."""
        spoilt = (rows["hour"] >= cls.first) & (rows["hour"].str[9].astype(int) % 2 == 0)
        rows.loc[spoilt, "rentals"] = (10 * rows.loc[spoilt, "rentals"].astype(int)).astype(str)
        rows.loc[rows["hour"].str.startswith("2025-05-27"), "rentals"] = ""
        rows["rentals"] = ["much", *rows["rentals"].iloc[1:]]

    @classmethod
    def asked(cls, life: Life, predicted: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
        """Lags that a client would look up: the workload's own, of the hours that are made."""
        as_of, spec = date.fromisoformat(cls.first), life.spec
        request = LoadRequest(life.store / "simulated" / cls.first, as_of, as_of, time_zone=spec.time_zone)
        rows = life.workload.data.load(spec, request).rows
        upcoming = life.workload.features.features(spec, rows, as_of, {}).upcoming
        assert upcoming["row_id"].to_pylist() == [row["row_id"] for row in predicted]
        return upcoming.select([column.name for column in spec.of_role("feature")]).to_pylist()

    @pytest.fixture
    def leaking(self, root: Path, tmp_path: Path) -> Life:
        """The code with a lag that is off by one day."""
        code = tmp_path / "code"
        for name in ("pipeline", "scripts"):
            shutil.copytree(root / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(root / "cdk.json", code)
        file = code / "pipeline/workloads/bike_demand/features.py"
        text = file.read_text(encoding="utf-8")
        assert YESTERDAY in text
        file.write_text(text.replace(YESTERDAY, TODAY), encoding="utf-8")
        return Life(code, self.name, tmp_path)

    def test_a_feature_that_sees_the_target_is_suspected_leakage(self, leaking: Life) -> None:  # type: ignore[override]
        super().test_a_feature_that_sees_the_target_is_suspected_leakage(leaking)
