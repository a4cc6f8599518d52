"""What SageMaker refuses, as code: what it would not accept is refused here first. Standard library only."""

from pipeline.definition.service_rules.check import check_definition
from pipeline.definition.service_rules.rules import RULES, Finding, Rule

__all__ = ["RULES", "Finding", "Rule", "check_definition"]
