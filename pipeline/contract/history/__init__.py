"""What outlives runs and decisions: an entry a run, and which version was in service when."""
