"""Customer churn, whose labels are known 30 days later."""

from workload_life import WorkloadLife


class TestLife(WorkloadLife):
    name, later = "churn", "2025-06-01"
