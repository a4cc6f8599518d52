"""The pipeline of each workload for Kubeflow Pipelines, compiled from its definition.json (docs/targets.md)."""
