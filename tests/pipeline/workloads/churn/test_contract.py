"""The conformance suite on the classification with late labels."""

from contract_tests import contract_tests

TestContract = contract_tests("churn")
