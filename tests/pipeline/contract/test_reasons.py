"""Reasons as people read them."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract.container import json_text
from pipeline.contract.reasons import counted, printable, public_paths, readable, shorten

REQUEST = {
    "ProcessingInputs": [
        {"S3Input": {"LocalPath": "/opt/ml/processing/input/data", "S3Uri": "s3://data/games/"}},
        {"S3Input": {"LocalPath": "/opt/ml/processing/input", "S3Uri": "s3://data/all"}},
    ],
    "ProcessingOutputConfig": {
        "Outputs": [{"S3Output": {"LocalPath": "/opt/ml/processing/output/report", "S3Uri": "s3://artifacts/runs/1/r"}}]
    },
}


def container(folder: Path, request: object) -> Path:
    (folder / "config").mkdir()
    (folder / "config/processingjobconfig.json").write_text(json.dumps(request))
    return folder


def test_folders_of_the_container_become_locations(tmp_path: Path) -> None:
    base = container(tmp_path, REQUEST)
    text = f"{base}/processing/input/data holds nothing; see /opt/ml/processing/output/report/quarantine.csv"
    assert public_paths(text, base) == "s3://data/games holds nothing; see s3://artifacts/runs/1/r/quarantine.csv"


def test_what_is_no_processing_job_keeps_its_paths(tmp_path: Path) -> None:
    text = f"{tmp_path}/processing/input/data holds nothing"
    assert public_paths(text, tmp_path) == text
    assert public_paths(text, container(tmp_path, ["no", "request"])) == text


@pytest.mark.parametrize(("local", "uri"), [("/opt/ml/processing/input/data", "file:///x"), ("/elsewhere", "s3://x")])
def test_links_of_local_mode_and_folders_elsewhere_name_no_place(tmp_path: Path, local: str, uri: str) -> None:
    request = {"ProcessingInputs": [{"S3Input": {"LocalPath": local, "S3Uri": uri}}]}
    text = "/opt/ml/processing/input/data holds nothing"
    assert public_paths(text, container(tmp_path, request)) == text


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert printable("a\x1b[2J\x07é\u202e\nb") == r"a\x1b[2J\x07é\u202e b"


@given(st.text(), st.integers(100, 2000))
def test_a_reason_fits_and_keeps_its_ends(text: str, limit: int) -> None:
    text = printable(text) * 20 + "; do this"
    short = shorten(text, limit)
    assert len(short.encode()) <= limit
    assert short.endswith("; do this")
    assert short == text or short.encode().startswith(text[:20].encode()[: limit // 2 - 10])


def test_a_long_reason_keeps_its_remedy(tmp_path: Path) -> None:
    reason = readable("a.csv, line 2: " + "é" * 5000 + "; correct the file", tmp_path)
    assert reason.startswith("a.csv, line 2: é") and reason.endswith("é; correct the file")
    assert len(reason.encode()) <= 1024


def test_a_record_is_json_whatever_a_workload_has_put_into_it() -> None:
    content = {"n": np.int64(3), "p": np.float32(0.5), "none": [math.nan, -math.inf], 2: (np.bool_(True),)}
    content |= {"array": np.array([1.0, np.nan]), "day": date(2024, 2, 29), "text": "é"}
    assert json.loads(json_text(content)) == {
        **{"n": 3, "p": 0.5, "none": [None, None], "2": [True], "array": [1.0, None]},
        **{"day": "2024-02-29", "text": "é"},
    }


def test_one_is_no_plural() -> None:
    assert [counted(n, "row") for n in (0, 1, 1_000)] == ["0 rows", "1 row", "1,000 rows"]
    assert counted(1, "game was", "games were") == "1 game was"
