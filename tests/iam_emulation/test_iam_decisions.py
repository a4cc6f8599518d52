"""The evaluation of policies, on AWS's own rules: each case is one that a naive evaluation gets wrong."""

from __future__ import annotations

from typing import Any

import pytest
from iam_emulation.conditions import holds, like, like_arn
from iam_emulation.policies import Principal, Request, decide

ROLE = "arn:aws:iam::111122223333:role/jobs"
OBJECT = "arn:aws:s3:::bucket/runs/a.csv"


def policy(effect: str = "Allow", **statement: Any) -> dict[str, Any]:
    """A policy of one statement."""
    return {"Statement": {"Effect": effect, "Action": "s3:GetObject", "Resource": OBJECT, **statement}}


def asked(*policies: Any, boundary: Any = None, by_resource: Any = None, **request: Any) -> str:
    """Why the request is denied; empty where it is allowed."""
    wanted = Request(**{"action": "s3:GetObject", "resource": OBJECT, **request})
    return decide(Principal(ROLE, policies, boundary), wanted, by_resource).denial_reason


def test_nothing_is_allowed_that_no_policy_allows() -> None:
    assert asked() == "because no identity-based policy allows the s3:GetObject action"
    assert asked(policy()) == ""
    assert asked(policy(Action="s3:getobject")) == "", "actions know no case"
    assert asked(policy(Resource="arn:aws:s3:::bucket/RUNS/a.csv")), "resources do"
    assert asked(policy(Resource="arn:aws:s3:::bucketXruns/*")), "a dot and a slash are themselves"
    assert asked(policy(Action="s3:Get*", Resource="arn:aws:s3:::buck?t/*")) == ""


def test_a_deny_denies_what_it_is_about_and_nothing_else() -> None:
    allowed = policy(Resource="*")
    assert "explicit deny" in asked(allowed, policy("Deny"))
    assert asked(allowed, policy("Deny", Resource="arn:aws:s3:::other/*")) == ""
    without_tls = {"Bool": {"aws:SecureTransport": "false"}}
    assert asked(allowed, policy("Deny", Condition=without_tls), context={"aws:securetransport": "true"}) == ""
    assert "explicit deny" in asked(
        allowed, policy("Deny", Condition=without_tls), context={"aws:securetransport": "false"}
    )


def test_a_boundary_narrows_what_an_identity_may_do_and_gives_nothing() -> None:
    everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    assert asked(policy(), boundary=everything) == ""
    assert asked(boundary=everything)
    assert "permissions boundary" in asked(policy(), boundary=policy(Action="s3:PutObject"))
    assert "explicit deny" in asked(
        policy(), boundary={"Statement": [*everything["Statement"], policy("Deny")["Statement"]]}
    )


def test_a_resources_policy_allows_a_principal_of_the_account_by_itself() -> None:
    assert asked(by_resource=policy(Principal={"AWS": ROLE})) == ""
    assert asked(by_resource=policy(Principal={"AWS": "arn:aws:iam::111122223333:role/other"}))
    assert asked(by_resource=policy(Principal={"AWS": "arn:aws:iam::111122223333:root"})), "that leaves it to IAM"
    assert "explicit deny in a resource-based" in asked(policy(), by_resource=policy("Deny", Principal="*"))


def test_a_keys_policy_must_allow_as_well() -> None:
    key = {"action": "kms:Decrypt", "resource": "arn:aws:kms:eu-west-1:111122223333:key/k"}
    mine = policy(Action="kms:Decrypt", Resource="*")
    to_iam = policy(Action="kms:Decrypt", Resource="*", Principal={"AWS": "arn:aws:iam::111122223333:root"})
    assert asked(mine, **key), "a key without a policy for the account is closed"
    assert asked(by_resource=to_iam, **key)
    assert asked(mine, by_resource=to_iam, **key) == ""


def test_a_service_acts_only_where_a_resource_lets_it_in() -> None:
    queue = {"action": "sqs:SendMessage", "resource": "arn:aws:sqs:eu-west-1:111122223333:q"}
    of_rule = {"aws:sourcearn": "arn:aws:events:eu-west-1:111122223333:rule/a"}
    let_in = {
        "Statement": {
            "Effect": "Allow",
            "Action": "sqs:SendMessage",
            "Resource": queue["resource"],
            "Principal": {"Service": "events.amazonaws.com"},
            "Condition": {"ArnEquals": {"aws:SourceArn": of_rule["aws:sourcearn"]}},
        }
    }
    events, lambda_ = Principal(service="events.amazonaws.com"), Principal(service="lambda.amazonaws.com")
    assert decide(events, Request(**queue, context=of_rule), let_in).allowed
    assert not decide(events, Request(**queue), let_in).allowed, "a condition on what is not given is not met"
    assert not decide(lambda_, Request(**queue, context=of_rule), let_in).allowed
    assert not decide(events, Request(**queue, context=of_rule)).allowed


@pytest.mark.parametrize(
    ("operator", "wanted", "found", "met"),
    [
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", "a*", "ab", False),
        ("StringLike", "a*", "ab", True),
        ("StringEquals", "a", None, False),
        ("StringEqualsIfExists", "a", None, True),
        ("StringEqualsIfExists", "a", "b", False),
        ("Bool", "true", "true", True),
        ("Bool", True, "false", False),
        ("Null", "true", None, True),
        ("Null", "false", None, False),
        ("NumericLessThan", "10", "9.5", True),
        ("ArnLike", "arn:aws:sns:*:1:t*", "arn:aws:sns:eu-west-1:1:topic", True),
        ("ArnLike", "arn:aws:sns:*:t", "arn:aws:sns:eu-west-1:1:t", False),
    ],
)
def test_condition_operators(operator: str, wanted: Any, found: Any, met: bool) -> None:
    context = {} if found is None else {"key": found}
    assert holds({operator: {"Key": wanted}}, context) is met


def test_what_is_not_known_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(KeyError):
        holds({"StringNotEquals": {"key": "a"}}, {"key": "b"})
    with pytest.raises(ValueError, match="variables of policies"):
        holds({"StringEquals": {"key": "${aws:username}"}}, {"key": "a"})
    with pytest.raises(ValueError, match="NotAction"):
        asked({"Statement": {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}})


def test_wildcards() -> None:
    assert like("a.b*", "a.bc")
    assert not like("a.b*", "aXbc")
    assert like_arn("arn:aws:sqs:*:1:q", "arn:aws:sqs:eu-west-1:1:q")
