"""Names that the definition, the steps, the runner, the scripts and the tests share. Standard library only.

A channel is a folder that a job reads or writes; its name is also the last part of its path in the container.
"""

from __future__ import annotations

from typing import Final

# --- columns of every table of rows, whatever the workload calls them ------------------------------------------------
ROW_ID: Final = "row_id"
TIME: Final = "time"  # the day of a row, or its moment
TARGET: Final = "target"  # null where it is not known yet

# --- columns of predictions, walk-forward or of upcoming rows --------------------------------------------------------
PREDICTION: Final = "prediction"
P_CONSTANT: Final = "constant"  # the mean of the targets before
TRAINED_BEFORE: Final = "trained_before"  # first day that the weights behind a prediction have not seen
CHAMPION_VERSION: Final = "champion_version"
AS_OF_DATE: Final = "as_of_date"
MODEL_USED: Final = "model"  # "champion", or "fallback" where no champion can score

# --- answers of the server -------------------------------------------------------------------------------------------
MODEL_VERSION: Final = "model_version"
STATE_DATE: Final = "state_date"  # the morning that the model's ratings and schedule are of
STATE_AGE_DAYS: Final = "state_age_days"
STALE: Final = "stale"  # older than STALE_AFTER_DAYS_VARIABLE allows
# how the endpoint tells its container
MODEL_VERSION_VARIABLE: Final = "MODEL_VERSION"
STALE_AFTER_DAYS_VARIABLE: Final = "STALE_AFTER_DAYS"

# --- channels and files -----------------------------------------------------------------------------------------------
DATA_CHANNEL: Final = "data"  # raw input files
CODE_CHANNEL: Final = "code"  # the step's own code, where its image is not ours
CHAMPION_CHANNEL: Final = "champion"  # the approved version's artifact and champion.json
EVALUATED_CHANNEL: Final = "evaluated"  # the last-evaluated record
FEATURES_CHANNEL: Final = "features"  # features of the labelled rows, and what has happened
UPCOMING_CHANNEL: Final = "upcoming"  # features of the rows to be predicted
REPORT_CHANNEL: Final = "report"  # data report and quarantine
MODEL_CHANNEL: Final = "model"  # model.tar.gz
EVALUATION_CHANNEL: Final = "evaluation"  # evaluation.json and report.html
PREDICTIONS_CHANNEL: Final = "predictions"
MONITOR_CHANNEL: Final = "monitor"  # the monitor's report on champion, features and data

FEATURES_FILE: Final = "features.parquet"
RESULTS_FILE: Final = "results.parquet"
UPCOMING_FILE: Final = "upcoming.parquet"
STATE_FILE: Final = "state.parquet"  # a workload's past as of the morning: beside the features, then within the model
PREPARED_FILE: Final = "prepared.json"
QUARANTINE_FILE: Final = "quarantine.csv"
MODEL_ARCHIVE: Final = "model.tar.gz"
MODEL_FILE: Final = "model.ubj"
QUANTILE_MODEL_FILE: Final = "quantiles.ubj"  # where the model predicts quantiles
MODEL_CARD_FILE: Final = "model.json"
WALK_FORWARD_FILE: Final = "walk_forward.parquet"
DIGESTS_FILE: Final = "SHA256SUMS"  # of the model's other files, as `sha256sum --check` reads it
MODEL_SHA256: Final = "model_sha256"  # of model.tar.gz: in evaluation.json and in a version's metadata
CHAMPION_FILE: Final = "champion.json"
EVALUATED_FILE: Final = "last_evaluated.json"
REGISTERED_FILE: Final = "registered.json"  # beside it, once its candidate is in the registry
EVALUATION_FILE: Final = "evaluation.json"
REPORT_FILE: Final = "report.html"
PREDICTIONS_FILE: Final = "predictions.csv"
MONITOR_FILE: Final = "monitor.json"
MONITOR_REPORT_FILE: Final = "monitor.html"
MODEL_CARD_PAGE: Final = "model_card.html"  # of a local run, beside its report

N_ROWS: Final = "n_rows"  # a count in evaluation.json, beside the metrics of the task (metrics.py)

# who is compared
CANDIDATE: Final = "candidate"
CHAMPION: Final = "champion"
BASELINE: Final = "baseline"
FALLBACK: Final = "fallback"  # who predicts where no champion can
CONSTANT: Final = "constant"  # who always predicts the mean of the targets before

# parts of monitor.json, each of which can raise an alarm
LIVE: Final = "live"  # the champion on rows since its cut-off
DRIFT: Final = "features"  # features against the champion's training
DATA: Final = "data"  # freshness and volume

# --- promotion between accounts ---------------------------------------------------------------------------------------
PROMOTED_PREFIX: Final = "runs/promoted/"  # of the artifact bucket: files of versions of other accounts
PROMOTED_FROM: Final = "promoted_from"  # in a version's metadata: the ARN of the version that it is a copy of


def promoter_name(pipeline: str, region: str) -> str:
    return f"{pipeline}-promoter-{region}"


# --- decisions of a run -----------------------------------------------------------------------------------------------
REGISTERED: Final = "registered"
CHAMPION_KEPT: Final = "champion-kept"
NO_NEW_DATA: Final = "no-new-data"
FAILED: Final = "failed"

# --- containers -------------------------------------------------------------------------------------------------------
BASE_DIR_VARIABLE: Final = "SAGEMAKER_BASE_DIR"
DEFAULT_BASE_DIR: Final = "/opt/ml"
PROCESSING_FAILURE_FILE: Final = "output/message"  # below the base directory; becomes ExitMessage
TRAINING_FAILURE_FILE: Final = "output/failure"  # below the base directory; becomes FailureReason
PROCESSING_CONFIG_FILE: Final = "config/processingjobconfig.json"  # below the base directory: the job's request
PROCESSING_HOSTS_FILE: Final = "config/resourceconfig.json"  # below the base directory: the hosts of a processing job
TRAINING_HOSTS_FILE: Final = "input/config/resourceconfig.json"  # below the base directory: the hosts of a training job
LOOPBACK_INTERFACE: Final = "lo"  # as network_interface_name: all hosts are processes of this machine
# Where the first host of a training job listens for the others; the process launcher sets it for each job.
CLUSTER_PORT_VARIABLE: Final = "CLUSTER_PORT"
DEFAULT_CLUSTER_PORT: Final = 29417  # below the ports that systems give away by themselves
CLUSTER_WAIT_VARIABLE: Final = "CLUSTER_WAIT_SECONDS"  # how long hosts wait for each other at the start
CLUSTER_HEARTBEAT_VARIABLE: Final = "CLUSTER_HEARTBEAT_TIMEOUT_SECONDS"  # without one for so long, a host is lost
# Where a step writes its reason instead, for a program above it that takes the usual place for itself (Spark's).
REASON_FILE_VARIABLE: Final = "STEP_REASON_FILE"
# docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProcessingClusterConfig.html
MAX_INSTANCES: Final = 100  # of a job
REASON_CHARACTERS: Final = 1024  # SageMaker keeps this many of ExitMessage and FailureReason
FAIL_MESSAGE_CHARACTERS: Final = 3072  # of a Fail step (API_FailStepMetadata)

SAMPLE_AS_OF: Final = "2025-03-01"  # the as-of date of the simulated sample

# What a condition compares: the definition's conditions know text and numbers, and no sample of AWS compares booleans.
YES: Final = "yes"
NO: Final = "no"
NO_FOLDER: Final = "none"  # the folder of a workload's extra input where there is none

# Objects that must exist before the first run: SageMaker fails a job whose input prefix holds nothing.
SEED_OBJECTS: Final = {
    f"{CHAMPION_CHANNEL}/{CHAMPION_FILE}": '{"version": null}\n',
    f"{EVALUATED_CHANNEL}/{EVALUATED_FILE}": '{"fingerprint": null}\n',
}
