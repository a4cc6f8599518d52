"""The workflow that every automatic trigger starts: one run at a time, so that two triggers do not train twice.

The pipeline itself skips what is not new, but only once an earlier run has been *evaluated*: two runs at the same time
would both train. SageMaker has no queue for runs and no limit of one at a time, so a Step Functions workflow asks:

    Look     the newest runs of the pipeline
    Decide   a run with this request's name exists         -> done (delivered twice, or drift twice in a day)
             a run of this workflow began after it         -> done (it sees the same data), unless this one is forced
             a run is executing                            -> wait, look again
             otherwise                                     -> start
    Estimate with a limit of what a run may cost: above it  -> fail, with the estimate

Between looking and starting another request may start a run: so the start's ClientRequestToken is a hash of the newest
run that was seen. Requests that saw the same state send the same token, and SageMaker starts one run for a token; the
other looks again, and is done. A manual run does not go through the workflow, but the workflow waits for its end.

Its expressions are JSONata: docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
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
_RETRY: Final = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 5, "MaxAttempts": 3, "BackoffRate": 3}]
# A start, or the estimate before it, is retried by looking again, never blindly: another request may have started one.
_CATCH: Final = [
    {
        "ErrorEquals": ["States.ALL"],
        "Assign": {"tries": "{% $tries + 1 %}", "cause": "{% '' & $states.errorOutput.Cause %}"},
        "Next": "NotStarted",
    }
]
_REASON: Final = f"$substring($trim($string($states.input.detail.reason)), 0, {REASON_LENGTH})"
# What is known of a request from its beginning; its run's name is what a second delivery is recognised by. A name has
# letters, digits and single hyphens between them (PipelineExecutionName: at most 82 characters).
_REQUEST: Final = {
    "forced": "{% $exists($states.input.forced_on) %}",
    "asked": "{% $states.context.Execution.StartTime %}",
    "name": f"""{{% (
        $day := $substringBefore($states.input.forced_on, 'T');
        $id := $exists($day) ? {_REASON} & '-' & $day : $string($states.input.id);
        $hyphenated := $replace($replace($id, /[^a-zA-Z0-9]+/, '-'), /^-|-$/, '');
        '{AUTOMATIC}' & $replace($substring($hyphenated, 0, {NAME_LENGTH}), /-$/, '')
    ) %}}""",
    "parameters": f"""{{% (
        $reason := {_REASON};
        $given := {{'Name': 'TriggerReason', 'Value': $reason = '' ? '{UNSPECIFIED}' : $reason}};
        $exists($states.input.forced_on) ? [$given, {{'Name': 'ForceTraining', 'Value': '{YES}'}}] : [$given]
    ) %}}""",
    "tries": 0,
}
_RUNS: Final = "$states.result.PipelineExecutionSummaries"
_SEEN: Final = {
    "known": f"{{% $name in {_RUNS}.PipelineExecutionDisplayName %}}",
    "busy": f"{{% 'Executing' in {_RUNS}.PipelineExecutionStatus or 'Stopping' in {_RUNS}.PipelineExecutionStatus %}}",
    # A run that began since sees the same data, but may find nothing new, and train nothing.
    "covered": f"""{{%
        $not($forced)
        and $substring({_RUNS}[0].PipelineExecutionDisplayName, 0, {len(AUTOMATIC)}) = '{AUTOMATIC}'
        and $toMillis({_RUNS}[0].StartTime) > $toMillis($asked)
    %}}""",
    "token": f"{{% $hash($string([{_RUNS}[0].PipelineExecutionArn]), 'SHA-256') %}}",
}


def workflow_definition(*, pipeline: str, cost_function: str | None = None) -> dict[str, Any]:
    """The workflow: `{"id": ..., "detail": {"reason": ...}}` in, at most one run started.

    `cost_function`: the ARN of the function that is asked whether the run may cost what it will, if there is a limit.

    With `"forced_on": <a time>` the run trains even if nothing is new, and there is one such run a day (UTC) at most:
    the day is in its name.
    """
    return {
        "Comment": "Starts the pipeline, one run at a time",
        "QueryLanguage": "JSONata",
        "TimeoutSeconds": TIMEOUT_SECONDS,
        "StartAt": "Request",
        "States": {
            "Request": {"Type": "Pass", "Assign": _REQUEST, "Next": "Look"},
            "Look": {
                "Type": "Task",
                "Resource": f"arn:{cdk.Aws.PARTITION}:states:::aws-sdk:sagemaker:listPipelineExecutions",
                "Arguments": {
                    "PipelineName": pipeline,
                    "SortBy": "CreationTime",
                    "SortOrder": "Descending",
                    "MaxResults": LOOK_BACK,
                },
                "Assign": _SEEN,
                "Retry": _RETRY,
                "Next": "Decide",
            },
            "Decide": {
                "Type": "Choice",
                "Choices": [
                    {"Condition": "{% $known %}", "Next": "AlreadyStarted"},
                    {"Condition": "{% $covered %}", "Next": "AlreadyCovered"},
                    {"Condition": "{% $busy %}", "Next": "Wait"},
                ],
                "Default": "Estimate" if cost_function else "Start",
            },
            "Wait": {"Type": "Wait", "Seconds": PAUSE_SECONDS, "Next": "Look"},
            **(_estimate(cost_function) if cost_function else {}),
            "Start": {
                "Type": "Task",
                "Resource": f"arn:{cdk.Aws.PARTITION}:states:::aws-sdk:sagemaker:startPipelineExecution",
                "Arguments": {
                    "PipelineName": pipeline,
                    "ClientRequestToken": "{% $token %}",
                    "PipelineExecutionDisplayName": "{% $name %}",
                    "PipelineParameters": "{% $parameters %}",
                },
                "Catch": _CATCH,
                "End": True,
            },
            "NotStarted": {
                "Type": "Choice",
                "Choices": [{"Condition": f"{{% $tries >= {MOST_TRIES} %}}", "Next": "GiveUp"}],
                "Default": "Wait",
            },
            "GiveUp": {"Type": "Fail", "Error": "NotStarted", "Cause": "{% $cause %}"},
            "AlreadyStarted": {"Type": "Succeed"},
            "AlreadyCovered": {"Type": "Succeed"},
        },
    }


def _estimate(function: str) -> dict[str, Any]:
    return {
        "Estimate": {
            "Type": "Task",
            "Resource": f"arn:{cdk.Aws.PARTITION}:states:::lambda:invoke",
            "Arguments": {"FunctionName": function, "Payload": {"parameters": "{% $parameters %}"}},
            "Assign": {"refusal": "{% $states.result.Payload.refusal %}"},
            "Retry": _RETRY,
            "Catch": _CATCH,
            "Next": "IsAffordable",
        },
        "IsAffordable": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $refusal = null %}", "Next": "Start"}],
            "Default": "TooExpensive",
        },
        "TooExpensive": {"Type": "Fail", "Error": "TooExpensive", "Cause": "{% $refusal %}"},
    }
