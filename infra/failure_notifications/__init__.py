"""Emails about failed steps and runs."""
