"""Links into the AWS console. Standard library only, because a Lambda function puts them into emails, too."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

DOMAINS: Final = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


def console(region: str, partition: str, path: str) -> str:
    """The address of a page; a partition that is not known gets the public one's domain."""
    domain = DOMAINS.get(partition, DOMAINS["aws"])
    host = f"{region}.{domain}" if partition == "aws" else domain
    return f"https://{host}/{path}"


def s3_object(region: str, partition: str, uri: str) -> str:
    """The page of an object, from its s3:// URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return console(region, partition, f"s3/object/{bucket}?region={region}&prefix={quote(key)}")


def job_log(region: str, partition: str, log_group: str, job: str) -> str:
    """The log streams of a job: one for each instance, such as `<job>/algo-2-1764047000`.

    CloudWatch's fragment wants its parts quoted twice, with $ in place of %.
    """
    group = quote(quote(log_group, safe=""), safe="").replace("%", "$")
    where = f"#logsV2:log-groups/log-group/{group}$3FlogStreamNameFilter$3D{quote(job, safe='')}"
    return console(region, partition, f"cloudwatch/home?region={region}{where}")
