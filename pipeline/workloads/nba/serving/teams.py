"""Team codes of a request to the numbers of a model's league state."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from pipeline.workloads.nba.game_data.franchise_spans import CodeSpan, read_spans


class UnknownTeamError(ValueError):
    """A code that means no team of the model's league; the text names codes that come close."""


class Teams:
    """The teams that a model knows: those with games in its data, by the codes that they have in a season."""

    def __init__(self, franchises: Sequence[str], spans: Sequence[CodeSpan] | None = None) -> None:
        """`franchises` by number."""
        self._numbers = {franchise: number for number, franchise in enumerate(franchises)}
        known = [span for span in (spans if spans is not None else read_spans()) if span.franchise in self._numbers]
        self._by_code: dict[str, list[CodeSpan]] = {}
        for span in known:
            self._by_code.setdefault(span.code, []).append(span)

    def number(self, code: str, season: int) -> int:
        """The team's number; raises UnknownTeamError."""
        for span in self._by_code.get(code, ()):
            if span.first_season <= season <= span.last_season:
                return self._numbers[span.franchise]
        if not code:
            raise UnknownTeamError("is empty: name the team by its code")
        raise UnknownTeamError(f'"{code}" is no team of this model in season {season}{self._hint(code, season)}')

    def codes(self, season: int) -> dict[str, str]:
        """Code and name of each team of a season."""
        return {
            code: span.name
            for code, spans in sorted(self._by_code.items())
            for span in spans
            if span.first_season <= season <= span.last_season
        }

    def _hint(self, code: str, season: int) -> str:
        codes = self.codes(season)
        names = {name.lower(): code for code, name in codes.items()}
        by_name = [names[name] for name in names if len(code) > 2 and code.lower() in name]
        upper = [code.upper()] if code.upper() in codes else []
        moved = {self._numbers[span.franchise] for span in self._by_code.get(code, ())}
        now = [other for other in codes if self.number(other, season) in moved]
        close = upper or now or by_name or get_close_matches(code.upper(), codes, n=3, cutoff=0.5)
        if close:
            return f"; did you mean {' or '.join(f'{close} ({codes[close]})' for close in close[:3])}?"
        return f"; its teams are {', '.join(codes)}" if codes else ""
