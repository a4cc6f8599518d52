"""The price table: complete, dated, and honest about what is not verified."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from pipeline.contract.code_version import definition_file
from pipeline.cost.prices import PRICES_FILE, PriceError, load_prices
from pipeline.cost.run_cost import jobs


def test_each_price_has_a_source_and_a_date_if_it_is_verified() -> None:
    prices = load_prices()
    date.fromisoformat(prices.as_of)
    each = [*prices.prices.values(), *(price for m in prices.instances.values() for price in m.hourly.values())]
    for price in each:
        assert price.usd > 0
        assert price.source
        assert (price.seen is not None) == price.verified, price.source


def test_the_default_machines_have_verified_prices() -> None:
    """The lines that a default run consists of must not rest on memory."""
    definition = json.loads(definition_file("nba").read_text(encoding="utf-8"))
    prices = load_prices()
    assert all(prices.instance(job.instance).price(job.kind).verified for job in jobs(definition))


def test_a_machine_without_a_price_is_named_with_the_nearest_one() -> None:
    with pytest.raises(PriceError, match=r"ml\.m5\.larg \(did you mean ml\.m5\.large\?\): add it to pipeline/cost/"):
        load_prices().instance("ml.m5.larg")
    with pytest.raises(PriceError, match=r"ml\.t2\.medium has no price for training"):
        load_prices().instance("ml.t2.medium").price("training")


@pytest.mark.parametrize("use", ["processing", "training"])
def test_sagemaker_knows_the_machines(use: str) -> None:
    """Each type that has a price for a use is one that SageMaker's own model allows for it."""
    import botocore.session

    shape = {"processing": "ProcessingInstanceType", "training": "TrainingInstanceType"}[use]
    allowed = botocore.session.get_session().get_service_model("sagemaker").shape_for(shape).enum
    assert {name for name, machine in load_prices().instances.items() if use in machine.hourly} <= set(allowed)


def test_the_table_is_read_from_any_file(tmp_path: Path) -> None:
    table = json.loads(PRICES_FILE.read_text(encoding="utf-8"))
    table["prices"]["key_month"]["usd"] = 7
    (tmp_path / "prices.json").write_text(json.dumps(table), encoding="utf-8")
    assert load_prices(tmp_path / "prices.json")["key_month"].usd == 7
