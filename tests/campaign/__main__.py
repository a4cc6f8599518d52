"""Tamper with the files, models, requests, events and writes of the pipeline, and say what becomes of each.

    python tests/campaign --seed 1 --rounds 20

(`python -m tests.campaign` would find the package of that name which a dependency of the SageMaker SDK installs.)
20 rounds are some 1,800 folders of game files, 740 models, 2,500 requests, 2,000 worlds and 200 writes.
A table on stdout, progress and bad outcomes on stderr; exit code 1 where an outcome is bad. docs/reliability.md.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from areas import AREAS
from file_mutations import LIMITS
from outcomes import BAD, Case, Outcome

STUCK_SECONDS = 120


def main(argv: Sequence[str] | None = None) -> int:
    """The campaign's exit code."""
    parser = argparse.ArgumentParser(
        prog="python tests/campaign", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed tampers in the same way")
    parser.add_argument("--rounds", type=int, default=1, help="how often each kind is tried")
    parser.add_argument("--only", choices=AREAS, help="one area")
    parser.add_argument("--kinds", action="store_true", help="a line for each kind of mutation")
    arguments = parser.parse_args(argv)
    cases: list[Case] = []
    with tempfile.TemporaryDirectory() as folder:
        for area in [arguments.only] if arguments.only else AREAS:
            for case in AREAS[area](arguments.seed, arguments.rounds, Path(folder) / area):
                watch()
                cases.append(case)
                report(case, len(cases))
    faulthandler.cancel_dump_traceback_later()
    print("\n".join([*table(cases, by_kind=arguments.kinds), "", *limits(cases)]))  # noqa: T201
    return int(any(case.outcome in BAD for case in cases))


def watch() -> None:
    """Ends the program with a traceback where a case is stuck in code that no signal interrupts."""
    faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True)


def report(case: Case, number: int) -> None:
    """Progress, and what is bad, to stderr."""
    if case.outcome in BAD:
        sys.stderr.write(f"{case.outcome}: {case.name}: {case.detail}\n")
    elif number % 100 == 0:
        sys.stderr.write(f"{number:,} cases, {case.name}\n")


def table(cases: Iterable[Case], *, by_kind: bool = False) -> list[str]:
    """How many cases had which outcome, by area or by kind, in Markdown."""
    rows: dict[str, Counter[Outcome]] = {}
    for case in cases:
        rows.setdefault(": ".join(case.kind) if by_kind else case.kind[0], Counter())[case.outcome] += 1
    lines = [["tried", "cases", *Outcome], ["---", *["---:"] * (1 + len(Outcome))]]
    lines += [
        [name, *(f"{n:,}" for n in (found.total(), *(found[outcome] for outcome in Outcome)))]
        for name, found in rows.items()
    ]
    return [f"| {' | '.join(line)} |" for line in lines]


def limits(cases: Iterable[Case]) -> list[str]:
    """The known limits that were met: kind, how often, and why nothing tells."""
    kinds = [case.kind[1] for case in cases if case.outcome == Outcome.LIMIT]
    return [f"- {kind} ({count:,}): {LIMITS[kind]}" for kind, count in Counter(kinds).items()]


if __name__ == "__main__":
    sys.exit(main())
