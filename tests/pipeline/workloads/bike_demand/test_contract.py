"""The conformance suite on the hourly regression."""

from contract_tests import contract_tests

TestContract = contract_tests("bike_demand")
