"""Team codes of a request to the numbers of a model's league state."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from pipeline.workloads.nba.game_data.franchise_spans import CodeSpan, known_spans


class Teams:
    """The teams that a model knows: those with games in its data, by the codes that they have in a season."""

    def __init__(self, franchises: Sequence[str], spans: Sequence[CodeSpan] | None = None) -> None:
        """`franchises` by number."""
        self._numbers = {franchise: number for number, franchise in enumerate(franchises)}
        self._by_code: dict[str, list[CodeSpan]] = {}
        for span in sorted(spans or known_spans(), key=lambda span: span.code):
            if span.franchise in self._numbers:
                self._by_code.setdefault(span.code, []).append(span)

    def number(self, code: str, season: int) -> int | None:
        """The team's number; None for a code that means no team in that season."""
        for span in self._by_code.get(code, ()):
            if span.covers(season):
                return self._numbers[span.franchise]
        return None

    def codes(self, season: int) -> dict[str, str]:
        """Code and name of each team of a season."""
        spans = (span for spans in self._by_code.values() for span in spans)
        return {span.code: span.name for span in spans if span.covers(season)}

    def hint(self, code: str, season: int) -> str:
        """The codes that may have been meant, or all."""
        codes = self.codes(season)
        upper = [code.upper()] if code.upper() in codes else []
        moved = {self._numbers[span.franchise] for span in self._by_code.get(code, ())}
        now = [other for other in codes if self.number(other, season) in moved]
        by_name = [other for other, name in codes.items() if len(code) > 2 and code.lower() in name.lower()]
        close = upper or now or by_name or get_close_matches(code.upper(), codes, n=3, cutoff=0.5)
        if close:
            return f"; did you mean {' or '.join(f'{close} ({codes[close]})' for close in close[:3])}?"
        return f"; its teams are {', '.join(codes)}" if codes else ""
