"""The conformance suite passes on the smallest workload, and names each fault that is planted in it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import training_hosts
from contract_tests import CHECKS, declaration_checks, sameness_checks, time_checks
from contract_tests.subject import Subject
from temporary_workloads import Edits, copy_of_river, importable

import pipeline.evaluation.metrics
import pipeline.jobs.train
import pipeline.training.model
import pipeline.training.model_files
from pipeline.contract.rules.calls import WorkloadError
from pipeline.contract.spec import Column
from pipeline.ingest.values import reader_of
from pipeline.training.walk_forward import checkpoints

CORE = "from pipeline.contract.names import ROW_ID, TARGET, TIME\n"


def features(made: str) -> dict[str, str]:
    """A features.py that puts something else in the place of the feature `warmth`."""
    return {
        "features.py": f"""{CORE}
import numpy as np
import pandas as pd
from pipeline.training import declared_features as declared
from pipeline.training.declared_features import signature

def features(spec, rows, as_of, parameters):
    return declared.features(spec, rows.assign(warmth={made}), as_of, parameters)
"""
    }


def data(rows: str = "found.rows", spec: str = "spec") -> dict[str, str]:
    """A data.py that reads as another spec says, or changes the rows that it has read."""
    return {
        "data.py": f"""{CORE}
from dataclasses import replace
from pipeline.ingest import declared
from pipeline.ingest.declared import join_inputs, results, summary

def load(spec, request):
    found = declared.load({spec}, request)
    return replace(found, rows={rows})

def columns(spec, **changes):
    return replace(spec, columns=tuple(replace(column, **changes) for column in spec.columns))
"""
    }


SERVING = {
    "serving.py": """
from pipeline.serving.declared import open_model as declared

class Doubled:
    def __init__(self, requests):
        self.format, self.state_date, self.requests = requests.format, requests.state_date, requests
        self.check = requests.check
    def matrix(self, checked):
        return 2 * self.requests.matrix(checked)

def open_model(spec, artifact, version):
    return Doubled(declared(spec, artifact, version))
"""
}
TARGET_AS_FEATURE = {
    "features.py": """
from dataclasses import replace
from pipeline.contract.names import TARGET
from pipeline.training import declared_features as declared
from pipeline.training.declared_features import signature

def features(spec, rows, as_of, parameters):
    layout = declared.layout_of(spec)
    layout = replace(layout, features=(*layout.features, TARGET))
    found = declared.features(spec, rows, as_of, parameters)
    return replace(found, labelled=found.labelled.replace_schema_metadata(layout.as_metadata()))
"""
}
LIMIT = (
    ("import Column", "import Limit, Column"),
    ("defaults={", 'limits=(Limit("gain", "quality.gain", ">=", "MinGain", "x"),), defaults={"MinGain": 0.0,'),
)


def other_seeds(patch: pytest.MonkeyPatch) -> None:
    made, seeds = pipeline.training.model._xgboost_parameters, itertools.count()
    patch.setattr(pipeline.training.model, "_xgboost_parameters", lambda *given: {**made(*given), "seed": next(seeds)})


def hosts_that_predict_nothing(patch: pytest.MonkeyPatch) -> None:
    nothing = "import pipeline.training.walk_forward as w; w.predict = lambda booster, X: X[:, 0] * 0"
    patch.setattr(sameness_checks, "start", partial(training_hosts.start, prelude=nothing))


def no_digests(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pipeline.training.model_files, "_compare", lambda files, digests: None)


def no_absolute_error(patch: pytest.MonkeyPatch) -> None:
    scored = pipeline.evaluation.metrics.scores
    without = {"absolute_error"}
    patch.setattr(
        pipeline.evaluation.metrics,
        "scores",
        lambda *given: {key: value for key, value in scored(*given).items() if key not in without},
    )


def no_delay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pipeline.jobs.train, "checkpoints", lambda days, n_rows, delay_days: checkpoints(days, n_rows))


@dataclass(frozen=True)
class Fault:
    """Edits of river (file -> its text, or pairs of an old and a new text), or one of core; what the check says."""

    check: Callable[[Subject], None]
    says: str
    files: Edits = field(default_factory=dict)
    core: Callable[[pytest.MonkeyPatch], None] = lambda patch: None


FAULTS = {
    "a mean over all rows": Fault(
        time_checks.features_do_not_see_the_future,
        r"river/features.py: the feature warmth of row SIM-\S+ is .* once later labels and rows than of 2024-08-01 are",
        features("rows['rain'] - rows['rain'].mean()"),
    ),
    "yesterday's label, which is known a day later": Fault(
        time_checks.features_do_not_see_the_future,
        r"river/features.py: the feature warmth of row SIM-\S+ is .* once later labels and rows than of 2024-08-01 are",
        features("rows.groupby('gauge')[TARGET].shift(1)"),
    ),
    "a baseline of the whole month": Fault(
        time_checks.baseline_does_not_see_the_future,
        r"river/baseline.py: the forecast of row SIM-\S+ is .* when labels change that are known after",
        {"baseline.py": (("known_on(day, first, SPEC", "known_on(day, first + np.timedelta64(31, 'D'), SPEC"),)},
    ),
    "a fallback that is no number": Fault(
        time_checks.baseline_does_not_see_the_future,
        r"river/baseline.py: fallback returned nan for SIM-\S+, not a finite number",
        {"baseline.py": (("np.full(upcoming.num_rows, 50.0)", "np.full(upcoming.num_rows, np.nan)"),)},
    ),
    "the row's own label": Fault(
        time_checks.permuted_labels_lose_the_skill,
        r"river/features.py: with permuted labels the skill is [89]\d\.\d%: a feature sees the row's own label",
        features("rows[TARGET]"),
    ),
    "a sample of noise": Fault(
        time_checks.permuted_labels_lose_the_skill,
        r"river/sample.py: the model removes -?\d\.\d% of the constant's loss: the sample teaches it nothing",
        {"sample.py": (("30 + 20 * number + 1.5 * rain - 0.5 * warmth", "100"),)},
    ),
    "a feature that is drawn": Fault(
        sameness_checks.features_are_deterministic,
        "river/features.py: the same rows gave other features the second time",
        features("np.random.default_rng().normal(size=len(rows))"),
    ),
    "the order of a set": Fault(
        sameness_checks.features_are_deterministic,
        "river/features.py: another process .* made other features of the same rows",
        features("rows[ROW_ID].map({row: number for number, row in enumerate(set(rows[ROW_ID]))})"),
    ),
    "training without a seed": Fault(
        sameness_checks.training_is_deterministic, "training twice on the same features gave other", core=other_seeds
    ),
    "the first line of the first file": Fault(
        sameness_checks.order_does_not_matter,
        "river/data.py: the rows depend on the order of lines or files",
        data(
            "found.rows.assign(rain=float(min(request.folder.glob('*.csv')).read_text().splitlines()[1].split(',')[3]))"
        ),
    ),
    "hosts that predict nothing": Fault(
        sameness_checks.two_hosts_train_as_one,
        "two hosts' walk-forward predictions lose .*, and one's",
        core=hosts_that_predict_nothing,
    ),
    "digests that are not compared": Fault(
        sameness_checks.saved_models_predict_the_same,
        "model.json was changed, and read all the same: its digest is not verified",
        core=no_digests,
    ),
    "a server that doubles the features": Fault(
        sameness_checks.served_predictions_equal_the_batch,
        r"river/serving.py: flow_forecast of row SIM-\S+ one of 6 that are asked for, is .* served, and .* in batch",
        SERVING,
    ),
    "a past that depends on the day": Fault(
        time_checks.a_later_sample_only_adds,
        r"river/sample.py: as of 2025-01-20, \w+ of row SIM-\S+ is .* in the sample of 2025-03-01: its past must not",
        {"sample.py": (("default_rng(seed)", "default_rng(as_of.toordinal())"),)},
    ),
    "a limit on a number that is not there": Fault(
        declaration_checks.limits_and_metrics_are_in_the_evaluation,
        "river/spec.py: a limit compares a number that is not there: evaluation.json has no quality.gain",
        {"spec.py": LIMIT},
    ),
    "a metric that is not computed": Fault(
        declaration_checks.limits_and_metrics_are_in_the_evaluation,
        "river/spec.py: the report shows absolute_error, which the candidate's metrics do not have",
        core=no_absolute_error,
    ),
    "a group that the results do not have": Fault(
        declaration_checks.predictions_and_monitor_are_written,
        "river/spec.py: the monitor cannot be computed, and Predict goes on without it: KeyError: .*gauge",
        {
            "data.py": data()["data.py"]
            + "\ndef results(rows):\n    return declared.results(rows).drop_columns('gauge')\n"
        },
    ),
    "a range that is not checked": Fault(
        declaration_checks.bad_columns_are_refused,
        r'river/data.py: flow "-1" \(below its range\) in line 8 is not in quarantine.csv',
        data(spec="columns(spec, low=None, high=None)"),
    ),
    "a column that may be missing": Fault(
        declaration_checks.bad_columns_are_refused,
        "river/data.py: readings.csv without the column flow is not refused by name, but: 0 readings",
        data(spec="replace(spec, columns=tuple(replace(c, required=c.name != 'flow') for c in spec.columns))"),
    ),
    "the id in other values": Fault(
        declaration_checks.only_features_are_features,
        "river/features.py: the feature warmth is row_id in other values",
        features("pd.factorize(rows[ROW_ID])[0]"),
    ),
    "the target by its name": Fault(
        declaration_checks.only_features_are_features,
        "river/features.py: target has the role target, and is a feature",
        TARGET_AS_FEATURE,
    ),
    "a label before its delay": Fault(
        time_checks.labels_wait_for_their_delay,
        "river/data.py: load: has a label of 2024-07-30 on 2024-08-01, 2 days are not over",
        data(spec="replace(spec, label_delay_days=0)"),
    ),
    "walk-forward predictions without the delay": Fault(
        time_checks.labels_wait_for_their_delay,
        "a walk-forward prediction saw labels of the 2 days before its month",
        core=no_delay,
    ),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    folder = tmp_path_factory.mktemp("sound")
    with importable(copy_of_river(folder / "workloads", {})):
        yield Subject("river", folder / "work")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_sound_workload_passes(sound: Subject, check: Callable[[Subject], None]) -> None:
    check(sound)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_named(fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with importable(copy_of_river(tmp_path / "workloads", fault.files)):
        subject = Subject("river", tmp_path / "work")
        fault.core(monkeypatch)
        with pytest.raises((AssertionError, WorkloadError)) as told:
            fault.check(subject)
    assert re.search(fault.says, str(told.value)), str(told.value)


def test_each_check_has_a_fault_that_it_names() -> None:
    assert {fault.check for fault in FAULTS.values()} == set(CHECKS)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-9_000_000, 20_000_000), (1.5e-9, 2e300)])
def test_what_is_outside_a_range_is_outside_however_large_it_is(low: float, high: float) -> None:
    column = Column("volume", low=low, high=high)
    read, _, _ = reader_of(column, "UTC")
    texts = {kind: text for kind, text in declaration_checks.damages(column) if kind.endswith("its range")}
    assert len(texts) == 2
    assert {kind: read(text) for kind, text in texts.items()} == dict.fromkeys(texts)


def test_measurements_that_never_repeat_are_no_ids(tmp_path: Path) -> None:
    with importable(copy_of_river(tmp_path / "workloads", {"sample.py": (("{rain:.2f}", "{rain!r}"),)})):
        declaration_checks.only_features_are_features(Subject("river", tmp_path / "subject"))
