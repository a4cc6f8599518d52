"""The one module that an exported MLflow model brings to the process that loads it: the code to serve it is in a ZIP.

One file instead of a hundred uploads and downloads. MLflow copies this module into the model, and calls _load_pyfunc.
"""

from __future__ import annotations

import atexit
import importlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

CODE_FILE: Final = "pipeline.zip"


def _load_pyfunc(data_path: str) -> Any:  # noqa: ANN401 - the class is in the ZIP
    """Raises StepError for a model that is damaged, or that the code which is loaded already cannot serve."""
    folder = tempfile.mkdtemp(prefix="model-code-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.unpack_archive(Path(data_path) / CODE_FILE, folder)
    sys.path.insert(0, folder)
    workloads = importlib.import_module("pipeline.workloads")
    # A model of another workload was loaded before: its code is the same but for this folder.
    workloads.__path__ = [*workloads.__path__, str(Path(folder) / "pipeline" / "workloads")]
    return importlib.import_module("pipeline.serving.mlflow_model").open_model(Path(data_path))
