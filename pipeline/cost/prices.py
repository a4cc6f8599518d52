"""The dated price table: list prices of one region, each with its source, date, and whether it was verified."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

PRICES_FILE: Final = Path(__file__).with_name("prices.json")
SECONDS_A_MONTH: Final = 30 * 24 * 3600


class PriceError(ValueError):
    """A missing price; the message lists the known ones, and where to add it."""


@dataclass(frozen=True)
class Price:
    """US dollars for one unit. `seen`: when the quotation was made; None if it is not verified."""

    usd: float
    verified: bool
    seen: str | None
    source: str


@dataclass(frozen=True)
class InstanceType:
    """An instance type. `speed`: the share of a core of the measuring machine that one of its vCPUs gives (at least).

    1 is that core. Hyperthreads of M5 and C5 share a core, so 0.7 and 0.8; a T3 without credits falls back to its
    baseline, 20 % of a vCPU (medium) or 30 % (large): docs.aws.amazon.com/AWSEC2/latest/UserGuide,
    burstable-credits-baseline-concepts. `hourly` is by use: processing, training, hosting.
    """

    name: str
    memory_gib: float
    speed: float
    hourly: Mapping[str, Price]

    def price(self, use: str) -> Price:
        """Dollars an hour; raises PriceError for a use that the table has no price for."""
        if use not in self.hourly:
            raise PriceError(f"{self.name} has no price for {use}: {_add_it()}")
        return self.hourly[use]


@dataclass(frozen=True)
class Prices:
    region: str
    as_of: str
    instances: Mapping[str, InstanceType]
    prices: Mapping[str, Price]

    def instance(self, name: str) -> InstanceType:
        """An instance type; raises PriceError that names those of the table."""
        if name not in self.instances:
            raise PriceError(f"no price for instance {name}{_hint(name, self.instances)}: {_add_it()}")
        return self.instances[name]

    def __getitem__(self, name: str) -> Price:
        """The price of a unit, such as `key_month`."""
        return self.prices[name]


def load_prices(path: Path = PRICES_FILE) -> Prices:
    table = json.loads(path.read_text(encoding="utf-8"))
    instances = {
        name: InstanceType(name, entry["memory_gib"], entry["speed"], _priced(entry["hourly"]))
        for name, entry in table["instances"].items()
    }
    return Prices(table["region"], table["as_of"], instances, _priced(table["prices"]))


def _priced(entries: Mapping[str, Any]) -> dict[str, Price]:
    return {name: Price(**entry) for name, entry in entries.items()}


def _hint(name: str, known: Mapping[str, InstanceType]) -> str:
    close = get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else f" (there are {', '.join(known)})"


def _add_it() -> str:
    return f"add it to pipeline/cost/{PRICES_FILE.name} from https://aws.amazon.com/sagemaker-ai/pricing/"
