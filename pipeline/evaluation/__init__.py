"""Candidate, champion and baseline on the same rows: numbers, decision and report."""
