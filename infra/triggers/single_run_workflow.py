"""The workflow that every automatic trigger starts: one run at a time, so that two triggers do not train twice.

The pipeline itself skips what is not new, but only once an earlier run has been *evaluated*: two runs at the same time
would both train. SageMaker has no queue for runs and no limit of one at a time, so a Step Functions workflow asks:

    Look     the newest runs of the pipeline
    Judge    a run with this request's name exists         -> done (delivered twice, or drift twice in a day)
             a run of this workflow began after it         -> done (it sees the same data), unless this one is forced
             a run is executing                            -> wait, look again
             otherwise                                     -> start
    Estimate with a limit of what a run may cost: above it  -> fail, with the estimate

Between looking and starting another request may start a run: so the start's ClientRequestToken is a hash of the newest
run that was seen. Requests that saw the same state send the same token, and SageMaker starts one run for a token; the
other looks again, and is done. A manual run does not go through the workflow, but the workflow waits for its end.
"""

from __future__ import annotations

from typing import Any, Final

import aws_cdk as cdk

from pipeline.contract.names import YES
from pipeline.contract.service_text import UNSPECIFIED

AUTOMATIC: Final = "auto-"  # begins the display name of a run that the workflow started
PAUSE_SECONDS: Final = 60
# Longer than a run may take with all its retries; a request that waits longer than that is reported.
TIMEOUT_SECONDS: Final = 6 * 3600
MOST_TRIES: Final = 5
LOOK_BACK: Final = 50
NAME_LENGTH: Final = 76
# A job's argument has at most 256 UTF-16 characters and one line: 128 of ours are at most 256, $trim makes one line.
REASON_LENGTH: Final = 128
_GIVEN: Final = "$states.input"
_ID: Final = f"$string({_GIVEN}.id)"
_REASON_TEXT: Final = f"$substring($trim($string({_GIVEN}.reason)), 0, {REASON_LENGTH})"
_REASON: Final = {
    "Name": "TriggerReason",
    "Value": f"{{% ($reason := {_REASON_TEXT}; $reason = '' ? '{UNSPECIFIED}' : $reason) %}}",
}
_NEWEST_NAME: Final = "$.newest.PipelineExecutionDisplayName"
_RETRY: Final = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 5, "MaxAttempts": 3, "BackoffRate": 3}]


def workflow_definition(*, pipeline: str, cost_function: str | None = None) -> dict[str, Any]:
    """The workflow: `{"id": ..., "reason": ...}` in, at most one run started.

    `cost_function`: the ARN of the function that is asked whether the run may cost what it will, if there is a limit.

    With `"forced_on": <a time>` the run trains even if nothing is new, and there is one such run a day (UTC) at most:
    the day is in its name.
    """
    start = "Estimate" if cost_function else "Start"
    return {
        "Comment": "Starts the pipeline, one run at a time",
        "TimeoutSeconds": TIMEOUT_SECONDS,
        "StartAt": "IsForced",
        "States": {
            "IsForced": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.forced_on", "IsPresent": True, "Next": "ForcedRequest"}],
                "Default": "Request",
            },
            "Request": _request(_ID, [_REASON], forced=False),
            "ForcedRequest": _request(
                f"{_REASON_TEXT} & '-' & $substringBefore({_GIVEN}.forced_on, 'T')",
                [_REASON, {"Name": "ForceTraining", "Value": YES}],
                forced=True,
            ),
            "Look": _look(pipeline),
            "Judge": {
                "Type": "Pass",
                "Parameters": {
                    "known.$": "States.ArrayContains($.runs.names, $.name)",
                    "executing.$": "States.ArrayContains($.runs.statuses, 'Executing')",
                    "stopping.$": "States.ArrayContains($.runs.statuses, 'Stopping')",
                    "token.$": "States.Hash(States.JsonToString($.runs.last), 'SHA-256')",
                },
                "ResultPath": "$.judged",
                "Next": "Decide",
            },
            "Decide": {
                "Type": "Choice",
                "Choices": [
                    {"Variable": "$.judged.known", "BooleanEquals": True, "Next": "AlreadyStarted"},
                    # A run that began since sees the same data, but may find nothing new, and train nothing.
                    {"Variable": "$.forced", "BooleanEquals": True, "Next": "IsBusy"},
                    {"Variable": "$.runs.newest[0]", "IsPresent": True, "Next": "Newest"},
                ],
                "Default": start,
            },
            "Newest": {
                "Type": "Pass",
                "InputPath": "$.runs.newest[0]",
                "ResultPath": "$.newest",
                "Next": "IsNewestOurs",
            },
            "IsNewestOurs": {
                "Type": "Choice",
                "Choices": [
                    {
                        "And": [
                            {"Variable": _NEWEST_NAME, "IsPresent": True},
                            {"Variable": _NEWEST_NAME, "StringMatches": f"{AUTOMATIC}*"},
                        ],
                        "Next": "IsNewestLater",
                    },
                ],
                "Default": "IsBusy",
            },
            "IsNewestLater": {
                "Type": "Choice",
                "Choices": [
                    {
                        "Variable": "$.newest.StartTime",
                        "TimestampGreaterThanPath": "$.asked",
                        "Next": "AlreadyCovered",
                    }
                ],
                "Default": "IsBusy",
            },
            "IsBusy": {
                "Type": "Choice",
                "Choices": [
                    {"Variable": "$.judged.executing", "BooleanEquals": True, "Next": "Wait"},
                    {"Variable": "$.judged.stopping", "BooleanEquals": True, "Next": "Wait"},
                ],
                "Default": start,
            },
            "Wait": {"Type": "Wait", "Seconds": PAUSE_SECONDS, "Next": "Look"},
            **(_estimate(cost_function) if cost_function else {}),
            "Start": _start(pipeline),
            "NotStarted": {
                "Type": "Pass",
                "Parameters": {
                    "name.$": "$.name",
                    "parameters.$": "$.parameters",
                    "forced.$": "$.forced",
                    "asked.$": "$.asked",
                    "tries.$": "States.MathAdd($.tries, 1)",
                    "error.$": "$.error",
                },
                "Next": "TriedEnough",
            },
            "TriedEnough": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.tries", "NumericGreaterThanEquals": MOST_TRIES, "Next": "GiveUp"}],
                "Default": "Wait",
            },
            "GiveUp": {"Type": "Fail", "Error": "NotStarted", "CausePath": "$.error.Cause"},
            "AlreadyStarted": {"Type": "Succeed"},
            "AlreadyCovered": {"Type": "Succeed"},
        },
    }


def _request(name: str, parameters: list[dict[str, str]], *, forced: bool) -> dict[str, Any]:
    """The state of a request; `name` is that of the run, by which a second delivery is recognised.

    A name has letters, digits and single hyphens between them (PipelineExecutionName: at most 82 characters).
    """
    hyphenated = f"$replace($replace({name}, /[^a-zA-Z0-9]+/, '-'), /^-|-$/, '')"
    return {
        "Type": "Pass",
        "QueryLanguage": "JSONata",
        "Output": {
            "name": f"{{% '{AUTOMATIC}' & $replace($substring({hyphenated}, 0, {NAME_LENGTH}), /-$/, '') %}}",
            "parameters": parameters,
            "forced": forced,
            "asked": "{% $states.context.Execution.StartTime %}",
            "tries": 0,
        },
        "Next": "Look",
    }


def _look(pipeline: str) -> dict[str, Any]:
    found = "$.PipelineExecutionSummaries"
    return {
        "Type": "Task",
        "Resource": f"arn:{cdk.Aws.PARTITION}:states:::aws-sdk:sagemaker:listPipelineExecutions",
        "Parameters": {
            "PipelineName": pipeline,
            "SortBy": "CreationTime",
            "SortOrder": "Descending",
            "MaxResults": LOOK_BACK,
        },
        "ResultSelector": {
            "names.$": f"{found}[*].PipelineExecutionDisplayName",
            "statuses.$": f"{found}[*].PipelineExecutionStatus",
            "newest.$": f"{found}[0:1]",
            "last.$": f"{found}[0:1].PipelineExecutionArn",
        },
        "ResultPath": "$.runs",
        "Retry": _RETRY,
        "Next": "Judge",
    }


def _estimate(function: str) -> dict[str, Any]:
    return {
        "Estimate": {
            "Type": "Task",
            "Resource": f"arn:{cdk.Aws.PARTITION}:states:::lambda:invoke",
            "Parameters": {"FunctionName": function, "Payload": {"parameters.$": "$.parameters"}},
            "ResultSelector": {"refusal.$": "$.Payload.refusal"},
            "ResultPath": "$.estimate",
            "Retry": _RETRY,
            "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "NotStarted"}],
            "Next": "IsAffordable",
        },
        "IsAffordable": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.estimate.refusal", "IsNull": True, "Next": "Start"}],
            "Default": "TooExpensive",
        },
        "TooExpensive": {"Type": "Fail", "Error": "TooExpensive", "CausePath": "$.estimate.refusal"},
    }


def _start(pipeline: str) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": f"arn:{cdk.Aws.PARTITION}:states:::aws-sdk:sagemaker:startPipelineExecution",
        "Parameters": {
            "PipelineName": pipeline,
            "ClientRequestToken.$": "$.judged.token",
            "PipelineExecutionDisplayName.$": "$.name",
            "PipelineParameters.$": "$.parameters",
        },
        # Retried by looking again, never blindly: another request may have started a run.
        "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "NotStarted"}],
        "End": True,
    }
