"""Checks of a deployed environment, by subject. All of them only read, but for a run and the emails of a test."""
