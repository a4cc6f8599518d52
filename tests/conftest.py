"""What all tests share: where the project is, and where real games may be."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

ROOT = Path(__file__).resolve().parents[1]
REAL_GAMES = ROOT.parent / "shared" / "data" / "games"

# Each emulated account begins with a new session of boto3, which would read the services' descriptions again.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def real_games() -> Path:
    """The folder of real games; skips the test where it is missing."""
    if not REAL_GAMES.is_dir():
        pytest.skip("real games not found at ../shared/data")
    return REAL_GAMES


@pytest.fixture(scope="session")
def real_events() -> Path:
    """The folder of a real season's play-by-play; skips the test where it is missing."""
    folder = REAL_GAMES.with_name("play_by_play_2023")
    if not folder.is_dir():
        pytest.skip("real play-by-play not found at ../shared/data")
    return folder


@pytest.fixture(scope="session")
def definition() -> dict[str, Any]:
    """The committed definition."""
    return json.loads((ROOT / "pipeline" / "workloads" / "nba" / "definition.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def step_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stores of `new_store` keep results of steps, whichever process of these tests they belong to."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "step-results"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def new_store(step_results: Path) -> Callable[[Path], Path]:
    """Makes the empty store of a path: of a step that has run with the same code and inputs, it has the result."""

    def make(store: Path) -> Path:
        store.mkdir(parents=True)
        (store / "cache").symlink_to(step_results)
        return store

    return make


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Where everything is there to run every test (REQUIRE_ALL_TESTS), say that a skipped one fails the run."""
    if os.environ.get("REQUIRE_ALL_TESTS") and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("REQUIRE_ALL_TESTS is set, and tests were skipped: that is a failure", red=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Turn success with skipped tests into a failure where REQUIRE_ALL_TESTS is set."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("REQUIRE_ALL_TESTS") and reporter and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


TOGETHER = ("tests/containers/", "tests/cloud/")  # share one image and the engine; share one deployment
# What takes longest comes first, so that no worker is alone with it at the end.
FIRST = (
    *TOGETHER,
    "tests/test_new_workload.py",
    *(
        f"tests/pipeline/workloads/{name}.py"
        for name in ("nba/test_contract", "bike_demand/test_life", "churn/test_life")
    ),
    *(f"tests/scripts/{name}.py" for name in ("test_run_local", "test_run_local_events", "test_new_workload_command")),
    "tests/test_contract_tests.py",
)


class ByFile(LoadScopeScheduling):
    """The tests of a file run on one worker, and so share its fixtures; so do those of the folders in TOGETHER."""

    def _split_scope(self, nodeid: str) -> str:
        shared = [folder for folder in TOGETHER if nodeid.startswith(folder)]
        return shared[0] if shared else nodeid.split("::", maxsplit=1)[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        waiting = [unit for unit in FIRST if unit in self.workqueue]
        if waiting:
            self.workqueue.move_to_end(waiting[0], last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Let xdist keep files together (its own way to group tests does not work with this pytest)."""
    return ByFile(config, log)
