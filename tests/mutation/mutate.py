"""`make mutation [ONLY=gates]`: are one-change mutants of the code that decides noticed by its fast tests?

Prints the share noticed per module. Fails where it is below MIN_SHARE, for a survivor that survivors.toml does not list
with the reason why it is equivalent, and for an entry there that no survivor fits any more.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SURVIVORS = Path(__file__).with_name("survivors.toml")
RESULT = "mutants.json"
MIN_SHARE = 0.95
SPINNER = re.compile("[\u2800-\u28ff]")
# The code that decides, each module with its own tests: those that take seconds.
MODULES: Mapping[str, tuple[str, ...]] = {
    "pipeline/contract/gates.py": ("tests/pipeline/contract/test_gates.py",),
    "pipeline/contract/promotion.py": ("tests/pipeline/contract/test_promotion.py",),
    "pipeline/contract/retrain_policy.py": (
        "tests/pipeline/contract/test_retrain_policy.py",
        "tests/pipeline/contract/test_registration_rule.py",
    ),
    "pipeline/evaluation/evaluation.py": ("tests/pipeline/evaluation/test_evaluation_numbers.py",),
    "pipeline/evaluation/metrics.py": (
        "tests/pipeline/evaluation/test_metrics.py",
        "tests/pipeline/evaluation/test_evaluation_numbers.py",
    ),
    "pipeline/evaluation/retrain_decision.py": ("tests/pipeline/evaluation/test_retrain_decision.py",),
    "pipeline/local/store/registry.py": ("tests/pipeline/local/test_local_registry.py",),
    "pipeline/local/store/local_champion.py": ("tests/pipeline/local/test_local_champion.py",),
    "infra/approval/function/handler.py": (
        "tests/infra/test_approval_function.py",
        "tests/infra/test_reconcile_champion.py",
        "tests/infra/test_model_cards.py",
    ),
    "infra/lambda_shared/registry.py": ("tests/infra/test_registry.py",),
    "infra/lambda_shared/reconcile_champion.py": (
        "tests/infra/test_reconcile_champion.py",
        "tests/infra/test_approval_function.py",
    ),
    "infra/foundation/permissions.py": ("tests/infra/test_statements.py",),
    "infra/approval/function/monitor_metrics.py": ("tests/infra/test_monitor_metrics.py",),
    "infra/lambda_shared/environment.py": ("tests/infra/test_lambda_metrics.py",),
    "infra/endpoint/function/desired_endpoint.py": ("tests/infra/test_desired_endpoint.py",),
    "infra/teardown/function/handler.py": ("tests/infra/test_teardown_calls.py",),
}
# Each mutant of these imports all anew, which takes a while: forks cannot share the process of the CDK.
COLD = ("infra/foundation/permissions.py",)


@dataclass(frozen=True)
class Mutant:
    """One change of a function: its lines before and after, and what mutmut says of the tests."""

    function: str
    was: str
    becomes: str
    status: str

    @property
    def noticed(self) -> bool:
        """Whether the tests failed, or did not end."""
        return self.status in ("killed", "timeout", "segfault")


def configured(root: Path, module: str, tests: Iterable[str]) -> str:
    """The project's pyproject.toml, and which module mutmut is to work on."""
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    warm_up = 'forkserver_warmup = "none"\ntimeout_constant = 20\n' if module in COLD else ""
    return f"{project}only_mutate = {[module]}\npytest_add_cli_args_test_selection = {list(tests)}\n{warm_up}"


def mutants_of(module: str, tests: Iterable[str], root: Path = ROOT) -> list[Mutant]:
    """Every mutant of a module; raises CalledProcessError where its tests fail without a change."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        for entry in root.iterdir():
            if entry.name != "pyproject.toml" and not entry.name.startswith("."):
                (folder / entry.name).symlink_to(entry)
        (folder / "pyproject.toml").write_text(configured(root, module, tests), encoding="utf-8")
        command = [sys.executable, str(Path(__file__).with_name("mutants.py"))]
        ran = subprocess.run(command, cwd=folder, check=False, stdout=subprocess.PIPE, text=True)
        if ran.returncode:
            print(*(line for line in ran.stdout.splitlines() if not SPINNER.match(line)), sep="\n")
            ran.check_returncode()
        return [Mutant(**entry) for entry in json.loads((folder / RESULT).read_text(encoding="utf-8"))]


def unexplained(module: str, mutants: Iterable[Mutant], accepted: Iterable[Mapping[str, str]]) -> list[str]:
    """The survivors of a module without a reason, and the reasons without a survivor, each in words."""
    survivors = {(mutant.function, mutant.was, mutant.becomes) for mutant in mutants if not mutant.noticed}
    known = {(e["function"], e["was"], e["becomes"]): e["reason"] for e in accepted if e["module"] == module}
    entry = "[[survivor]]\nmodule = {}\nfunction = {}\nwas = {}\nbecomes = {}\n"
    new = [entry.format(*map(json.dumps, (module, *change))) for change in sorted(survivors - known.keys())]
    stale = [
        f"{module}, {change[0]}: no longer survives, so remove it: {change[2]}" for change in known.keys() - survivors
    ]
    silent = [
        f"{module}, {change[0]}: give a reason: {change[2]}" for change, reason in known.items() if not reason.strip()
    ]
    return new + sorted(stale) + silent


def row(name: str, mutants: Collection[Mutant], seconds: float) -> str:
    """One line of the table."""
    statuses = Counter(mutant.status for mutant in mutants)
    return (
        f"{name:42} {sum(m.noticed for m in mutants):5} of {len(mutants):5}  {share(mutants):6.1%}  {seconds:5.0f} s, "
        f"{statuses['timeout']} timeouts"
    )


def share(mutants: Collection[Mutant]) -> float:
    """Of the mutants that are noticed."""
    return sum(mutant.noticed for mutant in mutants) / max(len(mutants), 1)


def main(only: str) -> int:
    """The exit code: 0 where enough is noticed and the rest is explained."""
    accepted = tomllib.loads(SURVIVORS.read_text(encoding="utf-8")).get("survivor", [])
    chosen = [module for module in MODULES if only in module]
    problems = [f"no module of this list is called {only}: {', '.join(MODULES)}"] if not chosen else []
    for module in chosen:
        start = time.monotonic()
        mutants = mutants_of(module, MODULES[module])
        print(row(module, mutants, time.monotonic() - start), flush=True)
        problems += unexplained(module, mutants, accepted)
        if share(mutants) < MIN_SHARE:
            problems.append(f"{module}: less than {MIN_SHARE:.0%} noticed")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main("".join(sys.argv[1:2])))
