"""The model, its artifact, and the walk-forward predictions that it is judged by."""
