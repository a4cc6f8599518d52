"""Runs and versions of the past: where they are read from, as text, as a page."""
