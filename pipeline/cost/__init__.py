"""What a run costs: a dated price table, the jobs of definition.json, and dollars and instance hours of a run."""
