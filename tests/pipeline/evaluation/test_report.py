"""The report says the decision first, shows every number, escapes what comes from data, and loads nothing."""

from __future__ import annotations

import copy
import json
import math
import os
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract.metrics import metric_words
from pipeline.contract.workload import load_spec
from pipeline.evaluation import report_figures
from pipeline.evaluation.report import _metric_rows, render

ROOT = Path(__file__).parents[3]
FEATURES = ("elo_difference", "net_rating_difference", "form_10_difference", "rest_difference", "home_back_to_back")


def metrics(log_loss: float, brier: float, accuracy: float, auc: float, calibration: float) -> dict[str, Any]:
    return {
        "log_loss": log_loss,
        "brier": brier,
        "accuracy": accuracy,
        "roc_auc": auc,
        "calibration_error": calibration,
        "n_rows": 1312,
    }


def limit(words: str, value: float, operator: str, bound: float, parameter: str) -> dict[str, Any]:
    return {
        "words": words,
        "value": value,
        "operator": operator,
        "limit": bound,
        "parameter": parameter,
        "why": "it says so",
        "holds": value <= bound if operator == "<=" else value >= bound,
    }


def reliability_bins(shift: float) -> list[dict[str, float]]:
    sizes = (18, 61, 112, 158, 205, 231, 214, 170, 104, 39)
    bins = []
    for i, n in enumerate(sizes):
        p = 0.08 + 0.093 * i
        observed = p + shift * math.sin(2.3 * i)
        half = 1.96 * math.sqrt(p * (1 - p) / n)
        bins.append(
            {
                "predicted": p,
                "observed": observed,
                "lower": max(0.0, observed - half),
                "upper": min(1.0, observed + half),
                "n_rows": n,
            }
        )
    return bins


def months(champion: bool) -> list[dict[str, Any]]:
    names = (
        "2023-11",
        "2023-12",
        "2024-01",
        "2024-02",
        "2024-03",
        "2024-04",
        "2024-05",
        "2024-10",
        "2024-11",
        "2024-12",
    )
    rows = []
    for i, month in enumerate((*names, "2025-01", "2025-02")):
        base = 0.626 + 0.018 * math.sin(1.7 * i)
        rows.append(
            {
                "month": month,
                "n_rows": 110,
                "candidate": base,
                "champion": base + 0.002 + 0.003 * math.cos(i) if champion and i > 2 else None,
                "baseline": base + 0.005 + 0.004 * math.sin(2.9 * i),
                "constant": 0.687 + 0.004 * math.cos(2 * i),
            }
        )
    return rows


def data() -> dict[str, Any]:
    return {
        "files": [
            {
                "name": f"simulated_{y}.csv",
                "rows": 1230,
                "bad_rows": 0,
                "first_date": f"{y - 1}-10-22",
                "last_date": f"{y}-04-13",
                "unused_columns": ["attendance"],
            }
            for y in range(2014, 2026)
        ],
        "n_rows_read": 14761,
        "n_rows": 14703,
        "n_labelled": 14653,
        "n_modelled": 13423,
        "n_upcoming": 50,
        "n_duplicates_collapsed": 54,
        "n_bad_rows": 4,
        "n_labels_hidden": 0,
        "first_date": "2013-10-29",
        "last_labelled_date": "2025-02-28",
        "left_out": [{"name": "README.txt", "reason": "is no *.csv, *.csv.gz or *.parquet"}],
        "quarantine_rules": [
            {"rule": "played before 2025-03-01 but has no score", "n_rows": 3},
            {"rule": "is not a whole number from 1 to 250", "n_rows": 1},
        ],
        "quarantine_examples": [
            {
                "file": "simulated_2020.csv",
                "line": 88,
                "column": "home_points",
                "value": "abc",
                "rule": "is not a whole number from 1 to 250",
            },
        ],
        "tables": [
            {
                "title": "Seasons",
                "columns": ["season", "games", "home wins"],
                "rows": [[str(y), 1230, "57.1%"] for y in range(2014, 2026)],
            }
        ],
        "notes": ["the newest played game is 1 days before the as-of date"],
    }


def first_evaluation() -> dict[str, Any]:
    """A run on simulated games that finds no champion and registers the candidate."""
    return {
        **metric_words(load_spec("nba")),
        "summary": "log loss 0.6262 on 1,312 games (Elo-logistic 0.6307), as of 2025-03-01; registered",
        "decision": "registered",
        "reason": "there is no champion yet, and the candidate keeps every limit",
        "as_of_date": "2025-03-01",
        "simulated": True,
        "fingerprint": "9f2c51d0a7be43c8815fe2277d0c6a3be1948f05d6c2ab7713a0c9e4f5d8b216",
        "trigger": "manual",
        "versions": {
            "code": "3f2a9c07d1e4",
            "git": "abc1234",
            "definition": "5be1948f05d6c2ab7713a0c9e4f5d8b2169f2c51d0a7be43c8815fe2277d0c6a",
            "features": "9c1d77e0",
            "python": "3.11.7",
            "xgboost": "3.2.0",
        },
        "training_config": {
            "boosting_rounds": "150",
            "learning_rate": "0.05",
            "max_depth": "3",
            "min_child_weight": "50.0",
            "subsample": "0.7",
            "walk_forward_rows": "1312",
        },
        "metrics": {
            "candidate": metrics(0.6262, 0.2174, 0.6512, 0.7012, 0.0182),
            "champion": None,
            "baseline": metrics(0.6307, 0.2201, 0.6422, 0.6912, 0.0212),
            "constant": metrics(0.6868, 0.2468, 0.5532, 0.5, 0.011),
        },
        "quality": {
            "loss_above_baseline": -0.0045,
            "loss_above_baseline_interval": [-0.0071, -0.0019],
            "passed": True,
            "reason": "every limit holds",
            "limits": [
                limit("log loss", 0.6262, "<=", 0.68, "MaxLogLoss"),
                limit("calibration error", 0.0182, "<=", 0.06, "MaxCalibrationError"),
                limit("log loss above Elo-logistic", -0.0045, "<=", 0.0, "MaxLossAboveBaseline"),
                limit("games evaluated", 1312.0, ">=", 400.0, "MinEvaluatedRows"),
                limit("accuracy", 0.6512, "<=", 0.72, "MaxAccuracy"),
            ],
        },
        "comparison": {
            "champion_exists": "no",
            "champion_version": "none",
            "champion_age_days": 0,
            "basis": "there is no champion yet: compared with Elo-logistic",
            "n_rows": 1312,
            "first_date": "2023-11-02",
            "last_date": "2025-02-28",
            "difference": {"mean": -0.0045, "lower": -0.0071, "upper": -0.0019},
            "improvement": 0.0045,
        },
        "promotion": {
            "promote": True,
            "reason": "there is no champion yet, and the candidate keeps every limit",
            "limits": [],
        },
        "reliability": {"candidate": reliability_bins(0.03), "champion": None},
        "monthly": months(champion=False),
        "importance": [
            {"feature": name, "share": share}
            for name, share in zip(FEATURES, (0.41, 0.27, 0.16, 0.11, 0.05), strict=True)
        ],
        "data": data(),
    }


def later_evaluation() -> dict[str, Any]:
    """A run on real games whose candidate is not better than the champion by enough."""
    evaluation = first_evaluation()
    reason = (
        "log loss -0.0004 against the champion (95 % upper bound +0.0008): not worse, but not better by 0.001 "
        "either, and the champion is only 12 days old (limit 30), so the champion stays"
    )
    evaluation |= {"simulated": False, "decision": "champion-kept", "reason": reason, "monthly": months(champion=True)}
    evaluation["metrics"]["champion"] = metrics(0.6266, 0.2176, 0.6497, 0.7006, 0.0174)
    evaluation["reliability"]["champion"] = reliability_bins(-0.025)
    evaluation["comparison"] |= {
        "champion_exists": "yes",
        "champion_version": "7",
        "champion_age_days": 12,
        "basis": "version 7: its walk-forward predictions up to 2025-02-17, its shipped weights on the 61 games since",
        "difference": {"mean": -0.0004, "lower": -0.0016, "upper": 0.0008},
        "improvement": 0.0004,
    }
    evaluation["promotion"] = {
        "promote": False,
        "reason": reason,
        "limits": [
            limit("upper bound of the log-loss difference", 0.0008, "<=", 0.002, "NonInferiorityMargin"),
            limit("improvement over the champion", 0.0004, ">=", 0.001, "MinImprovement"),
            limit("age of the champion in days", 12.0, ">=", 30.0, "MaxChampionAgeDays"),
        ],
    }
    return evaluation


class Page(HTMLParser):
    """What a test asks of the page: text by order, ids, and what it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self._in_style = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._in_style = tag == "style"
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "srcset", "action") and not (value or "").startswith("#"):
                self.loads.append(value or "")

    def handle_data(self, data: str) -> None:
        if not self._in_style and data.strip():
            self.words.append(data.strip())

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def with_many_long_file_names() -> dict[str, Any]:
    evaluation = first_evaluation()
    name = "games_" + "of_a_season_with_a_name_that_never_ends_" * 5
    evaluation["data"]["files"] = [
        {
            "name": f"{name}{i}.parquet",
            "rows": 123456,
            "bad_rows": 1,
            "unused_columns": [name],
            "first_date": None,
            "last_date": None,
        }
        for i in range(100)
    ]
    evaluation["data"]["quarantine_examples"][0] |= {"file": name * 2, "value": "9" * 300}
    evaluation["importance"] = [{"feature": f"feature_{i}_" + "x" * 60, "share": 0.02} for i in range(50)]
    return evaluation


def with_little() -> dict[str, Any]:
    """One month, one bin, no feature, no bad row, nobody's AUC, a limit broken."""
    evaluation = first_evaluation() | {"decision": "failed", "reason": "games evaluated 12 is below the limit 400"}
    evaluation["monthly"] = evaluation["monthly"][:1]
    evaluation["reliability"]["candidate"] = [
        {"predicted": 0.6, "observed": 1.0, "lower": 0.9, "upper": 1.0, "n_rows": 12}
    ]
    evaluation["importance"] = []
    evaluation["data"] |= {"n_bad_rows": 0, "quarantine_rules": [], "quarantine_examples": [], "left_out": []}
    for who in ("candidate", "baseline", "constant"):
        evaluation["metrics"][who]["roc_auc"] = None
    evaluation["quality"]["limits"][3] = limit("games evaluated", 12.0, ">=", 400.0, "MinEvaluatedRows")
    evaluation["quality"] |= {"passed": False, "reason": evaluation["reason"]}
    return evaluation


@cache
def page_of(case: str) -> str:
    return render(CASES[case]())


CASES = {"first": first_evaluation, "later": later_evaluation, "many": with_many_long_file_names, "few": with_little}


@pytest.mark.parametrize(
    ("decision", "headline"),
    [
        ("registered", "Candidate registered"),
        ("champion-kept", "Champion kept"),
        ("failed", "Candidate failed its limits"),
    ],
)
def test_decision_and_reason_come_first(decision: str, headline: str) -> None:
    evaluation = later_evaluation() | {"decision": decision, "reason": "because the numbers say so"}
    page = Page(render(evaluation))
    assert page.words[0] == f"NBA home-win probability: {headline}, as of 2025-03-01"  # the title
    assert page.words[1:3] == [headline, "Because the numbers say so."]


def test_every_number_of_the_comparison_and_the_limits_is_shown() -> None:
    evaluation = later_evaluation()
    text = Page(render(evaluation)).text
    for of in evaluation["metrics"].values():
        for name, value in of.items():
            assert (f"{value:,}" if name == "n_rows" else f"{value:.4f}") in text
    for row in (*evaluation["quality"]["limits"], *evaluation["promotion"]["limits"]):
        assert row["parameter"] in text
    for shown in ("−0.0004", "−0.0016", "+0.0008", "margin is +0.0020", "at most 0.0020", "at least 400", "41.0 %"):
        assert shown in text
    assert "its shipped weights on the 61 games since" in text


@pytest.mark.parametrize("part", ["fingerprint", "versions", "training_config"])
def test_provenance_is_shown(part: str) -> None:
    evaluation = first_evaluation()
    values = evaluation[part].values() if isinstance(evaluation[part], dict) else [evaluation[part]]
    text = Page(render(evaluation)).text
    assert [value for value in values if value not in text] == []


def test_data_summary_names_counts_rules_and_examples() -> None:
    text = Page(render(first_evaluation())).text
    assert "Rows read 14,761" in text
    assert "played before 2025-03-01 but has no score 3" in text
    assert "simulated_2020.csv, line 88: home_points “abc” is not a whole number from 1 to 250" in text
    assert "README.txt" in text


def test_best_value_of_a_row_is_marked_in_words_and_ties_are_all_marked() -> None:
    evaluation = later_evaluation()
    evaluation["metrics"]["champion"]["log_loss"] = 0.62624  # reads as the candidate's 0.6262
    rows = re.findall(r'<tr class="numbers"><th scope="row">(.*?)</th>(.*?)</tr>', render(evaluation))
    marked = {name: re.findall(r"<b>best</b> ([^<]+)", cells) for name, cells in rows}
    assert marked == {
        "Log loss": ["0.6262", "0.6262"],
        "Brier score": ["0.2174"],
        "Accuracy": ["0.6512"],
        "AUC": ["0.7012"],
        "Calibration error": ["0.0110"],
        "Games": [],
    }


@pytest.mark.parametrize(
    ("values", "shown", "best"),
    [
        ((5.1231, 5.1234, 5.2), ["5.123", "5.123", "5.200"], [True, True, False]),
        ((12345.6, 12346.4, None), ["12,346", "12,346", "–"], [True, True, False]),
        ((-0.00001, 0.00001, 0.0), ["0.0000", "0.0000", "0.0000"], [True, True, True]),
        ((None, 0.5, None), ["–", "0.5000", "–"], [False, False, False]),
    ],
)
def test_numbers_are_compared_as_they_are_shown(
    values: tuple[float | None, ...], shown: list[str], best: list[bool]
) -> None:
    ((_, cells),) = _metric_rows({"loss": {"better": "lower"}}, [{"loss": value} for value in values])
    assert cells == list(zip(shown, best, strict=True))


def test_champion_scored_on_fewer_games_is_said() -> None:
    evaluation = later_evaluation()
    assert "numbers cover only" not in Page(render(evaluation)).text
    evaluation["metrics"]["champion"]["n_rows"] = 1200
    assert "numbers cover only 1,200 of the 1,312 games" in Page(render(evaluation)).text


def test_broken_limit_is_said_to_fail() -> None:
    page = render(with_little())
    assert len(re.findall(r'<tr class="breaks">', page)) == 1
    text = Page(page).text
    assert "fails" in text
    assert "4 of 5" in text


def test_simulated_games_are_called_so_wherever_numbers_stand() -> None:
    page = render(first_evaluation())
    assert "<title>Simulated games: NBA home-win probability: " in page
    headings = re.findall(r"<h[12]>.*?</h[12]>", page, re.DOTALL)
    assert len(headings) == 9
    assert all("simulated games" in heading for heading in headings)
    assert all(
        "simulated games" in label for label in re.findall(r'<svg class="figure"[^>]*aria-label="([^"]*)"', page)
    )
    assert "imulated games" not in render(later_evaluation())


def test_text_from_data_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    evaluation = first_evaluation() | {"reason": evil, "trigger": evil, "summary": f'"{evil}', "as_of_date": evil}
    evaluation["training_config"][evil] = evil
    evaluation["data"]["files"][0]["name"] = evil
    evaluation["data"]["quarantine_examples"][0] |= {"value": evil, "rule": evil, "column": evil, "file": evil}
    evaluation["importance"][0]["feature"] = evil
    evaluation["monthly"][0]["month"] = evil
    page = render(evaluation)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 10


@pytest.mark.parametrize("case", CASES)
def test_page_is_small_asks_for_nothing_and_runs_nothing(case: str) -> None:
    html = page_of(case)
    page = Page(html)
    assert len(html.encode()) < 300_000
    assert page.loads == ["data:,"]  # the empty icon, so that no browser asks for one
    assert not re.search(r"https?:|@import|url\((?!#)", html)
    assert not page.tags & {"script", "img", "iframe", "object", "embed"}
    assert len(page.ids) == len(set(page.ids))


def test_same_evaluation_gives_same_bytes_in_another_process_and_is_left_alone() -> None:
    evaluation = later_evaluation()
    before = copy.deepcopy(evaluation)
    page = render(evaluation)
    assert evaluation == before
    code = (
        "import json, sys; from pipeline.evaluation.report import render; print(render(json.load(sys.stdin)), end='')"
    )
    again = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(evaluation),
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONIOENCODING": "utf-8", "TZ": "Asia/Tokyo"},
        check=True,
    )
    assert again.stdout == page


def test_missing_metric_is_a_dash_and_missing_figures_are_explained() -> None:
    evaluation = with_little() | {"monthly": []}
    evaluation["reliability"]["candidate"] = []
    text = Page(render(evaluation)).text
    assert "AUC – – –" in text
    assert "Do predictions come true" not in text
    for words in ("No month has enough games", "No row broke a rule"):
        assert words in text


def test_the_margin_to_a_champion_is_drawn() -> None:
    assert "margin +0.0020" in render(later_evaluation())
    assert "margin" not in Page(render(first_evaluation())).text


def test_no_label_of_an_axis_is_rounded() -> None:
    """Ticks stand at even distances, so their labels must too."""
    bars = [
        report_figures.DrawnDifference("Elo-logistic", -0.0045, -0.0071, end, 0.0, "limit") for end in (0.0002, 0.0111)
    ]
    svgs = [report_figures.differences([bar], "") for bar in bars]
    svgs += [
        report_figures.monthly(months(champion=True)[:n], "log loss", report_figures.names("Elo-logistic"), "")
        for n in (1, 2, 12)
    ]
    for svg in svgs:
        labels = re.findall(r"text-anchor: (?:middle|end)[^>]*>(−?0\.\d+)</text>", svg)
        numbers = [float(label.replace("−", "-")) for label in labels if label != "−0.0045"]
        gaps = {round(b - a, 6) for a, b in pairwise(numbers)}
        assert len(numbers) > 2
        assert len(gaps) == 1, labels


def test_signed_numbers_use_prints_minus() -> None:
    assert [report_figures.signed(x) for x in (-0.0045, 0.002, 0.0, -0.00001)] == [
        "−0.0045",
        "+0.0020",
        "0.0000",
        "0.0000",
    ]


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("case", CASES)
def test_browser_shows_it_whole_without_a_request_or_an_error(
    browser: Any, tmp_path: Path, case: str, width: int
) -> None:
    file = tmp_path / "report.html"
    file.write_text(page_of(case), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 800})
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri())
    overflow, visible = page.evaluate(
        """() => [document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth,
                  [...document.querySelectorAll('svg.figure')].map(x => x.checkVisibility() && x.clientWidth)]"""
    )
    smallest = page.evaluate(
        """() => Math.min(...[...document.querySelectorAll('svg.figure')].map(
                   x => 9.5 * x.clientWidth / x.viewBox.baseVal.width))"""
    )
    page.close()
    assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]
    assert errors == []
    assert overflow <= 0
    assert len(visible) == 3
    assert min(visible) > 250
    assert smallest > 9  # pixels: what a phone shows can be read


def test_print_opens_what_is_folded(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page_of("many"), encoding="utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    height = "() => document.querySelectorAll('details')[1].getBoundingClientRect().height"
    folded = page.evaluate(height)
    page.emulate_media(media="print")
    opened = page.evaluate(height)
    page.close()
    assert folded < 60
    assert opened > 100 * 12  # a line for each of 100 files
