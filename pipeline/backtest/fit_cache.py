"""Fitted models and their predictions on disk, by content: `fits/<key>.ubj` and `matrices/<key>.npy`.

A write is complete or absent, so an interrupted backtest resumes where it stopped, and two at once do no harm.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import get_ident
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.code_version import code_version, digest_of
from pipeline.training import linear, logistic, model, training_sets
from pipeline.training.lean_xgboost import xgb
from pipeline.training.model import Hyperparameters

_PARTIAL: Final = ".partial-"
_DAY_SECONDS: Final = 86_400


def digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def fit_code() -> str:
    """Digest of all that `fit` and `predict` are made of: its source files and the versions beneath."""
    modules = (model, linear, logistic, training_sets)
    sources = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in modules]
    return digest(*(_without_words(source) for source in sources), xgb.__version__, np.__version__)


def judging_code(workload: str) -> str:
    """Digest of what judges fits and predicts on an old state: the code of the steps, and the backtest's own."""
    own = Path(__file__).parent
    return digest(code_version(workload), digest_of(sorted(own.glob("*.py")), own))


def _without_words(source: str) -> str:
    """The program without comments and docstrings: a better word must not cost a thousand fits."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


class FitCache:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._code = fit_code()
        for path in folder.glob(f"matrices/{_PARTIAL}*"):  # of a killed backtest: a matrix may be a gigabyte
            if time.time() - path.stat().st_mtime > _DAY_SECONDS:
                path.unlink(missing_ok=True)

    def key(self, rows_digest: str, hyperparameters: Hyperparameters) -> str:
        """The key of a fit: equal for equal rows, training config and code."""
        return digest(rows_digest, json.dumps(asdict(hyperparameters), sort_keys=True), self._code)

    def path(self, key: str) -> Path:
        return self.folder / "fits" / key[:2] / f"{key[2:]}.ubj"

    def load(self, key: str) -> xgb.Booster | None:
        """The fit, or None; a file that cannot be read counts as missing."""
        try:
            content = self.path(key).read_bytes()
            booster = xgb.Booster()
            booster.load_model(bytearray(content))
        except (OSError, xgb.core.XGBoostError):
            return None
        return booster

    def save(self, key: str, booster: xgb.Booster) -> None:
        with whole_or_absent(self.path(key)) as partial:
            partial.write_bytes(booster.save_raw("ubj"))

    def matrix(self, name: str, key: str) -> Path:
        return self.folder / "matrices" / f"{name}-{key[:24]}.npy"

    def load_arrays(self, name: str, key: str) -> Mapping[str, NDArray[Any]] | None:
        try:
            with np.load(self.matrix(name, key).with_suffix(".npz"), allow_pickle=False) as file:
                return dict(file)
        except (OSError, ValueError, EOFError):
            return None

    def save_arrays(self, name: str, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        with whole_or_absent(self.matrix(name, key).with_suffix(".npz")) as partial:
            np.savez(partial, **arrays)  # type: ignore[arg-type]


@contextmanager
def whole_or_absent(target: Path) -> Iterator[Path]:
    """A file to write in place of `target`, which it becomes at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{_PARTIAL}{os.getpid()}-{get_ident()}-{target.name}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
