"""Runs and versions in MLflow: what is read of a run, how it is written, and the server of this machine."""
