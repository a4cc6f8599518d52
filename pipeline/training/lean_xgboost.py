"""XGBoost without scikit-learn: `from pipeline.training.lean_xgboost import xgb`.

XGBoost imports scikit-learn where it finds it, for wrappers that nothing here uses. The image has none, but beside the
test tools it is installed, and would cost each step two seconds. A module that is None in `sys.modules` counts as not
installed; it is put back at once, for code that does want it.
"""

from __future__ import annotations

import sys

_NAME = "sklearn"
_hidden = _NAME not in sys.modules
if _hidden:
    sys.modules[_NAME] = None  # type: ignore[assignment] # documented: an import then raises ModuleNotFoundError
try:
    import xgboost as xgb
finally:
    if _hidden:
        del sys.modules[_NAME]

__all__ = ["xgb"]
