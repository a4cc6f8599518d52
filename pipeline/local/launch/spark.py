"""What AggregateOnSpark needs on this machine, checked before anything runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pipeline.contract.code_version import PACKAGE, digest_of
from pipeline.contract.names import NO_FOLDER
from pipeline.contract.workload import default_workload
from pipeline.local.launch.container_runtime import require_image
from pipeline.local.plan.expressions import Value
from pipeline.local.plan.parameters import PlanError

SPARK_IMAGE: Final = "retraining-spark:local"
SPARK_BUILD: Final = "make spark-image"
_IMAGE_FILES: Final = ("Dockerfile", "requirements.txt", "wheel/requirements.txt", "smspark_submit.py")
_COUNT: Final = "AggregateInstanceCount"


def spark_folder() -> Path:
    """That of this process's workload; its bin/ holds the replacement of SageMaker's smspark-submit."""
    return PACKAGE / "workloads" / default_workload() / "spark"


def wants_spark(parameters: Mapping[str, Value]) -> bool:
    """Whether a run with these parameters aggregates its extra input on a cluster."""
    return parameters.get("EventsPrefix", NO_FOLDER) != NO_FOLDER and parameters.get(_COUNT, 1) != 1


def require_spark_here() -> None:
    """Raises PlanError where Spark cannot run in child processes."""
    missing = [] if find_spec("pyspark") else ["pyspark: make setup"]
    java = Path(os.environ.get("JAVA_HOME", "")) / "bin" / "java"
    if not shutil.which("java") and not ("JAVA_HOME" in os.environ and java.exists()):
        missing.append("Java 17: sudo apt-get install openjdk-17-jre-headless")
    if missing:
        raise PlanError(
            f"{_COUNT} above 1 aggregates with Spark, which lacks something here ({'; '.join(missing)}); with "
            f"{_COUNT}=1 DuckDB does it"
        )


def require_spark_image(name: str) -> None:
    """Raises ContainerRuntimeError where the image for containers is missing, or was built from other files."""
    require_image(name, spark_image_content(), SPARK_BUILD)


def spark_image_content() -> str:
    folder = spark_folder()
    return digest_of((folder / name for name in _IMAGE_FILES), folder)
