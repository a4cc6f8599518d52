"""A workload that breaks a rule of its folder is refused with the file, the name and the rule."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from temporary_workloads import Edits, copy_of_river, importable

from pipeline.contract.parameters import parameters_of
from pipeline.contract.rules.calls import WorkloadError
from pipeline.contract.rules.spec_rules import spec_problems
from pipeline.contract.rules.workload_rules import definition_problem
from pipeline.contract.spec import ExtraInput, Limit, MonitorSpec, Parameter
from pipeline.contract.workload import load_spec, read_definition
from pipeline.definition.compile import main as compile_definitions


def spec(old: str, new: str) -> Edits:
    """A spec.py in which one text is another."""
    return {"spec.py": ((old, new),)}


IMPORT, TARGET = "import Column, ", 'Column("flow", role="target"'
BINARY = (('"regression"', '"binary"'), ("    quantiles=(0.1, 0.9),\n", ""))
HALF = "def features(spec, rows, as_of, parameters): ...\n"
FEATURES = f"{HALF}def signature(spec): ...\n"
MORE = "    shown="  # before which a field may be added


def more(field: str) -> Edits:
    """A spec.py with one field more, and the names that it may need."""
    return {"spec.py": ((MORE, f"    {field},\n{MORE}"), (IMPORT, f"{IMPORT}ExtraInput, Limit, Parameter, UseSpec, "))}


# In spec.py: a text, the other that stands in its place, and what is said.
EDITS = (
    # spec.py as a module
    ("SPEC = Spec(", "SPEC = Spec(" + "(", r"spec.py, line \d+: '\(' was never closed"),
    ("GAUGES = (", "import numpy\nGAUGES = (", "spec.py, line 5: imports numpy; spec.py may import"),
    ("GAUGES = (", "from pipeline.ingest import known\nGAUGES = (", "spec.py, line 5: imports pipeline.ingest.known"),
    ("GAUGES = (", "1 / 0\nGAUGES = (", "spec.py, line 5: ZeroDivisionError: division by zero"),
    ("    shown=", "    shwon=", r'spec.py, line 6: TypeError: .*shwon.*; did you mean "shown"\?'),
    ("missing=True", "mising=True", 'spec.py, line 22: TypeError: .*; did you mean "missing"'),
    ('    unit="day",\n', "", "spec.py, line 6: TypeError: .* missing 1 required .*'unit'"),
    ("SPEC = ", "Spec_ = ", "spec.py: it defines no SPEC"),
    ("SPEC = ", "spec = ", 'spec.py: it defines no SPEC; did you mean "spec"?'),
    # values and their types
    ('"regression"', '"regresion"', 'SPEC.task "regresion" is none of .*mean "regression"'),
    ('role="time"', 'role="tiem"', r'Column\("day"\).role "tiem" is none of .*mean "time"'),
    ('type="category"', 'type="categry"', r'Column\("gauge"\).type "categry" .*mean "category"'),
    ('unit="day"', 'unit="month"', 'SPEC.unit "month" is none of row, day, week'),
    ('claims="day"', 'claims="dya"', 'SPEC.monitor.claims "dya" is none of .*mean "day"'),
    ('shown=("gauge",)', 'shown=("gauge")', "SPEC.shown is 'gauge', not a tuple: a comma"),
    ("label_delay_days=2", 'label_delay_days="2"', "SPEC.label_delay_days is '2', not of the"),
    ('groups={"gauge": 1.0}', 'groups=["gauge"]', r"SPEC.monitor.groups is \['gauge'\], not a dict"),
    ('{"gauge": 1.0}', '{"gauge": "1"}', r"""SPEC.monitor.groups\["gauge"\] is '1', not"""),
    # names
    ('name="river"', 'name="rivers"', 'SPEC.name "rivers" is not the folder\'s name "river"'),
    ('"UTC"', '"Europe/Berlim"', 'SPEC.time_zone "Europe/Berlim" .*mean "Europe/Berlin"'),
    ('data_prefix="readings"', 'data_prefix="../x"', 'SPEC.data_prefix "../x" is not a folder'),
    ('data_prefix="readings"', 'data_prefix="champion/x"', 'SPEC.data_prefix "champion/x" is not a'),
    ('"flow_forecast"', '"flow"', 'SPEC.prediction "flow" is not a name for a new'),
    ('shown=("gauge",)', 'shown=("gage",)', 'SPEC.shown names "gage", .*did you mean "gauge"'),
    ('groups={"gauge"', 'groups={"gage"', 'SPEC.monitor.groups names "gage", .*mean "gauge"'),
    ('"flow_forecast"', '"model"', 'SPEC.prediction "model" is not a name for a new'),
    ('Column("day"', 'Column("as_of_date"', '"as_of_date" would be in predictions.csv twice'),
    ("MonitorSpec(", 'MonitorSpec(period="year", ', 'SPEC.monitor.period names "year", which is no'),
    ("MonitorSpec(", 'MonitorSpec(left_out="wet", ', 'SPEC.monitor.left_out names "wet", which'),
    # columns
    ('Column("warmth"', 'Column("rain"', 'column "rain" is declared twice'),
    (
        'Column("gauge", type="category", values=GAUGES)',
        'Column("gauge", role="id", type="text")',
        "2 columns of the role id",
    ),
    ('role="time"', 'role="other"', "there are 0 columns of the role time, and there must be 1"),
    (TARGET, 'Column("flow", role="other"', "there are 0 columns of the role target, and there must"),
    ('Column("rain"', 'Column("rain", role="target"', "there are 2 columns of the role target"),
    ('Column("rain"', 'Column("time"', r'Column\("time"\) has the name of core\'s time, and the role'),
    ('role="id", type="text"', 'role="id"', r'Column\("reading_id"\) is the id, and of the'),
    ('role="time", type="day"', 'role="time"', r'Column\("day"\) is the time, and of the'),
    (f"{TARGET}, low=0, high=1000", f'{TARGET}, type="flag"', "is a regression target, not"),
    ('Column("rain",', 'Column("rain", values=("1",),', r'Column\("rain"\) has values, and the'),
    (", values=GAUGES", "", r'Column\("gauge"\) is a category without values'),
    ('"north", ', '"north", "south", ', r'Column\("gauge"\) lists a value twice: south'),
    ("values=GAUGES", "values=GAUGES, low=1", r'Column\("gauge"\) has a range, and the'),
    ("low=-60", "low=61", r'Column\("warmth"\) has low 61 above high 60'),
    ('type="category", values=GAUGES', 'type="text"', r'Column\("gauge"\) is a feature of the type text'),
    ('Column("rain"', 'Column("rain", required=False', r'Column\("rain"\) may be left out: set missing'),
    (
        'Column("rain"',
        'Column("rain", made=True',
        r'Column\("rain"\) is made of other rows: a feature that features.py makes',
    ),
    ("(0.1, 0.9)", "(0.9, 0.1)", r"SPEC.quantiles \(0.9, 0.1\) do not ascend between"),
    ("(0.1, 0.9)", "(0.1, 1.0)", r"SPEC.quantiles \(0.1, 1.0\) do not ascend between 0 and 1"),
    ("label_delay_days=2", "label_delay_days=-1", "SPEC.label_delay_days -1 is below 0"),
    # parameters and limits
    ('"MaxDepth"', '"MaxDept"', 'SPEC.defaults give "MaxDept", .*did you mean "MaxDepth"'),
    ('"MaxDepth": 3', '"MaxDepth": 3.0', r'SPEC.defaults\["MaxDepth"\] is 3.0, not int as 2'),
    ('"MaxDepth": 3', '"ForceTraining": "maybe"', r'\["ForceTraining"\] is \'maybe\', not one of'),
)
# A field more, and what is said.
FIELDS = (
    (f'deployed_as="{"a" * 38}"', 'it would be deployed as "a{38}", which AWS does not'),
    ('deployed_as="my_river"', 'deployed as "my_river", which AWS does not allow'),
    ('deployed_as="River"', 'deployed as "River", which AWS does not allow: lower-case letters'),
    ('model_group="River"', 'deployed as "River", which .*, or set model_group'),
    ('use=UseSpec(intended="a\\nb")', "SPEC.use.intended is not one line of at"),
    ('use=UseSpec(risk="High")', 'SPEC.use.risk "High" needs a risk_reason'),
    ('use=UseSpec(risk_reason="a")', 'risk "Unknown" has a reason, and no'),
    ('use=UseSpec(risk="high")', 'SPEC.use.risk "high" is none of .*; did you mean "High"'),
    ('parameters=(Parameter("MaxDepth", 3, "x"),)', r'Parameter\("MaxDepth"\) is one of core'),
    ('parameters=2 * (Parameter("Depth", 3, "x"),)', r'Parameter\("Depth"\) is declared twice'),
    ('parameters=(Parameter("my-depth", 3, "x"),)', r'Parameter\("my-depth"\) is not a name'),
    (
        'limits=(Limit("error", "metrics.candidate.rmse", "<=", "MaxDpth", "x"),)',
        r'Limit\("error"\) is held against MaxDpth, which SPEC.defaults do not give; did you mean "MaxDepth"',
    ),
    (
        'limits=(Limit("error", "metrics.candidate.rsme", "<=", "MinSkill", "x"),)',
        r'Limit\("error"\) looks at metrics.candidate.rsme; the metrics are .*; did you mean "rmse"',
    ),
    (
        'limits=(Limit("error", "metrics.candidate.rmse", "<", "MinSkill", "x"),)',
        r'Limit\("error"\).operator "<" is none of <=, >=',
    ),
    ('inputs=(ExtraInput("maps", "MapsPrefix"),)', r'ExtraInput\("maps"\) names "MapsPrefix", no'),
    (
        'inputs=(ExtraInput("maps", "Maps"),),\nparameters=(Parameter("Maps", "readings/maps", "x"),)',
        'SPEC.data_prefix "readings" and Maps "readings/maps" overlap',
    ),
    ('prepare_channels=("champion",)', 'SPEC.prepare_channels has "champion", which is core'),
    ('seed_objects={"champion/champion.json": ""}', 'SPEC.seed_objects has "champion/champion.json"'),
)
# Other files.
FILES: dict[str, tuple[Edits, str]] = {
    "an import of an import": (
        {
            **spec("GAUGES = (", "from pipeline.workloads.river.gauges import X\nGAUGES = ("),
            "gauges.py": "import yaml\nX = 1\n",
        },
        "gauges.py, line 1: imports yaml; spec.py may import the standard library, pipeline.contract and files",
    ),
    "an import in a folder": (
        {
            **spec("GAUGES = (", "from .places.far import X\nGAUGES = ("),
            "places/__init__.py": "",
            "places/far.py": "from ..spec import GAUGES\nfrom ..places import far\nimport pandas as pd\nX = 1\n",
        },
        "places/far.py, line 3: imports pandas; spec.py may import",
    ),
    "a SPEC of another type": ({"spec.py": "SPEC = {}\nGAUGES = ()\n"}, "spec.py: SPEC is of the type dict, not Spec"),
    "a binary target of numbers": (
        {"spec.py": BINARY},
        r'Column\("flow"\) is a binary target, not "flag", or a number',
    ),
    "no feature": (
        {
            "spec.py": (
                (', type="category"', ', type="category", role="group"'),
                ('"rain"', '"rain", role="other"'),
                ('"warmth"', '"warmth", role="other"'),
            )
        },
        "there is no column of the role feature: declare one, or make features in features.py",
    ),
    "quantiles of a probability": (
        {"spec.py": (BINARY[0], ("low=0, high=1000", "low=0, high=1"))},
        "SPEC.quantiles are for a regression: a binary target has none",
    ),
    "no forecast": (
        {"baseline.py": (("def forecast(", "def forecasts("),)},
        r'baseline.py: it has no forecast\(results, ids, since\); did you mean "forecasts"',
    ),
    "no fallback": (
        {"baseline.py": (("def fallback(", "def _fall("),)},
        r"baseline.py: it has no fallback\(upcoming\)",
    ),
    "other arguments": (
        {"baseline.py": (("ids: Sequence[str], since: date", "ids: Sequence[str]"),)},
        r"baseline.py, line \d+: forecast\(.*\) should be forecast\(results, ids, since\)",
    ),
    "one argument more": (
        {"sample.py": (("seed: int = 1)", "seed: int, size: int)"),)},
        r"sample.py, line 10: write\(.*\) should be write",
    ),
    "a syntax error elsewhere": ({"features.py": "def features(:\n"}, "features.py, line 1: invalid syntax"),
    "half a module": ({"features.py": HALF}, r"features.py: it has no signature\(spec\)"),
    "a module's name": (
        {"feature.py": FEATURES},
        "features.py: it is missing; rename feature.py, which core does not",
    ),
}
BROKEN = (*((spec(old, new), says) for old, new, says in EDITS), *((more(field), says) for field, says in FIELDS))


@pytest.mark.parametrize(("edits", "says"), (*BROKEN, *FILES.values()))
def test_a_broken_rule_is_named(edits: Edits, says: str, tmp_path: Path) -> None:
    with importable(copy_of_river(tmp_path, edits)), pytest.raises(WorkloadError) as told:
        load_spec("river")
    assert re.match(f"pipeline/workloads/river/.*{says}", str(told.value)), str(told.value)


JUNK = (None, "", 0, -1, 1.5, float("nan"), (), ("x",), (None,), {}, {"x": 1}, {"x": "y"}, True, [1], "a" * 300)
LIMIT, PARAMETER = Limit("error", "a.b", "<=", "MinSkill", "x"), Parameter("Depth", 1, "x")


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_whatever_a_field_holds_the_rules_say_what_is_wrong(junk: Any) -> None:
    """Never by an exception of their own."""
    churn = load_spec("churn")
    specs = [replace(churn, **{field.name: junk}) for field in fields(churn)]
    specs += [replace(churn, monitor=replace(churn.monitor, **{field.name: junk})) for field in fields(MonitorSpec)]
    wholes: dict[str, Any] = {"limits": LIMIT, "parameters": PARAMETER, "inputs": ExtraInput("maps", "Depth")}
    for name, whole in wholes.items():
        given: list[Any] = [replace(whole, **{field.name: junk}) for field in fields(whole)]
        changes: list[dict[str, Any]] = [{name: (one,)} for one in given]
        specs += [replace(churn, **change) for change in changes]
    for column in churn.columns:
        others = tuple(one for one in churn.columns if one != column)
        made = [replace(column, **{field.name: junk}) for field in fields(column)]
        specs += [replace(churn, columns=(*others, one)) for one in made]
    told = [list(spec_problems("churn", spec, set())) for spec in specs]
    assert all(isinstance(problem, str) for problems in told for problem in problems)
    assert sum(map(bool, told)) > len(specs) / 3


def test_without_a_baseline(tmp_path: Path) -> None:
    (copy_of_river(tmp_path, {}) / "river" / "baseline.py").rename(tmp_path / "river" / "basline.py")
    with (
        importable(tmp_path),
        pytest.raises(WorkloadError, match=r"river/baseline.py: it is missing; rename basline.py"),
    ):
        load_spec("river")


@pytest.mark.parametrize("name", ["River", "my-river", "2rivers"])
def test_a_folder_that_is_no_package(name: str, tmp_path: Path) -> None:
    (copy_of_river(tmp_path, {}) / "river").rename(tmp_path / name)
    with importable(tmp_path), pytest.raises(WorkloadError, match=f"workloads/{name}: a workload's folder is a Python"):
        load_spec(name)


def test_a_folder_that_hides_a_module_of_core(tmp_path: Path) -> None:
    (copy_of_river(tmp_path, {}) / "river.py").write_text("def simulate() -> None: ...\n", encoding="utf-8")
    with importable(tmp_path), pytest.raises(WorkloadError, match=r"workloads/river: it hides river.py beside it"):
        load_spec("river")


def test_a_sound_workload_and_its_other_forms_are_not_refused(tmp_path: Path) -> None:
    own: Edits = {"features.py": f"from functools import partial\n{FEATURES}", "spec.py": (("low=-60, high=60, ", ""),)}
    with importable(copy_of_river(tmp_path, own)):
        assert load_spec("river").group == "river"
    assert replace(load_spec("nba"), name="bike_demand", deployed_as="").deployment == "retraining-bike-demand"


def test_an_unknown_workload_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(WorkloadError, match='there is no workload "nbaa"; did you mean "nba"'):
        load_spec("nbaa")


def test_a_definition_that_is_missing_or_of_another_spec(tmp_path: Path) -> None:
    with (
        importable(copy_of_river(tmp_path, {})),
        pytest.raises(WorkloadError, match=r"river/definition.json is missing: run python -m pipeline.definition"),
    ):
        read_definition("river")
    nba = load_spec("nba")
    definition = read_definition("nba")
    assert definition_problem(nba, definition) == ""
    assert definition_problem(nba, {}) == "is no pipeline definition"
    deeper = replace(nba, defaults={**nba.defaults, "MaxDepth": 3})
    assert definition_problem(deeper, definition) == "is stale: MaxDepth is 2, and 3 in spec.py"
    fewer = json.loads(json.dumps(definition))
    fewer["Parameters"].pop()
    last = [*parameters_of(nba).defaults][-1]
    assert definition_problem(nba, fewer).startswith(f"is stale: {last} is not there")


def test_the_definition_command_names_it_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with importable(copy_of_river(tmp_path, spec('name="river"', 'name="rivers"'))):
        assert compile_definitions(["--check"]) == 1
    told = capsys.readouterr().err
    assert 'pipeline/workloads/river/spec.py: SPEC.name "rivers"' in told
    assert "nba/definition.json is up to date" in told
