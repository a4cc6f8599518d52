"""The folder that stands in for S3, the model registry and the history of runs."""
