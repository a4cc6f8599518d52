"""XGBoost sees no model that asks for more than a model can; and what XGBoost writes passes."""

from __future__ import annotations

import random

import numpy as np
import pytest

from pipeline.training import ubjson
from pipeline.training.lean_xgboost import xgb
from pipeline.training.ubjson import MAX_VALUES, check_ubjson

KEY = b"{L" + (1).to_bytes(8) + b"a"
MANY = (1 << 40).to_bytes(8)


def model(**parameters: object) -> bytes:
    rng = np.random.default_rng(1)
    rows = xgb.DMatrix(rng.random((200, 3)), rng.random(200) > 0.5, feature_names=["a", "b", "c"])
    return bytes(xgb.train({"objective": "binary:logistic", **parameters}, rows, 20).save_raw("ubj"))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"booster": "gblinear"},
        {"booster": "dart"},
        {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.9]},
    ],
)
def test_models_pass(parameters: dict[str, object]) -> None:
    check_ubjson(model(**parameters))


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (KEY + b"[" + b"Z" * (MAX_VALUES + 1), "it has more than 1,000,000 values outside typed arrays"),
        (KEY + b"[#L" + MANY, "it has more than 1,000,000 values outside typed arrays"),
        (KEY + b"[$d#L" + MANY, "byte 12 says that 1,099,511,627,776 values follow, and it ends before"),
        (KEY * 65, "it has more than 64 containers in each other"),
        (KEY + b"[" * 65, "it has more than 64 containers in each other"),
        (KEY + b"H", "byte 11 is the mark of no value"),
        (b"{L" + b"\xff" * 8, "byte 1 is no length"),
        (b"{i\x01ai\x01}" * 2, "byte 1 is no length"),
        (KEY, "it ends too early"),
        (KEY + b"[Z}", "byte 13 is the mark of no value"),
    ],
)
def test_what_no_model_holds_is_refused_before_it_is_parsed(document: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        check_ubjson(document)


def test_the_limit_counts_each_key_and_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ubjson, "MAX_VALUES", 5)  # the object, a key, the array, two values
    check_ubjson(KEY + b"[ZT]}")
    check_ubjson(KEY + b"[#L" + (2).to_bytes(8) + b"ZT}")
    check_ubjson(KEY + b"[$d#L" + (9).to_bytes(8) + bytes(36) + b"}")
    with pytest.raises(ValueError, match="more than 5 values"):
        check_ubjson(KEY + b"[ZTF]}")


def test_a_document_that_is_cut_anywhere_is_refused_and_a_changed_byte_never_ends_in_another_error() -> None:
    whole = model()
    rng = random.Random(1)  # noqa: S311 - the same damage each time
    for place in rng.sample(range(len(whole)), 300):
        with pytest.raises(ValueError):
            check_ubjson(whole[:place])
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.randrange(8)
        try:
            check_ubjson(changed)
        except ValueError:
            continue
