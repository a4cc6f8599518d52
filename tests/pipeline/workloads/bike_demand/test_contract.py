"""The conformance suite on hours of bike demand."""

from contract_tests import contract_tests

TestContract = contract_tests("bike_demand")
