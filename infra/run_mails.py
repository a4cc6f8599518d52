"""The mail about a failed step or a stopped run: EventBridge rules, and a workflow of native calls that writes it.

The event of a failed step carries the reason, but not what triggered the run, and an input transformer can neither look
that up nor set a subject; nor can it put a reason that holds quotes into JSON text. So the rules hand the event, as it
is, to a workflow of two calls: the run's parameters, then the mail. No function, nothing to patch.

One mail a failure: the event of the failed *execution* is not listened to (`infra.run_alarms` mails when a run fails
without a failed step). EventBridge delivers at least once: a repeated event is a repeated mail.
"""

from __future__ import annotations

from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk.region_info import RegionInfo
from constructs import Construct

from infra.alerts import Alerts
from infra.permissions import allow
from infra.settings import Settings
from infra.state_machine import (
    States,
    alarm_on_failure,
    formatted,
    service_call,
    starting_role,
    state_machine,
    workflow_role,
)
from infra.training import Training
from pipeline.console import DOMAINS

STEP_EVENT: Final = "SageMaker Model Building Pipeline Execution Step Status Change"
RUN_EVENT: Final = "SageMaker Model Building Pipeline Execution Status Change"
TIMEOUT_SECONDS: Final = 300
_RETRY: Final = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "MaxAttempts": 3, "BackoffRate": 3}]
_JOBS: Final = {  # kind in the event's metadata -> (page of the console, log group)
    "processingJob": ("processing-jobs", "ProcessingJobs"),
    "trainingJob": ("jobs", "TrainingJobs"),
}
_WHERE: Final = """Run            {}
Dashboard      @CONSOLE@/cloudwatch/home?region=@REGION@#dashboards/dashboard/@PIPELINE@

Look closer:   python -m scripts.show_execution {}
Run again:     python -m scripts.start_execution --pipeline @PIPELINE@ --region @REGION@
"""
STEP_FAILED: Final = (
    """Step {} of pipeline @PIPELINE@ (environment @ENVIRONMENT@) failed.

Reason
{}

Triggered by   {}
Step started   {}
Step ended     {}, after {}
Job            {}
Logs           {}
"""
    + _WHERE
    + """Go on from this step, with the same data and definition:
  aws sagemaker retry-pipeline-execution --region @REGION@ --pipeline-execution-arn {}
"""
)
RUN_STOPPED: Final = (
    """A run of pipeline @PIPELINE@ (environment @ENVIRONMENT@) was stopped before its end.
Who stopped it knows why: CloudTrail records StopPipelineExecution.

Triggered by   {}
Started        {}
Stopped        {}, after {}
"""
    + _WHERE
)


class RunMails(Construct):
    """`workflow` writes the mails; `step_failed` and `run_stopped` are the rules that call it."""

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, training: Training, alerts: Alerts
    ) -> None:
        super().__init__(scope, construct_id)
        stack = cdk.Stack.of(self)
        role = workflow_role(self, "Role", description=f"Mails about runs of {settings.pipeline_name}")
        allow(
            role,
            ["sagemaker:ListPipelineParametersForExecution"],
            [f"{training.pipeline_arn}/execution/*"],
            why="SageMaker makes up the id of an execution when it starts.",
        )
        alerts.allow_publish(role)
        definition = mail_definition(
            topic_arn=alerts.topic.topic_arn,
            pipeline=settings.pipeline_name,
            environment=settings.environment,
            region=stack.region,
            console=_console(self),
        )
        self.workflow = state_machine(self, "Workflow", definition=definition, role=role)
        self.alarm = alarm_on_failure(
            alerts,
            "FailedMail",
            self.workflow,
            what="A run failed or was stopped, and the mail about it could not be written.",
            todo="Run `python -m scripts.show_execution` for the run's reason; the workflow's last execution in the "
            "Step Functions console says why there was no mail.",
        )
        self._target = targets.SfnStateMachine(
            self.workflow,
            role=starting_role(self, self.workflow),
            dead_letter_queue=alerts.dead_letters(self, "DeadLetters", what="an event about a failed run"),
        )
        arn = [training.pipeline_arn]
        self.step_failed = self._rule("StepFailed", STEP_EVENT, {"currentStepStatus": ["Failed"], "pipelineArn": arn})
        self.run_stopped = self._rule(
            "RunStopped", RUN_EVENT, {"currentPipelineExecutionStatus": ["Stopped"], "pipelineArn": arn}
        )

    def _rule(self, name: str, detail_type: str, detail: dict[str, Any]) -> events.Rule:
        return events.Rule(
            self,
            name,
            event_pattern=events.EventPattern(source=["aws.sagemaker"], detail_type=[detail_type], detail=detail),
            targets=[self._target],
        )


def _console(scope: Construct) -> str:
    """The address of the console: each partition has its own, and the stack does not know its partition."""
    domains = {info.partition: DOMAINS.get(str(info.partition), DOMAINS["aws"]) for info in RegionInfo.regions}
    table = cdk.CfnMapping(
        scope, "Consoles", mapping={str(name): {"Domain": domain} for name, domain in sorted(domains.items())}
    )
    return f"https://{cdk.Aws.REGION}.{table.find_in_map(cdk.Aws.PARTITION, 'Domain')}"


def mail_definition(*, topic_arn: str, pipeline: str, environment: str, region: str, console: str) -> States:
    """The workflow: event of a failed step or of a stopped run in, one mail out."""
    known = {"@PIPELINE@": pipeline, "@ENVIRONMENT@": environment, "@REGION@": region, "@CONSOLE@": console}

    def filled(template: str) -> str:
        for name, value in known.items():
            template = template.replace(name, value)
        return template

    def mail(subject: str, text: str) -> dict[str, Any]:
        arguments = {"TopicArn": topic_arn, "Subject.$": subject, "Message.$": text}
        return {
            "Type": "Task",
            "Resource": service_call("sns:publish"),
            "Parameters": arguments,
            "Retry": _RETRY,
            "End": True,
        }

    execution, trigger = "$.detail.pipelineExecutionArn", "$.trigger.reasons[0]"
    links = {
        kind: {
            "Type": "Pass",
            "Parameters": {
                "console.$": formatted(
                    filled(f"@CONSOLE@/sagemaker/home?region=@REGION@#/{page}/{{}}"), _job_name(kind)
                ),
                "logs.$": formatted(
                    filled(
                        "@CONSOLE@/cloudwatch/home?region=@REGION@#logsV2:log-groups/log-group/"
                        f"$252Faws$252Fsagemaker$252F{group}$3FlogStreamNameFilter$3D{{}}"
                    ),
                    _job_name(kind),
                ),
            },
            "ResultPath": "$.links",
            "Next": "IsReasonGiven",
        }
        for kind, (page, group) in _JOBS.items()
    }
    return {
        "Comment": "Mails about a failed step or a stopped run",
        "TimeoutSeconds": TIMEOUT_SECONDS,
        "StartAt": "FindTrigger",
        "States": {
            **_find_trigger(),
            "HowLong": _how_long(),
            "IsStepFailed": _choice("$.detail.stepName", "FindJob", "MailRunStopped"),
            "FindJob": {
                "Type": "Choice",
                "Choices": [
                    {"Variable": f"$.detail.metadata.{kind}.arn", "IsPresent": True, "Next": kind} for kind in _JOBS
                ],
                "Default": "NoJob",
            },
            **links,
            "NoJob": {
                "Type": "Pass",
                "Result": {"console": "this step has none", "logs": "none: the reason above is all there is"},
                "ResultPath": "$.links",
                "Next": "IsReasonGiven",
            },
            "IsReasonGiven": _choice("$.detail.failureReason", "MailStepFailed", "NoReason"),
            "NoReason": {
                "Type": "Pass",
                "Result": "SageMaker gave none: see the logs.",
                "ResultPath": "$.detail.failureReason",
                "Next": "MailStepFailed",
            },
            "MailStepFailed": mail(
                formatted(filled("[@ENVIRONMENT@] @PIPELINE@: step {} failed"), "$.detail.stepName"),
                formatted(
                    filled(STEP_FAILED),
                    *("$.detail.stepName", "$.detail.failureReason", trigger),
                    *("$.detail.stepStartTime", "$.detail.stepEndTime", "$.took", "$.links.console", "$.links.logs"),
                    *(execution, execution, execution),
                ),
            ),
            "MailRunStopped": mail(  # the trigger's words may be too long for a subject
                f"States.Format('[{environment}] {pipeline}: a run was stopped')",
                formatted(
                    filled(RUN_STOPPED),
                    *(trigger, "$.detail.executionStartTime", "$.detail.executionEndTime", "$.took"),
                    *(execution, execution),
                ),
            ),
        },
    }


def _find_trigger() -> dict[str, Any]:
    """Put what triggered the run at `$.trigger.reasons[0]`; a mail without it is better than none."""
    return {
        "FindTrigger": {
            "Type": "Task",
            "Resource": service_call("aws-sdk:sagemaker:listPipelineParametersForExecution"),
            "Parameters": {"PipelineExecutionArn.$": "$.detail.pipelineExecutionArn", "MaxResults": 50},
            "ResultSelector": {"reasons.$": "$.PipelineParameters[?(@.Name == 'TriggerReason')].Value"},
            "ResultPath": "$.trigger",
            "Retry": _RETRY,
            "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "TriggerUnknown"}],
            "Next": "IsTriggerGiven",
        },
        "IsTriggerGiven": _choice("$.trigger.reasons[0]", "HowLong", "TriggerByHand"),
        # The parameter's default: nobody but a person starts a run without giving it.
        "TriggerByHand": _trigger("manual"),
        "TriggerUnknown": _trigger("unknown (the run's parameters could not be read)"),
    }


def _trigger(words: str) -> dict[str, Any]:
    return {"Type": "Pass", "Result": {"reasons": [words]}, "ResultPath": "$.trigger", "Next": "HowLong"}


def _how_long() -> dict[str, Any]:
    """Put the minutes of the step, or else of the run, at `$.took`; in JSONata: JSONPath cannot subtract times."""

    def minutes(what: str) -> str:
        start, end = f"$states.input.detail.{what}StartTime", f"$states.input.detail.{what}EndTime"
        return f"$string($round(($toMillis({end}) - $toMillis({start})) / 60000, 1)) & ' minutes'"

    took = (
        f"$exists($states.input.detail.stepEndTime) ? {minutes('step')} : "
        f"$exists($states.input.detail.executionEndTime) ? {minutes('execution')} : 'an unknown time'"
    )
    return {
        "Type": "Pass",
        "QueryLanguage": "JSONata",
        "Output": f"{{% $merge([$states.input, {{'took': {took}}}]) %}}",
        "Next": "IsStepFailed",
    }


def _choice(path: str, present: str, absent: str) -> dict[str, Any]:
    return {
        "Type": "Choice",
        "Choices": [{"Variable": path, "IsPresent": True, "Next": present}],
        "Default": absent,
    }


def _job_name(kind: str) -> str:
    return f"States.ArrayGetItem(States.StringSplit($.detail.metadata.{kind}.arn, '/'), 1)"
