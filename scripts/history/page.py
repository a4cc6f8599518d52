"""The page of runs: self-contained HTML that asks for nothing and runs no script."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pipeline.contract.history.runs import FAILED, RunEntry, changes
from pipeline.contract.history.versions import Service, services
from pipeline.evaluation.report_words import capitalized, page_template
from scripts.history import figures, words
from scripts.history.history import RunHistory

TEMPLATE: Final = Path(__file__).with_name("runs.html.j2")


def render(history: RunHistory, runs: Sequence[RunEntry], folder: Path) -> str:
    """The page about `runs` (newest first, at least one), whose links are relative to `folder`, where it will be."""
    oldest_first = list(reversed(runs))
    loss = next((run.loss for run in runs if run.loss), "loss")
    rows = next((run.rows for run in runs if run.rows), "rows")
    span = (oldest_first[0].started_at, max(run.ended_at or run.started_at for run in runs))
    served = [s for s in services(history.events) if s.until is None or s.until >= span[0]]
    shown = [_shown(history, run, folder) for run in runs]
    return page_template(TEMPLATE, moment=words.moment).render(
        name=history.name,
        runs=shown,
        failed=[row for row in shown if row["run"].status == FAILED],
        alarmed=[row for row in shown if row["run"].alarms],
        services=list(reversed(served)),
        loss=loss,
        rows=rows,
        span=span,
        n_registered=sum(run.version is not None for run in runs),
        champion=history.champion,
        faults=history.faults,
        losses_figure=figures.losses(oldest_first, loss, span, f"{capitalized(loss)} of candidate and champion by run")
        if any(run.candidate_loss is not None for run in runs)
        else "",
        services_figure=figures.in_service(served, with_services(span, served), "Versions in service")
        if served
        else "",
        volume_figure=figures.volume(oldest_first, rows, span, f"{capitalized(rows)} that each run has read")
        if any(run.data for run in runs)
        else "",
    )


def with_services(span: tuple[float, float], served: Sequence[Service]) -> tuple[float, float]:
    """The span with what came after the newest run: mostly, its version is approved when it has ended."""
    return span[0], max(span[1], *(s.since if s.until is None else s.until for s in served))


def _shown(history: RunHistory, run: RunEntry, folder: Path) -> dict[str, Any]:
    link, before = history.link(run), history.before(run)
    if link and "://" not in link:
        link = quote(os.path.relpath(link, folder))
    return {
        "run": run,
        "link": link,
        "took": words.lasting(run),
        "version": words.approval(run, history.approval(run)) if run.version is not None else "–",
        "changed": changes(before, run) if before else {},
        "cost": history.cost(run),
    }
