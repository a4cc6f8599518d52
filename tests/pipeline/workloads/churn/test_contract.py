"""The conformance suite on customer churn."""

from contract_tests import contract_tests

TestContract = contract_tests("churn")
