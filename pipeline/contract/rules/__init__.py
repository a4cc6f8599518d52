"""The rules of a workload: of its folder (workload_rules.py) and of its SPEC (spec_rules.py). Standard library only."""
