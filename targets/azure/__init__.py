"""The same pipeline as a pipeline job of Azure Machine Learning (docs/targets.md)."""
