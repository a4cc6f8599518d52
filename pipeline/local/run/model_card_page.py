"""A model card as a page that people read and file, without scripts or other files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "h2{margin-top:2rem;border-bottom:1px solid #d0d7de}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;overflow-wrap:anywhere}"
    "th{font-weight:600;width:15rem}td.number{white-space:nowrap;font-variant-numeric:tabular-nums}"
    "tr+tr{border-top:1px solid #eaeef2}"
)


def render_card(card: Mapping[str, Any]) -> str:
    """The content of a model card (pipeline.contract.model_card) as HTML; the same card gives the same page."""
    name = card["additional_information"]["custom_details"]["system_version"]
    body = "".join(part for section, value in card.items() for part in _section(_words(section), value))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>Model card: {escape(name)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>Model card: {escape(name)}</h1>{body}</body></html>\n"
    )


def _section(title: str, value: Any) -> Iterator[str]:  # noqa: ANN401 - any part of a card
    if title == "Evaluation details":
        for evaluation in value:
            yield f"<h2>{escape(evaluation['name'])}</h2>{_table(_rows(evaluation, but=('name', 'metric_groups')))}"
            for group in evaluation["metric_groups"]:
                yield f"<h3>{escape(group['name'])}</h3>{_table(map(_metric, group['metric_data']))}"
    else:
        yield f"<h2>{escape(title)}</h2>{_table(_rows(value))}"


def _rows(values: Mapping[str, Any], but: tuple[str, ...] = ()) -> Iterator[str]:
    """A row for each text, also of the mappings and lists within."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _rows(value)
        elif name == "user_provided_hyper_parameters":
            yield from _rows({entry["name"]: entry["value"] for entry in value})
        elif name not in but:
            text = ", ".join(value) if isinstance(value, list) else str(value)
            yield f"<tr><th>{escape(_words(name))}</th><td>{escape(text)}</td></tr>"


def _metric(metric: Mapping[str, Any]) -> str:
    value = metric["value"]
    shown = f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
    return (
        f'<tr><th>{escape(metric["name"])}</th><td class="number">{shown}</td><td>{escape(metric["notes"])}</td></tr>'
    )


def _table(rows: Iterator[str]) -> str:
    return f"<table>{''.join(rows)}</table>"


def _words(name: str) -> str:
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]
