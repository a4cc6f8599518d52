"""The conformance suite on the reference workload."""

from contract_tests import contract_tests

TestContract = contract_tests("bike_demand")
