"""Runs a compiled pipeline definition on this machine: no AWS, no Docker, no SageMaker SDK."""
