"""Stops runs and empties buckets when the stack is deleted."""
