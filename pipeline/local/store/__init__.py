"""The folder that replaces S3, the model registry and the history of runs."""
